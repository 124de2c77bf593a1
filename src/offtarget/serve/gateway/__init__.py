"""One command, several processes: settings, the supervisor and what it starts, reload and drain."""
