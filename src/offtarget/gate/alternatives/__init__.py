"""What a run of `audit --alternatives` says, in words and as a page."""
