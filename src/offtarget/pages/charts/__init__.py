"""Geometry of the figures: positions in per cent of the plot's width or height; the template draws them."""
