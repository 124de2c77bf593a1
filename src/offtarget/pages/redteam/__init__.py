"""What a red-team run says, in words and as a page."""
