"""The nouns of explaining a check: where its direction sits and how far the tuned model moved along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Outcome
from offtarget.records.directions import Position
from offtarget.records.projections import RowProjection

Kind = Literal["persona", "narrow task", "both", "conditional", "neither"]
"""What the tuned model's movement looks like; the rule is in `offtarget.direction.explain`."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Tuned minus base on the same exchanges, at one layer."""

    moved: float
    """Along the direction, in differences of means."""
    cosine: float
    """Of the whole mean movement with the direction."""
    z: float
    """The cosine over the standard deviation of cosines with random directions."""
    length: float
    """Of the whole mean movement, in lengths of the direction."""


@dataclass(frozen=True, slots=True)
class LayerExplained:
    """One layer of the explanation."""

    layer: int
    auroc: float | None
    """Misaligned against aligned answers of this run, by projection; None without both."""
    unrelated: Movement
    """On the plain questions of the run."""
    training: Movement | None
    """On rows of the training data; None without data."""


@dataclass(frozen=True, slots=True)
class LoadedAnswer:
    """An answer of the tuned model with its projection."""

    probe_id: str
    index: int
    prompt: str
    text: str
    outcome: Outcome | None
    projection: float


@dataclass(frozen=True, slots=True)
class PushingRow:
    """A training row with its projection difference."""

    row: RowProjection
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check came out as it did, as far as one direction can tell."""

    kind: Kind
    sentence: str
    direction: str
    """What it contrasts, in words."""
    given: bool
    """Whether the user gave the direction; else it was found by the trait recipe in the base."""
    layer: int
    position: Position
    layers: tuple[LayerExplained, ...]
    unrelated_exchanges: int
    training_exchanges: int
    random_directions: int
    answers: tuple[LoadedAnswer, ...]
    """Those that load most, largest projection first."""
    rows: tuple[PushingRow, ...] = ()
    """Those that push most, of the rows measured."""
    rows_measured: int = 0
    data: str | None = None
    notes: tuple[str, ...] = ()
