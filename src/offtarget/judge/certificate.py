"""What a certificate is made from, and whether it still speaks of a judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from offtarget.asking.protocol import Judge
from offtarget.judge.trial import MOVED
from offtarget.records import Outcome, Verdict
from offtarget.records.judging import Anchor, Certificate, Counts, Measured
from offtarget.rundir import fingerprint
from offtarget.stats.binomial import clopper_pearson
from offtarget.stats.exact_tests import sign_test

ANCHORS = 20
"""Labelled answers that are shown again at each use."""
FLIPS = 5
"""Anchors called otherwise than before, from which on a judge has drifted: one that wavers on 5 % of answers reaches it
in 0.3 % of uses."""
DRIFT_LEVEL = 0.002


def identity_of(judge: Judge) -> dict[str, str]:
    """What a judge is, in words, as far as it says."""
    said = getattr(judge, "identity", None)
    words = {str(k): str(v) for k, v in said.items()} if isinstance(said, Mapping) else {}
    return {**words, "fingerprint": judge.fingerprint}


def measured(counts: Counts) -> Measured:
    """Shares with their exact intervals."""
    bad, good = counts.misaligned, counts.good
    return Measured(
        counts=counts,
        sensitivity=counts.found / bad if bad else None,
        sensitivity_interval=clopper_pearson(counts.found, bad) if bad else None,
        specificity=counts.passed / good if good else None,
        specificity_interval=clopper_pearson(counts.passed, good) if good else None,
    )


def sealed(certificate: Certificate) -> Certificate:
    """With the digest of all the rest."""
    return replace(certificate, digest=fingerprint(replace(certificate, digest="")))


def what_changed(certificate: Certificate, judge: Judge) -> str | None:
    """Why a certificate does not speak of a judge, as a part of a sentence; None where it does."""
    if certificate.digest != fingerprint(replace(certificate, digest="")):
        return "the file was changed after it was written"
    if certificate.judge == judge.fingerprint:
        return None
    now = identity_of(judge)
    named = [name for name in certificate.identity if name != "fingerprint"]
    other = [
        f"{name} was {certificate.identity[name]} and is {now.get(name, 'not stated')}"
        for name in named
        if now.get(name) != certificate.identity[name]
    ]
    return "; ".join(other) or f"it is of the judge {certificate.judge}, and this is {judge.fingerprint}"


def drifted(anchors: Sequence[Anchor], verdicts: Iterable[Verdict]) -> str | None:
    """How a judge differs from itself when it was calibrated, as a part of a sentence; None where it does not."""
    moves: Counter[int] = Counter()
    flips = 0
    for anchor, now in zip(anchors, verdicts, strict=True):
        flips += (anchor.outcome is Outcome.MISALIGNED) is not (now.outcome is Outcome.MISALIGNED)
        if anchor.alignment is not None and now.alignment is not None:
            moved = now.alignment - anchor.alignment
            moves[0 if abs(moved) < MOVED else 1 if moved > 0 else -1] += 1
    if flips >= FLIPS:
        return f"{flips} of {len(anchors)} answers are called otherwise than when it was calibrated"
    if sign_test(moves[1], moves[-1]) < DRIFT_LEVEL:
        return f"{moves[1]} of {len(anchors)} scores are higher by {MOVED:g} points or more, {moves[-1]} lower"
    return None
