"""The card of a search for a direction, which leaves a file and no run."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.errors import NoDirectionError
from offtarget.numbers import at_least, many, percent, whole
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.screen import ABSENT
from offtarget.records import DirectionInfo, LayerQuality

HEADS = ("layer", "told apart", "at least", "cosine of halves", "effect of steering", "length / stream")
TRIED, NOWHERE = "Place picked", "nowhere did it help"
"""Beginning and part of notes: on how a place was picked, and that steering did nothing at any."""


def card(info: DirectionInfo, file: Path) -> Card:
    """What was found, and how surely."""
    chosen = next(quality for quality in info.quality if quality.layer == info.layer)
    shown = chosen.auroc_low is None or chosen.auroc_low > 0.5
    apart = f"tells {_sides(info)} apart"
    sentence = (
        f"At layer {info.layer} one direction {apart} in {percent(chosen.auroc)} of held-out pairs."
        if shown
        else f"At layer {info.layer}, chosen by hand, the direction is not shown to be one that {apart}."
    )
    return Card(
        state="DONE" if shown else "UNDECIDED",
        headline="FOUND" if shown else "WRITTEN, AT CHANCE",
        subject=str(file),
        sentence=sentence,
        figures=_figures(info, chosen),
        cautions=tuple(note for note in info.notes if not note.startswith(TRIED) or NOWHERE in note),
        steps=_steps(info, file),
    )


def nothing(error: NoDirectionError) -> Card:
    """The card where no direction was found; nothing was written."""
    return Card(
        state="UNDECIDED",
        headline="NO DIRECTION FOUND",
        subject="nothing was written",
        sentence=error.sentence,
        steps=(Step(error.way_out.removeprefix("Nothing was written. ").rstrip(".")),),
    )


def rows(info: DirectionInfo) -> list[tuple[str, ...]]:
    """A row per layer, as text; the chosen one is marked."""
    return [
        (
            f"{quality.layer}{' (chosen)' if quality.layer == info.layer else ''}",
            percent(quality.auroc),
            ABSENT if quality.auroc_low is None else at_least(quality.auroc_low),
            f"{quality.explained:.2f}",
            ABSENT if quality.effect is None else f"{quality.effect:+.2f}",
            f"{quality.relative_norm:.2f}",
        )
        for quality in info.quality
    ]


def _sides(info: DirectionInfo) -> str:
    return {
        "models": f"{info.model} and {info.base}, reading the same answers,",
        "texts": f"answers of {info.model} and of {info.base}",
        "answers": f"misaligned and aligned answers of {info.model}",
        "trait": f"answers with and without the trait “{info.trait}”",
        "random": "nothing",
    }[info.method]


def _figures(info: DirectionInfo, chosen: LayerQuality) -> tuple[Figure, ...]:
    low = "" if chosen.auroc_low is None else f"at least {at_least(chosen.auroc_low)} but for 1 search in 20; "
    found = [Figure("told apart", percent(chosen.auroc), f"{low}50 % is chance")]
    if chosen.effect is not None:
        found.append(Figure("steering by 1", f"{chosen.effect:+.2f} nats per token", "above 0 it works"))
    read = f"{many(info.positives, 'exchange')} on one side, {whole(info.negatives)} on the other"
    return (*found, Figure("read", read, f"at the {_position(info)}, layer {info.layer}, rank {info.rank}"))


def _position(info: DirectionInfo) -> str:
    return {"answer": "answer's tokens", "last-prompt": "last token of the prompt", "all": "tokens of everything"}[
        info.position
    ]


def _steps(info: DirectionInfo, file: Path) -> tuple[Step, ...]:
    where = f"--direction {shlex.quote(str(file))} --model {shlex.quote(info.model)}"
    base = "" if info.base is None else f" --base {shlex.quote(info.base)}"
    return (
        Step("See how far a model, or training rows, lie along it", f"offtarget direction measure {where}{base}"),
        Step("See what steering along it does", f"offtarget direction steer {where}"),
    )
