"""Logs of answers that another gateway gave: read as they grow, line by line, as if our own workers had sent them."""
