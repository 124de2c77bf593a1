"""The pytest plugin: imported by every pytest that runs where offtarget is installed."""
