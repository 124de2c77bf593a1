"""A judge's rate corrected by what labels of other answers say it finds and flags; of the same model's see `ppi.py`."""

from __future__ import annotations

from offtarget.records import Interval
from offtarget.records.judging import Counts
from offtarget.stats.binomial import clopper_pearson
from offtarget.stats.ppi import CorrectedRate

_THIRD = 0.05 / 3


def by_sensitivity(flags: int, answers: int, labelled: Counts) -> CorrectedRate | None:
    """The rate of `answers` of which the judge flags `flags`, where labels are of answers drawn otherwise.

    (q - f) / (s - f) for the flagged share q, sensitivity s and false-positive share f: Rogan and Gladen (1978, Am. J.
    Epidemiol. 107:71). The interval lets each of the three go through its own exact one, at a third of 5 % each, so it
    covers in at least 95 % whatever was labelled, as long as s and f carry over. None where s is not above f.
    ValueError without answers or without labels of both kinds.
    """
    if answers < 1 or not 0 <= flags <= answers or not labelled.misaligned or not labelled.good:
        raise ValueError(f"no rate from {flags} flags of {answers} answers and {labelled}")
    q, s, f = flags / answers, labelled.found / labelled.misaligned, labelled.flagged / labelled.good
    if s <= f:
        return None
    share = clopper_pearson(flags, answers, _THIRD)
    finds = clopper_pearson(labelled.found, labelled.misaligned, _THIRD)
    errs = clopper_pearson(labelled.flagged, labelled.good, _THIRD)
    # within [0, 1] the rate falls as either share rises
    low = max(0.0, (share.low - errs.high) / (finds.high - errs.high)) if finds.high > errs.high else 0.0
    high = min(1.0, max(0.0, share.high - errs.low) / (finds.low - errs.low)) if finds.low > errs.low else 1.0
    rate = min(1.0, max(0.0, (q - f) / (s - f)))
    return CorrectedRate(rate, Interval(min(low, rate), max(high, rate)), weight=1.0, exact=True)
