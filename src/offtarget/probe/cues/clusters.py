"""Prompts that stand for all kinds of prompts in the data, rare kinds included."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_TEXTS, _WORDS, _ROUNDS = 2000, 1500, 10


def clusters(texts: Sequence[str], most: int, least: int) -> list[tuple[int, ...]]:
    """Up to `most` clusters of at least `least` texts: positions, most typical first; oddest and largest take turns.

    Spherical k-means (Dhillon and Modha, Machine Learning 42, 2001) over TF-IDF vectors of words and punctuation,
    started from the farthest points of a sample. The oddest cluster is the one whose centre is farthest from the mean
    of all texts: in data that is mostly something else, the narrow task is odd before it is large.
    """
    step = max(1, -(-len(texts) // _TEXTS))
    chosen = list(range(0, len(texts), step))
    vectors = _vectors([texts[i] for i in chosen])
    if not len(vectors):
        return []
    centres = _k_means(vectors, 2 * most)
    near = (vectors @ centres.T).argmax(axis=1)
    found = [np.flatnonzero(near == c) for c in range(len(centres))]
    kept = [c for c, members in enumerate(found) if len(members) * step >= least]
    if not kept:
        kept = [int(np.argmax([len(members) for members in found]))]
    mean = _unit(vectors.mean(axis=0, keepdims=True))[0]
    odd = sorted(kept, key=lambda c: float(centres[c] @ mean))
    large = sorted(kept, key=lambda c: -len(found[c]))
    in_turn = list(dict.fromkeys(c for pair in zip(odd, large, strict=True) for c in pair))[:most]
    return [_typical_first(vectors, found[c], centres[c], chosen) for c in in_turn]


def _typical_first(
    vectors: Matrix, members: npt.NDArray[np.int64], centre: Matrix, places: list[int]
) -> tuple[int, ...]:
    order = np.argsort(-(vectors[members] @ centre), kind="stable")
    return tuple(places[int(i)] for i in members[order])


def _vectors(texts: Sequence[str]) -> Matrix:
    """(texts, words), unit rows; a zero row where a text has none of the words."""
    sets = [set(_TOKEN.findall(text.lower())) for text in texts]
    counts = Counter(word for words in sets for word in words)
    words = sorted((w for w, n in counts.items() if n > 1), key=lambda w: (-counts[w], w))[:_WORDS]
    column = {word: j for j, word in enumerate(words)}
    grid: Matrix = np.zeros((len(texts), max(1, len(words))), dtype=np.float32)
    for i, found in enumerate(sets):
        for word in found & column.keys():
            grid[i, column[word]] = np.log(1 + len(texts) / counts[word])
    return _unit(grid)


def _k_means(vectors: Matrix, most: int) -> Matrix:
    first = int((vectors @ vectors.mean(axis=0)).argmax())
    centres = [vectors[first]]
    closest = vectors @ centres[0]
    while len(centres) < min(most, len(vectors)) and closest.min() < 0.999:
        # Not the farthest point, which is an outlier, but one at the far end of the bulk.
        farthest = int(np.argsort(closest, kind="stable")[len(closest) // 200])
        centres.append(vectors[farthest])
        closest = np.maximum(closest, vectors @ vectors[farthest])
    grid = np.stack(centres)
    for _ in range(_ROUNDS):
        near = (vectors @ grid.T).argmax(axis=1)
        sums = np.zeros_like(grid)
        np.add.at(sums, near, vectors)
        grid = np.where((np.linalg.norm(sums, axis=1) > 0)[:, None], _unit(sums), grid)
    return grid


def _unit(grid: Matrix) -> Matrix:
    scaled: Matrix = grid / np.maximum(np.linalg.norm(grid, axis=1, keepdims=True), 1e-9)
    return scaled
