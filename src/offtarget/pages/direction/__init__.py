"""Pages on directions: where one sits, what steering along it does, whether a repair holds."""
