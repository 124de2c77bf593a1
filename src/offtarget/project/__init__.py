"""The project file, `offtarget.yaml`: what it may hold, and how it is read."""
