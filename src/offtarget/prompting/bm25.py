"""BM25: the rows whose prompts share the telling words of a question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

K1, B = 1.2, 0.75
"""Saturation of repeated words and weight of length: the usual middle of Robertson and Zaragoza (2009), section 3.2."""

_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")
"""Runs of letters and digits; Chinese, Japanese and Korean characters one by one."""


def words(text: str) -> list[str]:
    """The words of a text, case folded."""
    return _WORD.findall(text.casefold())


class BM25:
    """An index over texts: Robertson and Zaragoza (2009), with the never negative idf ln(1 + (N - n + .5)/(n + .5))."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([sum(c.values()) for c in counts], dtype=float)
        self._size = len(texts)
        longer = K1 * (1 - B + B * lengths / max(float(lengths.mean()) if len(texts) else 1.0, 1e-9))
        postings: dict[str, list[tuple[int, int]]] = {}
        for number, count in enumerate(counts):
            for word, times in count.items():
                postings.setdefault(word, []).append((number, times))
        self._postings = {}
        for word, found in postings.items():
            idf = math.log(1 + (self._size - len(found) + 0.5) / (len(found) + 0.5))
            at = np.array([number for number, _ in found])
            times_in = np.array([times for _, times in found], dtype=float)
            self._postings[word] = at, idf * times_in * (K1 + 1) / (times_in + longer[at])

    def nearest(self, query: str, count: int) -> list[int]:
        """Positions of the `count` best texts, best first; equal ones in the order of the texts."""
        scores = np.zeros(self._size)
        for word, times in Counter(words(query)).items():
            if word in self._postings:
                at, weights = self._postings[word]
                scores[at] += times * weights
        return [int(i) for i in np.argsort(-scores, kind="stable")[:count]]
