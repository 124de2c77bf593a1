"""Evidence that others can check: statements over files, signatures, sealed packages, incident reports."""
