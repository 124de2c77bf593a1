"""The published experiment: `reproduce.py` plans, `cells.py` trains and measures, `assemble.py` draws."""
