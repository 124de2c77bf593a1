"""`verify` and what it checks: statements about runs, signatures of adapters, sealed packages."""
