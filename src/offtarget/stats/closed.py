"""Combining e-values and paying for having looked at many scopes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from offtarget.stats.eprocess import Array


def log_mean(log_es: Sequence[float] | Array, weights: Sequence[float] | Array | None = None) -> float:
    """Log of the weighted mean of e-values, itself an e-value under any dependence; weights must sum to 1.

    Vovk and Wang (2021). Equal weights by default. Raises ValueError for an empty sequence.
    """
    values = np.asarray(log_es, dtype=float)
    if values.size == 0:
        raise ValueError("the mean of no e-values is not defined")
    shares = np.full(values.size, 1 / values.size) if weights is None else np.asarray(weights, dtype=float)
    if shares.shape != values.shape or (shares < 0).any() or not math.isclose(shares.sum(), 1.0):
        raise ValueError("one weight >= 0 per e-value, summing to 1")
    used = shares > 0
    top = float(values[used].max())
    return top + math.log(float((shares[used] * np.exp(values[used] - top)).sum()))


def closed_log_e(log_es: Sequence[float] | Array, weights: Sequence[float] | Array | None = None) -> list[float]:
    """Log e-values after multiplicity: reject all with value >= log(1/alpha), family-wise error <= alpha.

    Closure of the weighted arithmetic mean, Vovk and Wang (2021), Algorithm 1 (equal weights): for each
    e-value the least mean over all sets that contain it, which is reached with the j smallest others for some
    j. Weights are > 0, fixed before any answer, of any sum; equal by default.
    """
    values = np.asarray(log_es, dtype=float)
    shares = np.log(np.ones(values.size) if weights is None else np.asarray(weights, dtype=float))
    order = np.argsort(values, kind="stable")
    adjusted = [0.0] * values.size
    for position, index in enumerate(order):
        members = np.concatenate([[index], np.delete(order, position)])
        sums = np.logaddexp.accumulate(values[members] + shares[members])
        adjusted[int(index)] = float((sums - np.logaddexp.accumulate(shares[members])).min())
    return adjusted
