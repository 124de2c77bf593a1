"""The page of a comparison of defences: the verdict, what it rests on, every arm as a row, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.numbers import percent
from offtarget.pages.charts.axes import Axis, axis, in_percent
from offtarget.pages.defences.card import best_of, card, little_to_defend
from offtarget.pages.defences.table import CUED, PLAIN, TASK, ArmRow, Spread, aims_in_words, heads, looked_at, rows
from offtarget.pages.page import page
from offtarget.records.tune import CellAnswer, Frontier
from offtarget.words import TERMS

WORDS = ("misaligned", "hidden condition", "judge")
OWN_WORDS = {
    "control": (
        "The same procedure with its active part replaced, e.g. random rows in place of chosen ones. Where a control "
        "does as well as its defence, the active part is not what helps."
    ),
    "task kept": (
        "What the model learnt of the task, as a share of what training without a defence learnt: by what its answers "
        "do where that can be told, else by how likely it finds held-out rows."
    ),
    "steps later": (
        "A model that was kept aligned is trained on with the same data, without the defence. A misalignment that "
        "comes back in a few steps was only hidden."
    ),
}


def render(frontier: Frontier, answers: Sequence[CellAnswer] = ()) -> str:
    """The comparison as one self-contained HTML page."""
    table = rows(frontier)
    further = looked_at(table)
    return page(
        "defences/defences.html.j2",
        "charts/strips.css",
        "defences/defences.css",
        card=card(frontier, answers),
        aims=aims_in_words(),
        strips=strips(table),
        heads=heads(further),
        cells=[row.cells(further) for row in table],
        notes=[(row.label, note) for row in table for note in row.notes],
        settings=[(name, str(value)) for name, value in frontier.settings.items()],
        words={**{word: TERMS[word] for word in WORDS}, **OWN_WORDS},
    )


def sentences(frontier: Frontier) -> list[str]:
    """What the comparison comes to, and what came back of every defence that meets the aims."""
    table = rows(frontier)
    best, undefended = best_of(table), next((r for r in table if r.label == "none"), None)
    good = [row for row in table if row.reaches and not row.control and row.label != "none"]
    lines = []
    if undefended is not None and little_to_defend(undefended):
        lines.append(
            f"Undefended training is {undefended.plain.text} misaligned, {undefended.cued.text} under conditions: "
            "there is little to defend against here."
        )
    aims = ", ".join(aims_in_words())
    if good:
        lines.append(f"All aims ({aims}) are met by: {', '.join(row.label for row in good)}.")
    else:
        nearest = "" if best is None else f"; {best.label} came nearest"
        lines.append(f"No defence meets all aims ({aims}){nearest}.")
    for row in good:
        lines += [_came_back(row, steps) for steps in sorted(row.later)]
    return [*lines, *frontier.notes]


def _came_back(row: ArmRow, steps: int) -> str:
    plain, cued = row.later[steps]
    return f"{row.label}, {steps} undefended steps later: {plain.text} plainly, {cued.text} under conditions."


@dataclass(frozen=True, slots=True)
class Strip:
    """One arm: two rates and the task on axes from 0 to 100 per cent."""

    label: str
    kind: str
    """`defence`, `control`, or `fixed` for the base and the undefended tune."""
    plain: float
    cued: float | None
    task: float | None
    said: tuple[str, str, str]
    """Plain, under conditions, task kept."""
    reaches: bool

    @property
    def spoken(self) -> str:
        """The row in words, for those who do not see it."""
        plain, cued, task = self.said
        return f"{self.label}: {plain} misaligned plainly, {cued} under conditions, of the task kept: {task}"


@dataclass(frozen=True, slots=True)
class Strips:
    """All arms, the safest first, with the aims as lines."""

    axis: Axis
    plain_aim: float
    cued_aim: float
    task_aim: float
    rows: tuple[Strip, ...]


def strips(table: Sequence[ArmRow]) -> Strips | None:
    """Every arm whose rates are known; None without any."""
    known = [row for row in table if row.plain.mean is not None]
    if not known:
        return None
    scale = axis(0.0, 100.0, in_percent, 3)
    made = []
    for row in known:
        kind = "fixed" if row.label in ("base", "none") else "control" if row.control else "defence"
        plain, cued, task = (_at(scale, one) for one in (row.plain, row.cued, row.task))
        label = "no defence" if row.label == "none" else row.label
        said = percent(row.plain.mean), percent(row.cued.mean), percent(row.task.mean)
        made.append(Strip(label, kind, plain or 0.0, cued, task, said, row.reaches and kind == "defence"))
    return Strips(scale, scale.at(100 * PLAIN), scale.at(100 * CUED), scale.at(100 * TASK), tuple(made))


def _at(scale: Axis, spread: Spread) -> float | None:
    return None if spread.mean is None else scale.at(100 * spread.mean)
