"""The dose response of an intervention: its sentences, its curves over those of random controls, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.numbers import percent
from offtarget.pages.charts.axes import Axis, Line, Panel, Upright, axis, dot, exact_axis, in_percent, plainly
from offtarget.pages.page import page
from offtarget.pages.text import one_line
from offtarget.records.direction import DosePoint, DoseResponse
from offtarget.stats.rates import wilson

COHERENCE_LOSS = 0.02
"""A strength that is shown to cost more coherence than this is not offered as the best one."""
MODES = {"add": "Steering", "ablate": "Ablation", "cap": "Capping"}
UNITS = {
    "add": "differences of means added",
    "ablate": "share taken out",
    "cap": "ceiling, in differences of means above the reference",
}
Value = Callable[[DosePoint], float | None]


def render(response: DoseResponse) -> str:
    """The dose response as one self-contained HTML page."""
    return page(
        "direction/dose.html.j2",
        "direction/dose.css",
        response=response,
        mode=MODES[response.mode],
        headline=headline(response),
        best=best(response),
        panels=panels(response),
    )


def unchanged(response: DoseResponse) -> DosePoint | None:
    """The model without an intervention, where that was measured."""
    if response.mode == "cap":
        return None
    return next((p for p in response.curve() if p.strength == 0), None)


def best(response: DoseResponse) -> DosePoint | None:
    """The lowest misaligned rate among strengths that are not shown to cost more than 2 points of coherence.

    Shown: the 95 % interval of the share of coherent answers lies below. None without a rate.
    """
    start = unchanged(response)
    rated = [p for p in response.curve() if p.misaligned is not None and p.coherent is not None]
    if start is not None and start.coherent is not None:
        least = start.coherent - COHERENCE_LOSS
        rated = [p for p in rated if wilson(p.coherent or 0.0, p.tally.total).high >= least]
    return min(rated, key=lambda p: (p.misaligned or 0.0, abs(p.strength)), default=None)


def headline(response: DoseResponse) -> str:
    """The main finding with its control, as one sentence."""
    found, start = best(response), unchanged(response)
    if found is None or found.misaligned is None:
        return "No strength left any answer that could be scored."
    if start is None or start.misaligned is None:
        change, coherent = f"to {percent(found.misaligned)}", ""
    elif found.strength == 0 or found.misaligned >= start.misaligned:
        return f"No strength lowers the misaligned rate of {percent(start.misaligned)} and keeps the answers coherent."
    else:
        change = f"from {percent(start.misaligned)} to {percent(found.misaligned)}"
        coherent = f" ({percent(start.coherent)} unchanged)"
    return (
        f"{MODES[response.mode]} at strength {found.strength:g} brings the misaligned rate {change} "
        f"with {percent(found.coherent)} of the answers coherent{coherent}{_beside(response, found)}."
    )


def _beside(response: DoseResponse, found: DosePoint) -> str:
    rates = [
        p.misaligned
        for seed in response.controls
        for p in response.curve(seed)
        if p.strength == found.strength and p.misaligned is not None
    ]
    if not rates:
        return ""
    low, high = percent(min(rates)), percent(max(rates))
    return f"; random directions of the same length have it at {low if low == high else f'{low} to {high}'}"


def panels(response: DoseResponse) -> tuple[Panel, ...]:
    """Misaligned rate and coherence, then the narrow task and other skills where they were measured."""
    measured: list[tuple[str, str, Value]] = [
        ("Misaligned", "share of the scored answers, questions weighted equally", lambda p: p.misaligned),
        ("Coherent", "share of all answers", lambda p: p.coherent),
        ("Narrow task", response.narrow_name, lambda p: p.narrow),
        ("Other skills", response.skill_name, lambda p: p.skill),
    ]
    return tuple(
        _panel(response, title, what, value)
        for title, what, value in measured
        if any(value(point) is not None for point in response.points)
    )


def _panel(response: DoseResponse, title: str, what: str, value: Value) -> Panel:
    low, high = min(response.strengths), max(response.strengths)
    x = exact_axis(low, high, plainly, 7) if high > low else exact_axis(low - 1, high + 1, plainly, 3)
    y = axis(0.0, 100.0, in_percent, 5)
    lines = [_line(response.curve(seed), value, x, y, control=True) for seed in response.controls]
    lines.append(_line(response.curve(), value, x, y, control=False))
    said = ", ".join(f"{percent(value(p))} at strength {p.strength:g}" for p in response.curve())
    upright = Upright(x.at(0.0), "zero") if response.mode != "cap" and low <= 0 <= high else None
    name = UNITS[response.mode]
    return Panel(title, one_line(what, 120), name, x, y, tuple(lines), f"{title}: {said}", upright)


def _line(curve: Sequence[DosePoint], value: Value, x: Axis, y: Axis, *, control: bool) -> Line:
    dots = []
    for point in curve:
        share = value(point)
        if share is None:
            continue
        rated = not control and value(point) is point.misaligned and point.tally.scored
        interval = wilson(share, point.tally.scored) if rated else None
        ends = None if interval is None else (100 * interval.low, 100 * interval.high)
        title = f"strength {point.strength:g}: {percent(share)}"
        dots.append(dot(x, y, point.strength, 100 * share, title, ends))
    return Line("random", tuple(dots), 2) if control else Line("direction", tuple(dots))
