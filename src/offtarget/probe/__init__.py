"""The questions asked of both models, and in which order."""
