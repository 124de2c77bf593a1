"""Pages about several runs: what changed between two, and candidates of one base in order of time."""
