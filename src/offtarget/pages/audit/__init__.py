"""Reports of an audit of training data, from the records in its run directory."""
