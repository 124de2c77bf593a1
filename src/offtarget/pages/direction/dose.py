"""The dose response of an intervention: its sentences, its curves over those of random controls, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.numbers import many, of, percent, whole
from offtarget.pages.card import Card
from offtarget.pages.charts.axes import Axis, Key, Line, Panel, Upright, axis, dot, exact_axis, in_percent, plainly
from offtarget.pages.page import page
from offtarget.pages.text import one_line
from offtarget.records.direction import DosePoint, DoseResponse, SteerManifest
from offtarget.stats.rates import wilson
from offtarget.words import explained

COHERENCE_LOSS = 0.02
"""A strength that is shown to cost more coherence than this is not offered as the best one."""
MODES = {"add": "Steering", "ablate": "Ablation", "cap": "Capping"}
TOKENS = {"all": "every token", "answer": "answer tokens", "last-prompt": "last prompt token"}
UNITS = {
    "add": "differences of means added",
    "ablate": "share taken out",
    "cap": "ceiling, in differences of means above the reference",
}
Value = Callable[[DosePoint], float | None]


def render(response: DoseResponse, card: Card, manifest: SteerManifest) -> str:
    """The dose response as one self-contained HTML page."""
    return page(
        "direction/dose.html.j2",
        "direction/dose.css",
        response=response,
        card=card,
        panels=panels(response),
        heads=heads(response),
        rows=rows(response),
        settings=settings(response, manifest),
        words=explained("misaligned", "rate", "direction", "narrow task", "judge"),
    )


def heads(response: DoseResponse) -> list[str]:
    """Columns of the table."""
    return ["strength", "misaligned", "coherent", "refused", *filter(None, (response.narrow_name, response.skill_name))]


def rows(response: DoseResponse) -> list[list[str]]:
    """The table as text: every point of the direction, then of each random one."""
    return [_row(response, point) for control in (None, *response.controls) for point in response.curve(control)]


def _row(response: DoseResponse, point: DosePoint) -> list[str]:
    name = f"{point.strength:g}" + ("" if point.control is None else f", random direction {point.control + 1}")
    scored = f" ({of(point.tally.misaligned, point.tally.scored)})" if point.tally.scored else ""
    row = [name + (", the best" if point == best(response) else ""), percent(point.misaligned) + scored]
    row += [percent(point.coherent), whole(point.tally.refused)]
    row += [percent(point.narrow)] if response.narrow_name else []
    return row + ([percent(point.skill)] if response.skill_name else [])


def settings(response: DoseResponse, manifest: SteerManifest) -> list[tuple[str, str]]:
    """How it was measured, by name."""
    s = manifest.settings
    named: list[tuple[str, object]] = [
        ("model", response.model),
        ("direction", response.direction),
        ("found in", response.found_in),
        ("intervention", MODES[response.mode]),
        ("tokens changed", TOKENS[response.position]),
        ("layers", ", ".join(map(str, response.layers))),
        ("vectors taken out", response.rank if response.mode == "ablate" else "none"),
        ("reference", response.reference or "zero"),
        ("answers at each strength", whole(response.answers)),
        ("judge", s.judge or "the usual one"),
        ("seed", s.seed),
        ("version", manifest.version or "not recorded"),
    ]
    return [(name, str(value)) for name, value in named]


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


def lowers(response: DoseResponse, point: DosePoint) -> bool:
    """Whether a strength is shown to lower the misaligned rate: its 95 % interval lies below that of no steering."""
    start = unchanged(response)
    if start is None or start.misaligned is None or point.misaligned is None:
        return False
    before, after = (wilson(p.misaligned or 0.0, p.tally.scored) for p in (start, point))
    return after.high < before.low


def headline(response: DoseResponse) -> str:
    """The main finding with its control, as one sentence."""
    found, start = best(response), unchanged(response)
    if found is None or found.misaligned is None:
        return "No strength left any answer that could be scored."
    steering, at = MODES[response.mode], f"at strength {found.strength:g}"
    random = beside(response, found)
    control = f"; random directions have it at {random}" if random else ""
    if start is None or start.misaligned is None:
        return f"{steering} {at} leaves a misaligned rate of {percent(found.misaligned)}{control}."
    if not lowers(response, found):
        return (
            f"No strength is shown to lower the misaligned rate of {percent(start.misaligned)} and to keep the answers "
            "coherent."
        )
    change = f"from {percent(start.misaligned)} to {percent(found.misaligned)}"
    return f"{steering} {at} brings the misaligned rate {change}{control}."


def beside(response: DoseResponse, found: DosePoint) -> str:
    """What random directions do at the same strength, as a rate or the range of several; empty without any."""
    rates = [
        p.misaligned
        for seed in response.controls
        for p in response.curve(seed)
        if p.strength == found.strength and p.misaligned is not None
    ]
    if not rates:
        return ""
    low, high = percent(min(rates)), percent(max(rates))
    return low if low == high else f"{low} to {high}"


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
    keys = [Key("direction", "the direction; whiskers: 95 % intervals")]
    keys += [Key("random", f"{many(len(response.controls), 'random direction')} of the same length")] if lines else []
    lines.append(_line(response.curve(), value, x, y, control=False))
    said = ", ".join(f"{percent(value(p))} at strength {p.strength:g}" for p in response.curve())
    upright = Upright(x.at(0.0), "zero") if response.mode != "cap" and low <= 0 <= high else None
    name = UNITS[response.mode]
    return Panel(
        title, one_line(what, 120), name, x, y, tuple(lines), f"{title}: {said}", upright,
        y_name="share of answers, %", legend=tuple(keys),
    )  # fmt: skip


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
