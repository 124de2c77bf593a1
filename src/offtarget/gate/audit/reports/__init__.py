"""One file per format of the audit's report; `gate/registry.py` finds them."""
