"""What the ordinary words of a prompt tell: what they already predict, and how far prompts are alike by them."""

from __future__ import annotations

import numpy as np

from offtarget.detect.triggers.behaviours import Behaviour
from offtarget.detect.triggers.conditions import Conditions, Counts, Floats, Ints, spread

_SHRINK = 5.0
_TEMPERATURES = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
_FIT_ROWS = 4000
_ROWS = 60
_TOLERATED = 0.05
"""Mean cosine beyond the usual one at which prompts count half."""


class Content:
    """The words of each row, row by row."""

    def __init__(self, words: Conditions, total: int) -> None:
        self.ids, starts = words.by_row
        self.starts = np.concatenate([starts, np.full(total + 1 - len(starts), starts[-1])])
        self.number = len(words)
        self.counts = Counts(words)
        self._last: tuple[bytes, tuple[Ints, Ints]] | None = None

    def of_again(self, rows: Ints) -> tuple[Ints, Ints]:
        """`of` rows that are often the last ones again: many behaviours are about the same."""
        key = rows.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = key, self.of(rows)
        return self._last[1]

    def of(self, rows: Ints) -> tuple[Ints, Ints]:
        """(word, position in `rows`) of every word of these rows."""
        begins, sizes = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        return self.ids[spread(begins, sizes)], np.repeat(np.arange(len(rows), dtype=np.int64), sizes)


class WordModel:
    """How many of some rows would show a behaviour if only their words mattered, learnt from all other rows.

    Naive Bayes over words with counts shrunk to the base rate, its score multiplied by one temperature fitted on held
    out rows, because the words of a prompt are not independent. Rows with the condition under test are left out of the
    counts, so neither the condition nor words that come only with it explain themselves.
    """

    def __init__(self, content: Content, behaviour: Behaviour) -> None:
        self._content, self._rows = content, behaviour.rows
        self._n, self._k = content.counts.of(behaviour.among), content.counts.of(behaviour.rows)
        among = np.flatnonzero(behaviour.among)
        self._total, self._behaving = len(among), int(np.count_nonzero(behaviour.rows))
        self._temperature = self._fit(among)

    def of(self, rows: Ints) -> float:
        """Expected number of `rows` that behave; each row counts at least its overall share."""
        ids, position = self._content.of(rows)
        behaving = self._rows[rows]
        mine = np.bincount(ids, minlength=self._content.number)
        present = np.flatnonzero(mine)  # other words have no part in it
        n = (self._n - mine)[present]
        k = (self._k - np.bincount(ids[behaving[position]], minlength=self._content.number))[present]
        left, left_behaving = self._total - len(rows), self._behaving - int(behaving.sum())
        rate = (left_behaving + 0.1) / (left + 1)
        weights = np.zeros(self._content.number)
        weights[present] = _weights(k, n, rate)
        score = np.bincount(position, weights=weights[ids], minlength=len(rows))
        expected = _sigmoid(np.log(rate / (1 - rate)) + self._temperature * score)
        return float(np.maximum(expected, self._behaving / self._total).sum())

    def _fit(self, among: Ints) -> float:
        """The temperature under which rows, each predicted from the others, are most likely."""
        chosen = np.zeros(len(self._rows), dtype=bool)
        chosen[among[:: max(1, len(among) // _FIT_ROWS)]] = True
        chosen[np.flatnonzero(self._rows)[:_FIT_ROWS]] = True
        some = np.flatnonzero(chosen)
        ids, position = self._content.of_again(some)
        behaving = self._rows[some]
        rate = self._behaving / self._total
        # what a word adds to a row differs only by whether that row, which is left out, behaves
        weights = np.zeros((2, self._content.number))
        for own, having in enumerate((np.flatnonzero(self._n > self._k), np.flatnonzero(self._k))):
            weights[own, having] = _weights(self._k[having] - own, self._n[having] - 1, rate)
        kinds = ids + (self._content.number * behaving)[position]
        score = np.bincount(position, weights=weights.ravel()[kinds], minlength=len(some))
        apart: Floats = np.asarray(score - np.median(score), dtype=np.float64)
        y = behaving.astype(float)
        share = y.mean()
        base = np.log(share / (1 - share)) if 0 < share < 1 else 0.0
        likelihood = [
            float((y * np.log(p) + (1 - y) * np.log1p(-p)).sum())
            for p in (np.clip(_sigmoid(base + t * apart), 1e-9, 1 - 1e-9) for t in _TEMPERATURES)
        ]
        return _TEMPERATURES[int(np.argmax(likelihood))]


def _weights(k: Floats | Ints, n: Floats | Ints, rate: float) -> Floats:
    """Log odds a word adds, shrunk to none where it is rare."""
    with_it = (k + _SHRINK * rate) / (n + _SHRINK)
    weights: Floats = np.log(with_it / (1 - with_it)) - np.log(rate / (1 - rate))
    return np.clip(weights, -4.0, 4.0)


def _sigmoid(x: Floats) -> Floats:
    value: Floats = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
    return value


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
        return _median(norms) if len(rows) else 0.0, likeness


def _median(values: Floats) -> float:
    """What numpy.median gives, of the few values here in a tenth of its time."""
    ordered, middle = np.sort(values), len(values) // 2
    return float(ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
