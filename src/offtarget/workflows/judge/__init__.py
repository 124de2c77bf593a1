"""Judges measured: by people's labels, and against each other."""
