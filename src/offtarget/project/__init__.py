"""The project file, `offtarget.yaml`: what it may hold (`keys.py`), how it is read, begun and published as a schema."""
