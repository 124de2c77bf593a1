"""The comparison of defences as one self-contained HTML page."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.gate.charts.axes import Axis, axis, in_percent
from offtarget.gate.defences import story
from offtarget.gate.page import environment, policy, template_file
from offtarget.records.tune import Frontier

STYLES = ("report.css", "dose.css", "repair.css", "defences.css")


@dataclass(frozen=True, slots=True)
class Mark:
    """One arm in the plane of task and misalignment; positions in per cent of the axes, y counted downwards."""

    number: int
    label: str
    control: bool
    x: float
    plain: float
    cued: float


@dataclass(frozen=True, slots=True)
class Plane:
    """Narrow task kept (right is better) against misaligned answers (down is better)."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


def render(frontier: Frontier) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style = "".join(map(template_file, STYLES))
    table = story.rows(frontier)
    return (
        environment()
        .get_template("defences.html.j2")
        .render(
            frontier=frontier,
            rows=table,
            sentences=story.sentences(frontier),
            further=sorted({steps for row in table for steps in row.later}),
            plane=plane(table),
            style=Markup(style),  # noqa: S704 - our own files
            policy=policy(style),
        )
    )


def plane(table: list[story.ArmRow]) -> Plane | None:
    """Every arm whose task and rates are known; None without any."""
    known = [row for row in table if row.task.mean is not None and row.plain.mean is not None]
    if not known:
        return None
    highest = max(max(row.plain.mean or 0.0, row.cued.mean or 0.0) for row in known)
    x = axis(min(0.0, *(100 * (row.task.mean or 0.0) for row in known)), 100.0, in_percent)
    y = axis(0.0, max(5.0, 100 * highest), in_percent)
    marks = [
        Mark(
            number,
            row.label,
            row.control,
            x.at(100 * (row.task.mean or 0.0)),
            100 - y.at(100 * (row.plain.mean or 0.0)),
            100 - y.at(100 * (row.cued.mean if row.cued.mean is not None else row.plain.mean or 0.0)),
        )
        for number, row in enumerate(table, start=1)
        if row in known
    ]
    return Plane(x, y, tuple(marks))
