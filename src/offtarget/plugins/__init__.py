"""What other programs load when they find it installed: pytest and Inspect AI."""
