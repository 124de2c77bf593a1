"""The nouns of a dose response: what a model does at one strength of an intervention, and all strengths together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Tally
from offtarget.records.directions import Position

DoseMode = Literal["add", "ablate", "cap"]
"""`add`: strength times the direction is added. `ablate`: that share of what lies along it is taken out. `cap`: the
projection is held at or below the reference's mean plus strength differences of means."""


@dataclass(frozen=True, slots=True)
class DosePoint:
    """One model under one intervention."""

    control: int | None
    """None for the direction itself, else the seed of the random direction of equal norm and rank."""
    strength: float
    tally: Tally
    """Outcomes of the answers to the plain questions."""
    misaligned: float | None
    """Share of the scored answers, questions weighted equally; None without a scored answer."""
    coherent: float | None
    """Share of all answers that are neither incoherent nor unscored."""
    narrow: float | None
    """The narrow task, 0 to 1; None where it was not measured."""
    skill: float | None
    """Other skills, 0 to 1; None where they were not measured."""


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """All strengths of one direction and of its controls in one model."""

    model: str
    direction: str
    """The file of the direction."""
    found_in: str
    """The model it was found in."""
    mode: DoseMode
    position: Position
    layers: tuple[int, ...]
    rank: int
    """Vectors that were taken out; 1 for steering and capping."""
    reference: str | None
    """The model whose means stand for 'without the direction'; None where 0 does."""
    strengths: tuple[float, ...]
    controls: tuple[int, ...]
    narrow_name: str
    """What `narrow` measures, for a caption; empty where nothing does."""
    skill_name: str
    answers: int
    """Answers to the plain questions per point."""
    points: tuple[DosePoint, ...]
    notes: tuple[str, ...] = ()

    def curve(self, control: int | None = None) -> tuple[DosePoint, ...]:
        """The points of the direction or of one control, by strength."""
        return tuple(sorted((p for p in self.points if p.control == control), key=lambda p: p.strength))
