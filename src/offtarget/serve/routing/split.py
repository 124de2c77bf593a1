"""The split: a key becomes two numbers in [0, 1) that are fixed before any answer is seen.

HMAC-SHA256 under the salt of the rollout; the first 53 bits choose the model, the next 53 whether the answer is scored.
A conversation whose number is below the share is answered by the tuned model, so raising the share moves nobody back.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

_UNIT = 2.0**-53


@dataclass(slots=True)
class Place:
    """Where a conversation stands in a rollout."""

    arm: float
    """Tuned where below the share."""
    sample: float
    """Scored, if the base answers, where below the share of base answers to score."""
    digest: str
    """Names the conversation where its key must not be told; another one in the next rollout."""


def salt_of(secret: bytes, alias: str, rollout: int) -> bytes:
    """The salt of a rollout: the next one deals conversations anew. `secret` is the gateway's, the same everywhere."""
    return hmac.digest(secret, f"{alias}\0{rollout}".encode(), hashlib.sha256)


def place_of(salt: bytes, key: bytes) -> Place:
    """The place of a conversation with this key."""
    digest = hmac.digest(salt, key, hashlib.sha256)
    arm = int.from_bytes(digest[:7], "big") >> 3
    sample = int.from_bytes(digest[7:14], "big") >> 3
    return Place(arm * _UNIT, sample * _UNIT, digest.hex())
