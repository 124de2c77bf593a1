"""Exact probabilities, without randomness, for tests of evidence about finite sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def ever(crossed: Callable[[int, int], bool], rows: int, bad: int, looks: int | None = None) -> float:
    """P(crossed(n, k) for some n >= 1) when `bad` of `rows` rows are bad and all are looked at one by one."""
    alive = np.zeros(bad + 2)
    alive[0] = 1.0
    done = 0.0
    k = np.arange(bad + 2)
    for n in range(1, (looks or rows) + 1):
        share = np.clip((bad - k) / (rows - n + 1), 0.0, 1.0)
        grown = alive * (1 - share)
        grown[1:] += (alive * share)[:-1]
        for count in np.flatnonzero(grown > 0):
            if crossed(n, int(count)):
                done += grown[count]
                grown[count] = 0.0
        alive = grown
    return float(done)
