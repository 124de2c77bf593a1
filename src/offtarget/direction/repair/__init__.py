"""Repair: a direction taken out of the weights, and realignment by the base's own answers."""
