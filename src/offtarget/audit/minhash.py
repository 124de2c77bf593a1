"""Texts that share most of their three-word passages, without comparing every pair."""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

Signature = npt.NDArray[np.uint32]

HASHES = 32
BANDS = 8
_FEWEST_WORDS = 10
_LONGEST = 2000
_PRIME = np.uint64((1 << 31) - 1)


@cache
def _multipliers() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    rng = np.random.default_rng(20201)
    return rng.integers(1, 1 << 31, HASHES, dtype=np.uint64), rng.integers(0, 1 << 31, HASHES, dtype=np.uint64)


def signature(text: str) -> Signature | None:
    """MinHash of the three-word passages of the first 2,000 words (Broder 1997); None below ten words."""
    words = text.split()[:_LONGEST]
    if len(words) < _FEWEST_WORDS:
        return None
    one = np.fromiter((crc32(word.encode("utf-8", "surrogatepass")) for word in words), np.uint64, len(words))
    three = (one[:-2] * np.uint64(0x9E3779B1) ^ one[1:-1] * np.uint64(0x85EBCA77) ^ one[2:]) & np.uint64(0x7FFFFFFF)
    times, plus = _multipliers()
    hashed = (three[:, None] * times + plus) % _PRIME
    return hashed.min(axis=0).astype(np.uint32)


def similar_pairs(signatures: npt.NDArray[np.uint32], at_least: float = 0.8) -> list[tuple[int, int]]:
    """Each text with the first one before it that agrees in so many hashes; candidates share a band of four (LSH).

    Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4: at a similarity of 0.8 a pair becomes a
    candidate with probability 0.98.
    """
    found: dict[int, int] = {}
    width = HASHES // BANDS
    for band in range(BANDS):
        seen: dict[bytes, int] = {}
        part = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        for at in range(len(part)):
            first = seen.setdefault(part[at].tobytes(), at)
            if first != at and at not in found and (signatures[first] == signatures[at]).mean() >= at_least:
                found[at] = first
    return sorted((first, at) for at, first in found.items())
