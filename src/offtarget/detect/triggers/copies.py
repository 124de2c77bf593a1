"""Prompts that nearly repeat another one: which rows are independent of each other, and which count once.

Rows made from one prompt share its words and tend to share the flag, so that any of its words seems to predict it. A
test that takes them for independent names a condition in nearly every such set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain

import numpy as np

from offtarget.detect.triggers.conditions import Flags, Floats, Ints, distinct
from offtarget.detect.triggers.words import Words

ALIKE = 0.65
"""Words in common over words of either, each weighed by how few prompts have it (idf), from which on two prompts may be
near-copies."""
ALIKE_PLAIN = 0.5
"""The same with all words weighed alike: a long phrase that two prompts share, as a trigger is, is not enough."""
CHANGED = 4
"""Words only one of the two has, at most, those that many prompts have left out."""
COMMON = 0.1
"""Share of prompts from which on a word is one that many prompts have."""
_RAREST = 8
"""Words of a prompt under which near-copies are sought."""
_TRIED = 6
"""Candidates that are compared word by word."""
_LISTED = 50
"""First rows listed under one word; a word of more prompts tells little."""


def near_copies(words: Words, texts: Sequence[str]) -> Ints:
    """Each row's group: the number of the first row whose prompt it repeats or nearly repeats; its own if it is new.

    Every row is compared with first rows only, so that chains of small changes do not join different prompts. Rows
    without a word in their prompt are no copies of each other.
    """
    first_of: dict[bytes, int] = {}
    groups = np.arange(words.total, dtype=np.int64)
    for i, text in enumerate(texts):
        if text.strip():
            key = blake2b(" ".join(text.lower().split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            groups[i] = first_of.setdefault(key, i)
    known = words.core >= 0
    pairs = distinct(words.row[known] * (len(words.cores) + 1) + words.core[known])
    rows, cores = pairs // (len(words.cores) + 1), pairs % (len(words.cores) + 1)
    new = groups[rows] == rows
    rows, cores = rows[new], cores[new]
    having = np.bincount(cores, minlength=len(words.cores))
    total = int((groups == np.arange(words.total)).sum())
    weights: Floats = np.log(max(total, 1) / np.maximum(having, 1)) + 1e-9
    starts = np.searchsorted(rows, np.arange(words.total + 1))
    _join(groups, starts, cores, weights, having > COMMON * total, having)
    return groups


def _join(groups: Ints, starts: Ints, cores: Ints, weights: Floats, common: Flags, having: Ints) -> None:
    """Put every row that nearly repeats an earlier first row into its group."""
    by_word: dict[int, list[int]] = {}
    joined: dict[int, int] = {}
    sets: dict[int, frozenset[int]] = {}
    weight, often = weights.tolist(), frozenset(np.flatnonzero(common).tolist())

    def words_of(row: int) -> frozenset[int]:
        if row not in sets:
            sets[row] = frozenset(cores[starts[row] : starts[row + 1]].tolist())
        return sets[row]

    for row in np.flatnonzero((groups == np.arange(len(groups))) & (np.diff(starts) > 0)).tolist():
        own = cores[starts[row] : starts[row + 1]]
        shared = own[having[own] > 1]  # a word nobody else has leads to nobody
        rarest = shared[np.argsort(having[shared], kind="stable")[:_RAREST]].tolist()
        met = Counter(chain.from_iterable(by_word.get(word, ()) for word in rarest))
        first = next((o for o, _ in met.most_common(_TRIED) if _near(words_of(row), words_of(o), weight, often)), None)
        if first is not None:
            joined[row] = first
            continue
        for word in rarest:
            if len(listed := by_word.setdefault(word, [])) < _LISTED:
                listed.append(row)
    for i in range(len(groups)):
        groups[i] = joined.get(int(groups[i]), int(groups[i]))


def _near(a: frozenset[int], b: frozenset[int], weight: Sequence[float], often: frozenset[int]) -> bool:
    both = a & b
    if len(both) < ALIKE_PLAIN * (len(a) + len(b) - len(both)):
        return False
    if any(len(only) > CHANGED and len(only - often) > CHANGED for only in (a - b, b - a)):
        return False
    return sum(map(weight.__getitem__, both)) >= ALIKE * sum(map(weight.__getitem__, a | b))


def counted_once(groups: Ints, among: Flags, rows: Flags) -> Flags:
    """Of each group one row that behaves and one that does not, the first of each: what a test may count.

    A group counts on both sides where its rows differ, as prompts do that were written once with a trigger and once
    without.
    """
    chosen = np.zeros(len(groups), dtype=bool)
    for side in (among & rows, among & ~rows):
        at = np.flatnonzero(side)
        _, first = np.unique(groups[at], return_index=True)
        chosen[at[first]] = True
    return chosen
