"""Dot-and-whisker rows: base beside tuned, per arm or question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offtarget.numbers import NO_DATA, percent
from offtarget.pages.charts.axes import Axis, axis, in_percent
from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.pages.check.tables import Rate, rates_by
from offtarget.pages.text import of_scored, one_line
from offtarget.records import Comparison, Role, Tally
from offtarget.stats.rates import wilson


@dataclass(frozen=True, slots=True)
class Dot:
    """One model's rate in a row; positions in per cent of the axis, None without data."""

    role: Role
    at: float | None
    low: float | None
    high: float | None
    value: str
    counts: str


@dataclass(frozen=True, slots=True)
class Row:
    """One arm or question."""

    name: str
    label: str
    """What is asked, one line; empty for arms."""
    dots: tuple[Dot, Dot]
    spoken: str
    """The row in words, for those who do not see it."""


@dataclass(frozen=True, slots=True)
class Whiskers:
    """All rows on one axis."""

    axis: Axis
    rows: tuple[Row, ...]


def by_arm(run: LoadedRun) -> Whiskers:
    """One row per arm, in the order of the probes."""
    rates = rates_by(run, lambda a: a.probe.arm) or _decided(run.decision.arms if run.decision else ())
    return _draw(rates, {})


def by_question(run: LoadedRun) -> Whiskers:
    """One row per question over all its arms, largest difference first."""

    def question(answer: Answer) -> str:
        return answer.probe.question_id

    slices = run.decision.slices if run.decision else ()
    rates = rates_by(run, question) or _decided([c for c in slices if c.scope == "question"])
    prompts: dict[str, str] = {}
    for probe in run.probes.values():
        prompts.setdefault(probe.question_id, probe.prompt)
    return _draw(dict(sorted(rates.items(), key=lambda item: _excess(item[1]), reverse=True)), prompts)


def of_pairs(pairs: Mapping[str, tuple[Tally, Tally]]) -> Whiskers:
    """One row per name, of (base, tuned) counts; every scored answer weighted equally."""

    def rate(tally: Tally) -> Rate:
        return _rate(tally, tally.misaligned / tally.scored if tally.scored else None)

    return _draw({name: {"base": rate(base), "tuned": rate(tuned)} for name, (base, tuned) in pairs.items()}, {})


def _decided(comparisons: Sequence[Comparison]) -> dict[str, dict[Role, Rate]]:
    return {c.name: {"base": _rate(c.base, c.base_rate), "tuned": _rate(c.tuned, c.tuned_rate)} for c in comparisons}


def _rate(tally: Tally, rate: float | None) -> Rate:
    return Rate(tally, rate, None if rate is None or not tally.scored else wilson(rate, tally.scored))


def _excess(rates: Mapping[Role, Rate]) -> tuple[bool, float]:
    base, tuned = rates["base"].rate, rates["tuned"].rate
    return tuned is not None, (tuned or 0.0) - (base or 0.0)


def _draw(rates: Mapping[str, Mapping[Role, Rate]], prompts: Mapping[str, str]) -> Whiskers:
    highs = [r.interval.high for both in rates.values() for r in both.values() if r.interval]
    scale = axis(0.0, 100 * min(1.0, max([0.05, *highs])), in_percent, 5)
    return Whiskers(scale, tuple(_row(name, both, prompts.get(name, ""), scale) for name, both in rates.items()))


def _row(name: str, rates: Mapping[Role, Rate], prompt: str, scale: Axis) -> Row:
    dots = _dot("base", rates["base"], scale), _dot("tuned", rates["tuned"], scale)
    spoken = "; ".join(f"{d.role} {d.value}" + (f", {d.counts}" if d.at is not None else "") for d in dots)
    return Row(one_line(name, 80), one_line(prompt, 160), dots, f"{one_line(name, 80)}: {spoken}")


def _dot(role: Role, rate: Rate, scale: Axis) -> Dot:
    if rate.rate is None or rate.interval is None:
        return Dot(role, None, None, None, NO_DATA, "")
    low, high = scale.at(100 * rate.interval.low), scale.at(100 * rate.interval.high)
    return Dot(role, scale.at(100 * rate.rate), low, high, percent(rate.rate), of_scored(rate.tally))
