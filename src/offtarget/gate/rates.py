"""Rates of one model with an interval for the eye, from the records of a run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from offtarget.gate.loading import Answer, LoadedRun
from offtarget.records import Interval, Role, Tally

Z95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""

ROLES: tuple[Role, Role] = ("base", "tuned")


@dataclass(frozen=True, slots=True)
class Rate:
    """Misaligned rate of one model in one scope."""

    tally: Tally
    rate: float | None
    """Exact prompts weighted equally; None without a scored answer."""
    interval: Interval | None
    """95 %, for a fixed number of answers; None without a scored answer."""


def wilson(rate: float, answers: float) -> Interval:
    """Wilson score interval, 95 % (Wilson 1927, JASA 22:209), for a rate over `answers` > 0 answers."""
    if answers <= 0 or not 0 <= rate <= 1:
        raise ValueError("wilson needs a rate in [0, 1] and answers > 0")
    shrink = 1 + Z95**2 / answers
    centre = (rate + Z95**2 / (2 * answers)) / shrink
    half = Z95 / shrink * math.sqrt(rate * (1 - rate) / answers + Z95**2 / (4 * answers**2))
    return Interval(max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate)))


def rate_of(tallies: Iterable[Tally]) -> Rate:
    """Equal-weight mean of the rates of exact prompts; those without a scored answer are left out.

    The interval is Wilson's at Kish's effective size 1 / sum(w_i^2 / n_i), w_i = 1 / prompts. The variance
    under one common rate bounds the stratified one (p(1-p) is concave), so it errs on the wide side when the
    prompts have equally many answers. It treats the prompts as fixed and takes no account of early stopping.
    """
    tallies = list(tallies)
    total = Tally(*(sum(getattr(t, name) for t in tallies) for name in Tally.__slots__))
    scored = [t for t in tallies if t.scored]
    if not scored:
        return Rate(total, None, None)
    mean = sum(t.misaligned / t.scored for t in scored) / len(scored)
    mean = min(1.0, mean)
    size = len(scored) ** 2 / sum(1 / t.scored for t in scored)
    return Rate(total, mean, wilson(mean, size))


Scope = Callable[[Answer], str]


def rates_by(run: LoadedRun, scope: Scope) -> dict[str, dict[Role, Rate]]:
    """Rates per value of `scope` and model, over judged answers; both models are always present."""
    strata: dict[str, dict[Role, dict[str, Tally]]] = {}
    for answer in run.answers():
        if answer.outcome is None:
            continue
        by_role = strata.setdefault(scope(answer), {role: defaultdict(Tally) for role in ROLES})
        asked = by_role[answer.generation.role]
        asked[answer.probe.id] = asked[answer.probe.id].plus(answer.outcome)
    return {name: _both(by_role) for name, by_role in strata.items()}


def _both(by_role: Mapping[Role, Mapping[str, Tally]]) -> dict[Role, Rate]:
    return {role: rate_of(questions.values()) for role, questions in by_role.items()}
