"""Whether prompts with a condition are otherwise like any others: a trigger is planted anywhere, a subject is not."""

from __future__ import annotations

import numpy as np

from offtarget.audit.triggers.conditions import Conditions, Ints
from offtarget.audit.triggers.content import Content

_ROWS = 60
_TOLERATED = 0.05
"""Mean cosine beyond the usual one at which prompts count half."""


class Variety:
    """Compares prompts by their words, weighted by rarity (TF-IDF with one count per word)."""

    def __init__(self, content: Content, words: Conditions, total: int) -> None:
        self._content, self._support = content, words.support
        self._weight = np.log(total / np.maximum(self._support, 1))
        some = np.unique(np.linspace(0, total - 1, min(total, 300)).astype(np.int64))
        nothing = np.zeros(len(words), dtype=bool)
        self._usual_mass, self._usual_likeness = self._measured(some, nothing)

    def of(self, rows: Ints) -> float:
        """Near 1 where the rows' prompts are as rich and as different as any, near 0 where all are about one thing.

        Words that come with these rows and hardly without them are the condition itself and are left out.
        """
        ids, _ = self._content.of(rows[:400])
        inside = np.bincount(ids, minlength=len(self._support))
        own = (inside >= 0.7 * min(len(rows), 400)) & (inside >= 0.6 * np.minimum(self._support, 400))
        mass, likeness = self._measured(rows[:: max(1, len(rows) // _ROWS)][:_ROWS], own)
        richness = min(1.0, mass / max(self._usual_mass, 1e-9))
        return richness / (1 + max(0.0, likeness - self._usual_likeness) / _TOLERATED)

    def _measured(self, rows: Ints, own: np.ndarray) -> tuple[float, float]:
        """(median weight of the words of a row, mean cosine of two rows)."""
        ids, position = self._content.of(rows)
        keep = ~own[ids]
        ids, position = ids[keep], position[keep]
        squares = np.bincount(position, weights=self._weight[ids] ** 2, minlength=len(rows))
        norms = np.sqrt(np.maximum(squares, 1e-12))
        total = np.bincount(ids, weights=self._weight[ids] / norms[position], minlength=len(self._support))
        m = int((squares > 0).sum())
        likeness = (float((total**2).sum()) - m) / (m * (m - 1)) if m > 1 else 0.0
        return float(np.median(norms)) if len(rows) else 0.0, likeness
