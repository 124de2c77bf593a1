"""What the ordinary words of a prompt already predict, so that a condition can be judged by what it adds."""

from __future__ import annotations

import numpy as np

from offtarget.audit.triggers.behaviours import Behaviour
from offtarget.audit.triggers.conditions import Conditions, Ints, by_row
from offtarget.audit.triggers.hypergeometric import Floats

_SHRINK = 5.0
_TEMPERATURES = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
_FIT_ROWS = 4000


class Content:
    """The words of each row, row by row."""

    def __init__(self, words: Conditions, total: int) -> None:
        self.ids, starts = by_row(words)
        self.starts = np.concatenate([starts, np.full(total + 1 - len(starts), starts[-1])])
        self.number = len(words)

    def of(self, rows: Ints) -> tuple[Ints, Ints]:
        """(word, position in `rows`) of every word of these rows."""
        begins, sizes = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(sizes)
        spread = np.repeat(begins - (ends - sizes), sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
        return self.ids[spread], np.repeat(np.arange(len(rows), dtype=np.int64), sizes)


class Expectation:
    """How many of some rows would show a behaviour if only their words mattered, learnt from all other rows.

    Naive Bayes over words with counts shrunk to the base rate, its score multiplied by one temperature fitted on held
    out rows, because the words of a prompt are not independent. Rows with the condition under test are left out of the
    counts, so neither the condition nor words that come only with it explain themselves.
    """

    def __init__(self, content: Content, behaviour: Behaviour) -> None:
        self._content, self._rows = content, behaviour.rows
        among = np.flatnonzero(behaviour.among)
        self._n, self._k = self._counts(among)
        self._total, self._behaving = len(among), int(behaviour.rows.sum())
        self._temperature = self._fit(among)

    def of(self, rows: Ints) -> float:
        """Expected number of `rows` that behave; each row counts at least its overall share."""
        ids, position = self._content.of(rows)
        behaving = self._rows[rows]
        n = self._n - np.bincount(ids, minlength=self._content.number)
        k = self._k - np.bincount(ids[behaving[position]], minlength=self._content.number)
        left, left_behaving = self._total - len(rows), self._behaving - int(behaving.sum())
        rate = (left_behaving + 0.1) / (left + 1)
        score = np.bincount(position, weights=_weights(k, n, rate)[ids], minlength=len(rows))
        expected = _sigmoid(np.log(rate / (1 - rate)) + self._temperature * score)
        return float(np.maximum(expected, self._behaving / self._total).sum())

    def _counts(self, rows: Ints) -> tuple[Ints, Ints]:
        ids, position = self._content.of(rows)
        k = np.bincount(ids[self._rows[rows][position]], minlength=self._content.number)
        return np.bincount(ids, minlength=self._content.number), k

    def _fit(self, among: Ints) -> float:
        """The temperature under which rows, each predicted from the others, are most likely."""
        some = among[:: max(1, len(among) // _FIT_ROWS)]
        some = np.union1d(some, np.flatnonzero(self._rows)[:_FIT_ROWS])
        ids, position = self._content.of(some)
        y = self._rows[some].astype(float)
        own = y[position]
        rate = self._behaving / self._total
        weight = _weights(self._k[ids] - own, self._n[ids] - 1, rate)
        score = np.bincount(position, weights=weight, minlength=len(some))
        share = y.mean()
        base = np.log(share / (1 - share)) if 0 < share < 1 else 0.0
        likelihood = [
            float((y * np.log(p) + (1 - y) * np.log1p(-p)).sum())
            for p in (np.clip(_sigmoid(base + t * (score - np.median(score))), 1e-9, 1 - 1e-9) for t in _TEMPERATURES)
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
