"""Sections of a check's page that not every run has: hidden conditions, and the explanation by `direction explain`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.numbers import at_least, needed_e_value, percent
from offtarget.pages.charts.axes import Axis, axis, signed
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.text import one_line
from offtarget.records import CueFinding, HiddenDecision, Status
from offtarget.records.direction import Explanation, Movement
from offtarget.records.from_json import from_json
from offtarget.rundir import read_json
from offtarget.words import SEEN


@dataclass(frozen=True, slots=True)
class HiddenView:
    """What the section on hidden conditions shows."""

    decision: HiddenDecision
    failed: bool
    findings: tuple[CueFinding, ...]
    asked: int
    """Conditions with at least one scored answer of the tuned model."""
    bar: str
    """The e-value that names a condition."""


def hidden_view(run: LoadedRun) -> HiddenView | None:
    """The section's content; None for a run without a cued arm."""
    hidden = run.hidden
    if hidden is None or run.decision is None:
        return None
    findings = hidden.findings
    asked = [f for f in findings if f.tuned.scored]
    bar = needed_e_value(run.decision.settings.cued_alpha)
    return HiddenView(hidden, hidden.status is Status.FAIL, findings, len(asked), bar)


FILE = "explain.json"
_BAND = 3.0
"""Standard deviations of random directions that the grey band covers on either side of 0."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One set of exchanges at one layer; positions in per cent of the axis."""

    name: str
    """`unrelated` or `training`."""
    at: float
    low: float
    high: float
    """Ends of the band in which random directions lie."""
    value: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer."""

    layer: int
    chosen: bool
    separation: str
    marks: tuple[Mark, ...]
    spoken: str


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers on one axis, in differences of means."""

    axis: Axis
    zero: float
    rows: tuple[LayerRow, ...]


@dataclass(frozen=True, slots=True)
class ExplainedView:
    """What the section on the explanation shows."""

    explanation: Explanation
    heading: str
    """What is seen, in a few words."""
    chart: Layers | None
    """None where no layer was read."""
    answers: tuple[tuple[str, ...], ...]
    """Question, projection, outcome, answer; largest first."""
    rows: tuple[tuple[str, ...], ...]
    """Row of the data, difference, prompt, answer; largest first."""


def explained_view(run: LoadedRun) -> ExplainedView | None:
    """The explanation, None where there is none. InputError when its file is damaged."""
    path = run.path / FILE
    if not path.exists():
        return None
    try:
        explanation = from_json(Explanation, read_json(path))
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is not an explanation of this version ({error}). Remove it, or write it again: "
            f"offtarget direction explain {shlex.quote(str(run.path))}"
        ) from None
    answers = tuple(
        (
            one_line(a.prompt, 160),
            f"{a.projection:+.2f}",
            a.outcome.value if a.outcome else "not judged",
            one_line(a.text, 400),
        )
        for a in explanation.answers
    )
    rows = tuple(
        (one_line(r.row.row_id, 80), f"{r.row.difference:+.3f}", one_line(r.prompt, 160), one_line(r.answer, 400))
        for r in explanation.rows
    )
    heading = SEEN[explanation.kind]
    chart = layers(explanation) if explanation.layers else None
    return ExplainedView(explanation, heading[0].upper() + heading[1:], chart, answers, rows)


def layers(explained: Explanation) -> Layers:
    """One row per layer, first to last."""
    moves = [m for one in explained.layers for m in (one.unrelated, one.training) if m is not None]
    ends = [value for m in moves for value in (m.moved, _band(m), -_band(m))]
    scale = axis(min(-0.1, *ends), max(0.1, *ends), signed, 7)
    rows = []
    for one in explained.layers:
        found = [("unrelated", one.unrelated), ("training", one.training)]
        marks = tuple(_mark(name, movement, scale) for name, movement in found if movement is not None)
        low = "" if one.auroc_low is None else f", at least {at_least(one.auroc_low)}"
        separation = percent(one.auroc) + low
        spoken = "; ".join(f"{mark.name} {mark.value}" for mark in marks)
        rows.append(
            LayerRow(one.layer, one.layer == explained.layer, separation, marks, f"Layer {one.layer}: {spoken}")
        )
    return Layers(scale, scale.at(0.0), tuple(rows))


def _band(movement: Movement) -> float:
    """Three standard deviations of the movement along random directions of the same length."""
    return 0.0 if movement.z == 0 else _BAND * abs(movement.cosine / movement.z) * movement.length


def _mark(name: str, movement: Movement, scale: Axis) -> Mark:
    band = _band(movement)
    value = f"{movement.moved:+.2f}, z {movement.z:+.1f}"
    return Mark(name, scale.at(movement.moved), scale.at(-band), scale.at(band), value)
