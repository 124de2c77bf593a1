"""Geometry of the audit's figures: positions in per cent of the plot's width or height; the template draws them."""
