"""Would instructions or examples do instead of training? `alternatives.py` begins a run."""
