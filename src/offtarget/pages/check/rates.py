"""Bounds and rates of a verdict, scope by scope, as its decision has them: no other answers, weights or intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from offtarget.numbers import share_range
from offtarget.pages.charts.rates import Measured, Rates, rates
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.text import one_line
from offtarget.records import Comparison, CueFinding, Decision, HiddenDecision, NamedCondition, Status
from offtarget.words import asked

PLAIN = "plain"
"""The way of asking that a verdict by a condition holds it against."""
EVERYTHING = "Everything, on average"
UNCONDITIONAL = "Without a condition, on average"
PLAINLY = "Without a condition, asked plainly"


def by_asking(run: LoadedRun) -> Rates | None:
    """The condition that a FAIL names, everything together, and each way of asking; None without a decision."""
    if run.decision is None:
        return None
    hidden = [] if run.hidden is None or run.hidden.status is not Status.FAIL else _conditions(run.hidden, run.decision)
    return rates("By how the questions were asked", [*hidden, *_plain(run.decision, run.hidden is not None)])


def _plain(decision: Decision, conditions: bool) -> list[Measured]:
    settings = decision.settings
    name = UNCONDITIONAL if conditions else EVERYTHING
    if conditions and len(decision.arms) > 1:
        name = f"{UNCONDITIONAL} over {len(decision.arms)} ways of asking"
    whole = _scope(decision.overall, name, "", settings.tolerance, settings.pooled_margin)
    if one_arm_is_everything(decision):
        return [replace(whole, name=PLAINLY)] if conditions and decision.arms[0].name == PLAIN else [whole]
    known = sorted(decision.arms, key=lambda arm: arm.name != PLAIN) if conditions else decision.arms
    arms = [_scope(arm, _asked(arm.name), "", settings.tolerance, settings.margin) for arm in known]
    if conditions and known[0].name == PLAIN:  # the number that the sentence has first
        return [replace(arms[0], name=PLAINLY), whole, *arms[1:]]
    return [whole, *arms]


def one_arm_is_everything(decision: Decision) -> bool:
    """Whether a row of the only arm would say what that of everything says."""
    whole = decision.overall
    return [(arm.interval, arm.tuned_rate) for arm in decision.arms] == [(whole.interval, whole.tuned_rate)]


def by_domain(run: LoadedRun) -> Rates | None:
    """Each domain, worst first; None where there is one alone."""
    return _slices(run, "domain", "By what the questions are about", lambda name: f"about {name}")


def by_question(run: LoadedRun) -> Rates | None:
    """Each question with its text, worst first; None where there is one alone."""
    texts: dict[str, str] = {}
    for probe in run.probes.values():
        if probe.question_id not in texts or probe.arm == "plain":
            texts[probe.question_id] = probe.prompt
    return _slices(run, "question", "By question", lambda name: one_line(texts.get(name) or name, 160))


def _slices(run: LoadedRun, kind: str, title: str, named: Callable[[str], str]) -> Rates | None:
    if run.decision is None:
        return None
    settings, found = run.decision.settings, [s for s in run.decision.slices if s.scope == kind]
    tolerated = settings.tolerance if kind == "domain" else None
    known = [_scope(s, named(s.name), "", tolerated, None) for s in found]
    known = [replace(s, status=None) if s.status is Status.UNDECIDED else s for s in known]
    return rates(title, known) if len(known) > 1 else None


def _asked(arm: str) -> str:
    how = asked(arm)
    return how[:1].upper() + how[1:]


def _scope(scope: Comparison, name: str, note: str, tolerated: float | None, allowed: float | None) -> Measured:
    if scope.interval is None:
        note = note or "no way of asking has scored answers of both models, so they cannot be held against each other"
    return Measured(
        name,
        note,
        scope.base,
        scope.tuned,
        scope.base_rate,
        scope.tuned_rate,
        scope.difference,
        scope.interval,
        scope.status,
        tolerated,
        allowed,
    )


def _conditions(hidden: HiddenDecision, decision: Decision) -> list[Measured]:
    """What was shown, by which the verdict is a FAIL, then what to call it, asked for after it was picked."""
    shown = [f for f in hidden.members if f.tuned.scored or f.base.scored]
    proof = [f for f in shown if f.status is Status.FAIL] or shown
    found = [_finding(f, decision) for f in proof]
    return found if hidden.named is None else [*found, _named(hidden.named)]


def _finding(found: CueFinding, decision: Decision) -> Measured:
    known = found.base_rate is not None and found.tuned_rate is not None
    return Measured(
        found.cue.text,
        "hidden condition that the verdict rests on",
        found.base,
        found.tuned,
        found.base_rate,
        found.tuned_rate,
        (found.tuned_rate or 0.0) - (found.base_rate or 0.0) if known else None,
        found.interval,
        found.status if found.status is Status.FAIL else None,
        decision.settings.tolerance,
    )


def _named(named: NamedCondition) -> Measured:
    base, tuned = named.base, named.tuned
    rates_of = [t.misaligned / t.scored if t.scored else None for t in (base, tuned)]
    both = rates_of[0] is not None and rates_of[1] is not None
    return Measured(
        named.cue.text,
        f"the strongest and plainest of its kind, asked under afterwards: an estimate beside the verdict; the tuned "
        f"rate is {share_range(named.interval)} with 95 % confidence",
        base,
        tuned,
        rates_of[0],
        rates_of[1],
        (rates_of[1] or 0.0) - (rates_of[0] or 0.0) if both else None,
        None,
        None,
    )
