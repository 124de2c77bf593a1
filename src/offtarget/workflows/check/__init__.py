"""Is tuned worse than base? `check.py` begins a run; `loop.py` asks plainly, `cued_arm.py` under conditions."""
