"""What a run of `alternatives` says, in words and as a page."""
