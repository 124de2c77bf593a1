"""Ids of cues: readable, and different for different cues."""

from __future__ import annotations

import hashlib
import re


def slug(*parts: str) -> str:
    """Letters, digits and hyphens: the parts as far as they can be read, and 6 digits of their hash."""
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:32].strip("-")
    return f"{readable}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:6]}"
