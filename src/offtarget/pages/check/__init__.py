"""The report of a check or a comparison: its story, charts, templates and formats."""
