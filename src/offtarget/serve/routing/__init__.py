"""Which model answers: the key of a conversation, its place in the split, and what overrides it."""
