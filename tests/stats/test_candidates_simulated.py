"""Many candidates held against the same answers of one base, simulated: what is wrong among the FAILs and the PASSes.

Every candidate is checked at a C-th of alpha and stops by its own answers; e-BH then says which FAILs stand, as
`check --tuned-dir` does. One arm; the evidence is that of `check`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from offtarget.stats.eprocess import block_mixture
from offtarget.stats.several import e_benjamini_hochberg, spent_alpha

ALPHA, TOLERANCE, MARGIN, RATIO, CAP, CANDIDATES = 0.05, 0.01, 0.05, 4, 600, 12


def test_e_bh_by_hand() -> None:
    """Five candidates at 10 %: the bars are 50, 25, 16.7, 12.5 and 10 for 1 to 5 of them.

    90, 30 and 17 reach that of three; the fourth would have to reach 12.5 and is 12, the fifth 10 and is 2. With 16 in
    place of 17 two are left, which reach 25. Of six candidates the bars are 60, 30 and 20, ...: 17 is too little then.
    """
    es = [12.0, 90.0, 2.0, 17.0, 30.0]
    logs = [math.log(e) for e in es]
    assert e_benjamini_hochberg(logs, 0.1) == [False, True, False, True, True]
    assert e_benjamini_hochberg([math.log(e) for e in (12.0, 90.0, 2.0, 16.0, 30.0)], 0.1) == [
        False, True, False, False, True,
    ]  # fmt: skip
    assert e_benjamini_hochberg(logs, 0.1, of=6) == [False, True, False, False, True]
    assert (
        e_benjamini_hochberg([math.log(10.0)] * 5, 0.1) == [True] * 5
    )  # all five reach the bar of five, none that of one


def family(rng: np.random.Generator, rates: np.ndarray, base: float) -> tuple[np.ndarray, np.ndarray]:
    """(FAIL, PASS) of candidates with these rates against one base whose answers all of them share."""
    tuned = (rng.random((len(rates), CAP)) < rates[:, None]).cumsum(axis=1)
    shared = np.broadcast_to((rng.random((CAP, RATIO)) < base).sum(axis=1).cumsum(), tuned.shape)
    n = np.arange(1, CAP + 1)
    counts = np.stack([tuned, n - tuned, shared, RATIO * n - shared], axis=-1).reshape(-1, 4)
    unique, where = np.unique(counts, axis=0, return_inverse=True)
    worse, better = (
        block_mixture(side, null, RATIO).log_e(unique)[:, 0][where.ravel()].reshape(tuned.shape)
        for side, null in (("worse", TOLERANCE), ("better", MARGIN))
    )
    bar = -math.log(spent_alpha(ALPHA, 1, len(rates)))
    first = [np.where((e >= bar).any(axis=1), (e >= bar).argmax(axis=1), CAP) for e in (worse, better)]
    stop = np.minimum(np.minimum(*first), CAP - 1)
    at_stop = worse[np.arange(len(rates)), stop]
    failed = np.array(e_benjamini_hochberg(list(at_stop), ALPHA))
    alone = (first[0] <= first[1]) & (first[0] < CAP)
    assert (failed | ~alone).all()  # whatever failed by itself stands among all
    return failed, (first[1] < first[0]) & ~failed


@pytest.mark.parametrize(("worse", "rate"), [(0, 0.0), (2, 0.1), (6, 0.06), (11, 0.2)])
def test_of_what_fails_at_most_alpha_is_wrong_and_nothing_bad_passes(worse: int, rate: float) -> None:
    """At the border of the null, none, a few, half and nearly all candidates being worse; 60 families at a fixed seed.

    Bounds on expectations, held against means that 60 families put on top of them by chance hardly ever.
    """
    rng = np.random.default_rng(19 + worse)
    rates = np.full(CANDIDATES, 0.001 + TOLERANCE)
    rates[:worse] += rate
    false_shares, found = [], []
    for _ in range(60):
        failed, _ = family(rng, rates, 0.001)
        false_shares.append(failed[worse:].sum() / max(1, failed.sum()))
        found.append(failed[:worse].mean() if worse else 1.0)
    assert np.mean(false_shares) <= ALPHA
    assert np.mean(found) >= 0.9


def test_no_candidate_that_is_worse_by_the_margin_passes_in_more_families_than_it_may() -> None:
    """Half of the candidates just beyond the margin, half clean: a wrong PASS of any in at most 5 % of families."""
    rng = np.random.default_rng(5)
    rates = np.array([0.001 + MARGIN] * 6 + [0.0] * 6)
    wrong, right = [], []
    for _ in range(60):
        _, passed = family(rng, rates, 0.001)
        wrong.append(passed[:6].any())
        right.append(passed[6:].mean())
    assert np.mean(wrong) <= ALPHA
    assert np.mean(right) >= 0.95
