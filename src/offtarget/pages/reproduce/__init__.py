"""The page of a repeated experiment: published values beside one's own."""
