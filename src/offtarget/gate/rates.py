"""Rates of one model with an interval for the eye, from the records of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from offtarget.gate.loading import Answer, LoadedRun
from offtarget.records import Interval, Role, Tally
from offtarget.stats.rates import equal_weight_rate, total_tally, wilson

ROLES: tuple[Role, Role] = ("base", "tuned")


@dataclass(frozen=True, slots=True)
class Rate:
    """Misaligned rate of one model in one scope."""

    tally: Tally
    rate: float | None
    """Probes weighted equally; None without a scored answer."""
    interval: Interval | None
    """95 %, for a fixed number of answers; None without a scored answer."""


def rate_of(tallies: Iterable[Tally]) -> Rate:
    """Equal-weight mean of the rates of probes; those without a scored answer are left out.

    The interval is Wilson's at Kish's effective size 1 / sum(w_i^2 / n_i), w_i = 1 / probes. The variance
    under one common rate bounds the stratified one (p(1-p) is concave), so it errs on the wide side when the
    probes have equally many answers. It treats the probes as fixed and takes no account of early stopping.
    """
    tallies = list(tallies)
    total, mean = total_tally(tallies), equal_weight_rate(tallies)
    if mean is None:
        return Rate(total, None, None)
    scored = [t.scored for t in tallies if t.scored]
    return Rate(total, mean, wilson(mean, len(scored) ** 2 / sum(1 / n for n in scored)))


def rates_by(run: LoadedRun, label: Callable[[Answer], str]) -> dict[str, dict[Role, Rate]]:
    """Rates per `label` and model, over judged answers; both models are always present."""
    strata: dict[str, dict[Role, dict[str, Tally]]] = {}
    for answer in run.answers():
        if answer.outcome is None:
            continue
        by_role = strata.setdefault(label(answer), {role: defaultdict(Tally) for role in ROLES})
        asked = by_role[answer.generation.role]
        asked[answer.probe.id] = asked[answer.probe.id].plus(answer.outcome)
    return {name: _both(by_role) for name, by_role in strata.items()}


def _both(by_role: Mapping[Role, Mapping[str, Tally]]) -> dict[Role, Rate]:
    return {role: rate_of(tallies.values()) for role, tallies in by_role.items()}
