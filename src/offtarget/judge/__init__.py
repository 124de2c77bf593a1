"""What an answer counts as."""
