"""The comparison of defences: its table in words and as a page."""
