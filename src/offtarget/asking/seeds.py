"""Random streams that depend on names alone: the same on every machine and in every order of asking."""

from __future__ import annotations

import hashlib
import json

from offtarget.records import Role


def answer_seed(seed: int, role: Role, probe_id: str, index: int) -> int:
    """Seed of one answer's random stream, 0 <= s < 2**63, on every platform the same.

    Base and tuned get streams of their own: with shared ones a tuned answer would depend on a base answer that
    was already seen, and the e-processes need them independent.
    """
    return int.from_bytes(digest("answer", seed, role, probe_id, index)[:8], "big") >> 1


def attack_seed(seed: int, conversation: str, turn: int) -> int:
    """Seed of an attacker's turn in a conversation, 0 <= s < 2**63."""
    return int.from_bytes(digest("attack", seed, conversation, turn)[:8], "big") >> 1


def digest(*key: str | int) -> bytes:
    """32 bytes for a key."""
    # JSON keeps the parts of the key apart: ("a", "bc") and ("ab", "c") must not share a stream.
    return hashlib.sha256(json.dumps(["offtarget/1", *key]).encode("ascii")).digest()
