"""Detectors that look at one row. A file here that defines `DETECTORS` is found by `offtarget.detect.detector`."""
