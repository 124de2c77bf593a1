"""Detectors that look at all rows together. A file here that defines `DETECTORS` is found by the registry."""
