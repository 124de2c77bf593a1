"""Attackers that are models: one that holds the conversation, one that puts a script into other words."""
