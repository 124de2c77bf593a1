"""Word lists with context for the text detectors: rules in YAML, cheap matching, and what makes a hit harmless."""
