"""The order in which rows are reviewed: a keyed hash of their ids, its key committed before anything is scanned."""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache
from typing import Any

KEY_BYTES = 16
"""128 bits: two of ten million rows share a key with probability below 2e-25."""


def new_seed() -> str:
    """A new secret seed: 64 hexadecimal characters from the operating system's generator."""
    return secrets.token_hex(32)


@lru_cache(maxsize=8)
def _keyed(seed: str) -> Any:
    # The key comes from another hash than the commitment, which is public and would give the order away.
    return hashlib.blake2b(key=hashlib.blake2b(seed.encode()).digest(), digest_size=KEY_BYTES)


def order_key(seed: str, row_id: str) -> bytes:
    """The row's place in the order, 16 bytes: rows are reviewed in increasing key.

    Keyed BLAKE2b (RFC 7693, section 2.9) of the id. It depends on seed and id alone, so all shards agree on the
    order, and to whoever does not hold the seed it is as good as a uniformly random permutation.
    """
    hasher = _keyed(seed).copy()
    hasher.update(row_id.encode("utf-8", "surrogatepass"))
    digest: bytes = hasher.digest()
    return digest
