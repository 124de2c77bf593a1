"""Is this data safe to train on? `audit.py` begins a run, `scan.py` reads the data, `review.py` has rows labelled."""
