"""Directions in activation space, one file per command; a repair has its plan, models and cells beside it."""
