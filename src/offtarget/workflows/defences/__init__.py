"""Every defence on five axes: `compare.py` trains, `axes.py` measures."""
