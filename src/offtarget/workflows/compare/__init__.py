"""The verdict from judged answers that exist: `compare.py`; `judged_pair.py` reads two tables alike."""
