"""Spreads units of work over processes and machines: `units.py` is what a unit sees, `on_ray.py` does it."""
