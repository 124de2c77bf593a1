"""One file per format of the audit's report; `pages/registry.py` finds them."""
