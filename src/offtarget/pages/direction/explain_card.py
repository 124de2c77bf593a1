"""The card of an explanation, which is kept in the run of the check that it explains."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.numbers import at_least, many, percent
from offtarget.pages.card import Card, Exchange, Figure, Side, Step
from offtarget.pages.screen import ABSENT
from offtarget.records.direction import Explanation, LayerExplained, Movement
from offtarget.words import SEEN

ONE = "This speaks of one direction: a persona of another kind lies elsewhere, and a movement is not yet behaviour."
HEADS = ("layer", "told apart", "at least", "unrelated: moved", "random spreads", "training: moved", "random spreads")


def card(found: Explanation, run: Path) -> Card:
    """What the change looks like from inside."""
    at = next((one for one in found.layers if one.layer == found.layer), None)
    page = Step("See it layer by layer in the report", f"offtarget report {shlex.quote(str(run))} --html")
    return Card(
        state="DONE" if at is not None else "UNDECIDED",
        headline=SEEN[found.kind].upper(),
        subject=f"{run}, along {found.direction}",
        sentence=found.sentence,
        figures=() if at is None else _figures(at, found),
        exchanges=tuple(
            Exchange(
                answer.prompt,
                (
                    Side("tuned", answer.text, "not judged" if answer.outcome is None else answer.outcome.value),
                    Side("base", answer.base),
                ),
                f"projection {answer.projection:+.2f}",
            )
            for answer in found.answers
        ),
        exchanges_title="Answers that lie furthest along it, beside the base's",
        cautions=(*found.notes, *([ONE] if at is not None else [])),
        steps=(page,) if at is not None else _elsewhere(),
    )


def _elsewhere() -> tuple[Step, ...]:
    return (
        Step("Try a direction of another kind: find one with `offtarget direction find`, and give it as --direction"),
    )


def _figures(at: LayerExplained, found: Explanation) -> tuple[Figure, ...]:
    figures = [Figure("moved, unrelated questions", f"{at.unrelated.moved:+.2f}", _beside(at.unrelated))]
    if at.training is not None:
        figures.append(Figure("moved, training rows", f"{at.training.moved:+.2f}", _beside(at.training)))
    if at.auroc is not None:
        low = "too few to say how surely" if at.auroc_low is None else f"at least {at_least(at.auroc_low)}"
        note = f"misaligned and aligned answers of the run; {low}; 50 % is chance"
        figures.append(Figure("told apart", f"{percent(at.auroc)} of pairs", note))
    read = many(found.unrelated_exchanges, "exchange") + f", layer {at.layer}"
    return (*figures, Figure("read", read))


def _beside(movement: Movement) -> str:
    return f"{movement.z:.1f} times the spread along random directions; steering by 1 adds 1"


def rows(found: Explanation) -> list[tuple[str, ...]]:
    """A row per layer, as text."""
    return [
        (
            f"{one.layer}{' (chosen)' if one.layer == found.layer else ''}",
            ABSENT if one.auroc is None else percent(one.auroc),
            ABSENT if one.auroc_low is None else at_least(one.auroc_low),
            *_cells(one.unrelated),
            *((ABSENT, ABSENT) if one.training is None else _cells(one.training)),
        )
        for one in found.layers
    ]


def _cells(movement: Movement) -> tuple[str, str]:
    return f"{movement.moved:+.2f}", f"{movement.z:.1f}"
