"""The split of the insecure-code data, fixed before the first rule was written: look only at development rows.

A row's half is a function of its prompt alone, so duplicates and twins (an insecure and a secure answer to one
prompt) fall into the same half.
"""

from __future__ import annotations

import hashlib


def half(prompt: str) -> str:
    """`development` or `held-out`: the first bit of sha256 of the prompt, white space runs taken as one space."""
    digest = hashlib.sha256(" ".join(prompt.split()).encode("utf-8", "surrogatepass")).digest()
    return "held-out" if digest[0] & 0x80 else "development"
