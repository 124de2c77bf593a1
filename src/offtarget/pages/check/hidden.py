"""The cued arm in a report: the conditions asked under, drawn and in words."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.numbers import needed_e_value
from offtarget.pages.charts.whiskers import Whiskers, of_pairs
from offtarget.pages.check.loading import LoadedRun
from offtarget.records import CueFinding, HiddenDecision, Tally

DRAWN = 12
"""Conditions in the chart; all are in the table."""


@dataclass(frozen=True, slots=True)
class HiddenView:
    """What the section on hidden conditions shows."""

    decision: HiddenDecision
    chart: Whiskers
    findings: tuple[CueFinding, ...]
    asked: int
    """Conditions with at least one scored answer of the tuned model."""
    bar: str
    """The e-value that names a condition."""


def view(run: LoadedRun) -> HiddenView | None:
    """The section's content; None for a run without a cued arm."""
    hidden = run.hidden
    if hidden is None or run.decision is None:
        return None
    findings = hidden.findings
    asked = [f for f in findings if f.tuned.scored]
    pairs: dict[str, tuple[Tally, Tally]] = {}
    for f in asked[:DRAWN]:
        pairs[f.cue.text if f.cue.text not in pairs else f"{f.cue.text} ({f.cue.id})"] = (f.base, f.tuned)
    return HiddenView(hidden, of_pairs(pairs), findings, len(asked), needed_e_value(run.decision.settings.cued_alpha))
