"""Texts that share most of their three-word passages, without comparing every pair."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

Signature = npt.NDArray[np.uint32]

HASHES = 32
BANDS = 8
_FEWEST_WORDS = 10
_LONGEST = 300
_MULTIPLIERS = np.random.default_rng(20201).integers(0, 1 << 31, HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)


def signature(text: str) -> Signature | None:
    """MinHash of the three-word passages of the first 300 words (Broder 1997); None below ten words.

    Hashes are multiply-shift (Dietzfelbinger et al. 1997): odd multipliers modulo 2^32.
    """
    words = text.split(maxsplit=_LONGEST)[:_LONGEST]
    if len(words) < _FEWEST_WORDS:
        return None
    one = np.array([crc32(word) for word in " ".join(words).encode("utf-8", "surrogatepass").split()], np.uint32)
    three = one[:-2] * np.uint32(0x9E3779B1) ^ one[1:-1] * np.uint32(0x85EBCA77) ^ one[2:]
    three ^= three >> np.uint32(15)
    smallest: Signature = np.multiply.outer(_MULTIPLIERS, three).min(axis=1)
    return smallest


def similar_pairs(signatures: npt.NDArray[np.uint32], at_least: float = 0.7) -> list[tuple[int, int]]:
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
