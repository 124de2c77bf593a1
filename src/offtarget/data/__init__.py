"""Reading what the user has: judged tables, logs, files."""
