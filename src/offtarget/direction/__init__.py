"""Directions in activation space: find, measure, steer, repair."""
