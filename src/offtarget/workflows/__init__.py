"""One function per verb: the public Python API."""
