"""From a decision to evidence other people can read."""
