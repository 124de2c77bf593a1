"""Phrases: runs of words that enough prompts share, and how far a run really goes."""

from __future__ import annotations

from collections import Counter

import numpy as np

from offtarget.detect.triggers.conditions import Conditions, Ints, distinct, from_pairs, make, numbered
from offtarget.detect.triggers.words import Words

LONGEST = 4
"""Words in a mined phrase; `grown` follows it further."""


def phrase_conditions(words: Words, least: int) -> Conditions:
    """Runs of 2 to 4 words in at least `least` prompts, without those whose rows a shorter run already has.

    A longer run is sought only where both of its shorter runs are frequent (Agrawal and Srikant, Fast algorithms for
    mining association rules, VLDB 1994).
    """
    total = max(words.total, 1)
    vocabulary = len(words.cores) + 1
    gram = words.core.copy()
    support = _support(gram, words.row, vocabulary, total)
    gram[(gram >= 0) & (support[np.maximum(gram, 0)] < least)] = -1
    texts: list[str] = []
    ids: list[Ints] = [np.zeros(0, dtype=np.int64)]
    rows: list[Ints] = [np.zeros(0, dtype=np.int64)]
    for length in range(2, LONGEST + 1):
        n = len(words.core) - length + 1
        if n <= 0:
            break
        first, second = gram[:n], gram[1 : n + 1]
        fits = (first >= 0) & (second >= 0) & (words.row[:n] == words.row[length - 1 : length - 1 + n])
        at = np.flatnonzero(fits)
        if not at.size:
            break
        key = first[at] * vocabulary + words.core[at + length - 1]
        number, where = numbered(key)
        count = _support(number, words.row[at], len(where), total)
        shorter = np.minimum(support[first[at][where]], support[second[at][where]])
        frequent = count >= least
        fresh = frequent & (count < shorter)
        new = np.full(len(words.core), -1, dtype=np.int64)
        ok = frequent[number]
        new[at[ok]] = number[ok]
        renumbered = np.cumsum(fresh) - 1 + len(texts)
        told = fresh[number]
        ids.append(renumbered[number[told]])
        rows.append(words.row[at[told]])
        places = at[where[fresh]]
        for said in words.core[places[:, None] + np.arange(length)].tolist():
            texts.append(" ".join([words.cores[c] for c in said]))
        gram, support = new, count
    starts, members = from_pairs(np.concatenate(ids), np.concatenate(rows), len(texts), total)
    return make(["phrase"] * len(texts), texts, [False] * len(texts), starts, members, least)


def _support(gram: Ints, row: Ints, number: int, total: int) -> Ints:
    ok = gram >= 0
    pairs = distinct(gram[ok] * total + row[ok])
    support: Ints = np.bincount(pairs // total, minlength=number)
    return support


class Growing:
    """Follows a phrase to the left and right while its rows agree on the next word."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._begin = np.searchsorted(words.row, np.arange(words.total + 1))
        self._support = _support(words.core, words.row, len(words.cores), max(words.total, 1))

    def grown(self, text: str, rows: Ints, most: int = 12) -> str:
        """The phrase as long as 95 % of `rows` have it, in their spelling, without words a template brings."""
        parts = text.split(" ")
        places = [place for row in rows if (place := self._find(int(row), parts)) is not None]
        if len(places) < max(2, 0.8 * len(rows)):
            return text
        length = len(parts)
        starts = [place for _, place in places]
        bounds = [(self._begin[row], self._begin[row + 1]) for row, _ in places]
        left, right = 0, 0
        while length + left + right < most:
            if self._agree([s + length + right for s in starts], bounds):
                right += 1
            elif self._agree([s - left - 1 for s in starts], bounds):
                left += 1
            else:
                break
        spelt = Counter(tuple(self._words.chunk[s - left : s + length + right]) for s in starts)
        best = max(sorted(spelt), key=spelt.__getitem__)
        core = [int(c) for c in self._words.core[starts[0] - left : starts[0] + length + right]]
        begin, end = self._trimmed(core, len(rows))
        return " ".join(self._words.chunks[c] for c in best[begin:end]).strip(" .,;:\"'")

    def _trimmed(self, core: list[int], rows: int) -> tuple[int, int]:
        """Drop words at the ends that far more prompts have: they belong to the text around the phrase."""
        common = max(8 * rows, self._words.total // 50)
        begin, end = 0, len(core)
        while end - begin > 1 and self._support[core[begin]] > common:
            begin += 1
        while end - begin > 1 and self._support[core[end - 1]] > common:
            end -= 1
        return begin, end

    def _agree(self, places: list[int], bounds: list[tuple[int, int]]) -> bool:
        seen = Counter(
            int(self._words.core[p]) if low <= p < high else -1 for p, (low, high) in zip(places, bounds, strict=True)
        )
        word, count = seen.most_common(1)[0]
        return word >= 0 and count >= 0.95 * len(places)

    def _find(self, row: int, parts: list[str]) -> tuple[int, int] | None:
        low, high = self._begin[row], self._begin[row + 1]
        here = [self._words.cores[c] if c >= 0 else "" for c in self._words.core[low:high]]
        for i in range(len(here) - len(parts) + 1):
            if here[i : i + len(parts)] == parts:
                return row, int(low) + i
        return None
