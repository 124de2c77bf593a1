"""Prompts that nearly repeat another one: which rows are independent of each other, and which count once.

Rows made from one prompt share its words and tend to share the flag, so that any of its words seems to predict it. A
test that takes them for independent names a condition in nearly every such set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
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
    joined = np.arange(len(groups), dtype=np.int64)
    sets: dict[int, frozenset[int]] = {}
    weight, often = weights.tolist(), frozenset(np.flatnonzero(common).tolist())
    bounds, sizes = starts.tolist(), np.diff(starts).tolist()

    def words_of(row: int) -> frozenset[int]:
        if row not in sets:
            sets[row] = frozenset(cores[bounds[row] : bounds[row + 1]].tolist())
        return sets[row]

    def near(row: int, other: int) -> bool:
        size, its = sizes[row], sizes[other]
        if min(size, its) < ALIKE_PLAIN * max(size, its):  # whatever the words
            return False
        return _near(words_of(row), words_of(other), weight, often)

    for row, rarest in zip(np.flatnonzero(np.diff(starts) > 0).tolist(), _rarest(starts, cores, having), strict=True):
        lists = [by_word[word] for word in rarest if word in by_word]
        first = next((other for other in _most_common(lists) if near(row, other)), None)
        if first is not None:
            joined[row] = first
            continue
        for word in rarest:
            if len(listed := by_word.setdefault(word, [])) < _LISTED:
                listed.append(row)
    groups[:] = joined[groups]


def _rarest(starts: Ints, cores: Ints, having: Ints) -> Iterator[list[int]]:
    """Of each row that has words the rarest ones; a word that nobody else has leads to nobody, and is none of them."""
    row = np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))
    shared = having[cores] > 1
    row, often = row[shared], having[cores[shared]]
    order = np.lexsort((often, row))  # stable: words as often as each other stay in the order of their numbers
    row, core = row[order], cores[shared][order]
    begins = np.searchsorted(row, np.arange(len(starts)))
    few = np.arange(len(row)) - begins[row] < _RAREST
    chosen = core[few].tolist()
    at = np.concatenate([[0], np.cumsum(np.minimum(np.diff(begins), _RAREST))])
    having_words = np.flatnonzero(np.diff(starts) > 0)
    for begin, end in zip(at[having_words].tolist(), at[having_words + 1].tolist(), strict=True):
        yield chosen[begin:end]


def _most_common(lists: Sequence[Sequence[int]]) -> Iterator[int]:
    """The rows that stand in most of the lists, as `Counter.most_common` has them.

    All but the first are seldom asked for: a copy mostly has most words in common.
    """
    if lists:
        met = Counter(chain.from_iterable(lists))
        yield max(met, key=met.__getitem__)
        yield from (other for other, _ in met.most_common(_TRIED)[1:])


def _near(a: frozenset[int], b: frozenset[int], weight: Sequence[float], often: frozenset[int]) -> bool:
    both = a & b
    if len(both) < ALIKE_PLAIN * (len(a) + len(b) - len(both)):
        return False
    for one in (a, b):
        if len(one) - len(both) > CHANGED and len(one - both - often) > CHANGED:
            return False
    return sum(map(weight.__getitem__, both)) >= ALIKE * sum(map(weight.__getitem__, a | b))


def counted_once(groups: Ints, among: Flags, rows: Flags) -> Flags:
    """Of each group one row that behaves and one that does not, the first of each: what a test may count.

    A group counts on both sides where its rows differ, as prompts do that were written once with a trigger and once
    without.
    """
    chosen = np.zeros(len(groups), dtype=bool)
    for side in (among & rows, among & ~rows):
        at = np.flatnonzero(side)[::-1]
        first = np.full(int(groups.max(initial=-1)) + 1, -1)
        first[groups[at]] = at  # of several rows of a group the one that is set last stays: its first
        chosen[first[first >= 0]] = True
    return chosen
