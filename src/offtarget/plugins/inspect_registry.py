"""What Inspect AI finds under `offtarget/`: imported by every `inspect` command where offtarget is installed."""
