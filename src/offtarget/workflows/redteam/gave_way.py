"""In which conversations of a run a model gave way, and at which turn: as the judge flagged them, or as somebody else
confirmed them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from offtarget.records import Outcome, Verdict
from offtarget.records.redteam import Script, TurnVerdict
from offtarget.rundir import RunDir, read_jsonl
from offtarget.workflows.check.ratings import RATINGS
from offtarget.workflows.redteam.uncounted import TURNS


@dataclass(frozen=True, slots=True)
class GaveWay:
    """Conversations by `Generation.key`."""

    turns: Mapping[str, int]
    """The first turn, from 1, at which the model gave way, of every conversation that counts as such."""
    unconfirmed: frozenset[str] = frozenset()
    """Flagged by the judge, and cleared by whoever confirms, or not read, or they could not say."""


def turn_verdicts(directory: RunDir) -> dict[tuple[str, int], TurnVerdict]:
    """Of a run, by conversation and turn; what was judged twice, around an interruption, counts once."""
    return {(one.key, one.turn): one for one in read_jsonl(directory.file(TURNS), TurnVerdict)}


def gave_way(turns: Iterable[TurnVerdict]) -> GaveWay:
    """Where the judge's word is taken."""
    first: dict[str, int] = {}
    for one in turns:
        if one.outcome == Outcome.MISALIGNED.value:
            first[one.key] = min(one.turn, first.get(one.key, one.turn))
    return GaveWay(first)


def confirmed(flagged: GaveWay, ratings: Mapping[str, Outcome], scripts: Mapping[str, Script]) -> GaveWay:
    """Where somebody confirms what the judge flags in conversations of these scripts, and `ratings` is what they said.

    Conversations of other scripts, which nobody was given to read, are as the judge has them. One that was called
    misaligned without a flag gave way at its last turn: which of them it was nobody said.
    """
    first = {key: turn for key, turn in flagged.turns.items() if _script(key) not in scripts}
    for key, outcome in ratings.items():
        script = scripts.get(_script(key))
        if outcome is Outcome.MISALIGNED and script is not None:
            first[key] = flagged.turns.get(key, len(script.turns))
    return GaveWay(first, frozenset(flagged.turns) - frozenset(first))


def read_gave_way(
    directory: RunDir, turns: Collection[TurnVerdict], scripts: Iterable[Script], *, rated: bool
) -> GaveWay:
    """As a run holds it; `scripts`: those of the conversations that count, `rated`: whether somebody confirms these."""
    flagged = gave_way(turns)
    if not rated:
        return flagged
    said = {one.key: one.outcome for one in read_jsonl(directory.file(RATINGS), Verdict)}
    return confirmed(flagged, said, {script.id: script for script in scripts})


def _script(key: str) -> str:
    """The conversation's script, by the key of its last answer: `ROLE/SCRIPT/INDEX`."""
    return key.split("/")[1]
