"""Training watched and defended: `tune.py` begins, `materials.py` makes what defences need, `monitor.py` watches."""
