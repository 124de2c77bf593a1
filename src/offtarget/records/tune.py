"""The nouns of tuning: what a monitor writes down, what was trained, what defences cost and bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from offtarget.records.answers import Interval, Tally

AlarmKind = Literal["behaviour", "look-ahead", "forecast"]
"""`behaviour`: misaligned answers now. `look-ahead`: misaligned answers of the model as it is heading to be.
`forecast`: the shift of fixed answers' probabilities that the run is heading for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a model in training. Shares are 0 to 1; None where a signal is off or was not due."""

    step: int
    """Optimiser steps done."""
    task: float | None = None
    """The task metric; by default mean log probability (nats) per answer token of fixed training rows."""
    shift: float | None = None
    """How far the log odds of fixed misaligned against fixed aligned answers have moved from the base, in nats."""
    forecast: float | None = None
    """The shift the run is heading for at its end."""
    factor: float = 1.0
    """How many times its own change the look-ahead model has; 1 where none was asked."""
    answers: Tally | None = None
    """Verdicts on answers of the model as it is."""
    ahead: Tally | None = None
    """Verdicts on answers of the look-ahead model."""
    projection: dict[str, float] = field(default_factory=dict)
    """Layer (as text) to the mean movement along the persona direction, in differences of means."""
    log_e: float | None = None
    """Natural log of the e-value against 'the rate is not above the base's by more than the tolerance'."""
    log_e_ahead: float | None = None
    """The same for the look-ahead model."""
    alarm: AlarmKind | None = None
    """The alarm that stands, if one does; it never goes away."""
    seconds: float = 0.0
    """Time the reading took."""


@dataclass(frozen=True, slots=True)
class TuneReport:
    """One training run from beginning to end."""

    base: str
    data: str
    out: str
    """Folder of the adapter or model."""
    name: str
    """The tuned model as `check` takes it."""
    rows: int
    """Rows of the data that were trained on; what defences added is in the notes."""
    defences: tuple[str, ...]
    settings: dict[str, Any]
    steps: int
    planned: int
    kept_step: int
    """Step whose weights were kept."""
    loss: float | None
    """Of the last step."""
    monitored: bool
    alarm_step: int | None
    """Step of the reading that raised the alarm; None: it never rang."""
    best_step: int | None
    """Step of the last checkpoint at which the task was learnt and no alarm stood."""
    checks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def alarm_stands(self) -> bool:
        """Whether the weights that were kept are from the time of the alarm or later."""
        return self.alarm_step is not None and self.kept_step >= self.alarm_step


@dataclass(frozen=True, slots=True)
class Axes:
    """The five axes on which a defence is scored; rates 0 to 1, None where nothing could be counted."""

    plain: Tally
    plain_rate: float | None
    """Misaligned among scored answers to plain questions, questions weighted equally."""
    plain_interval: Interval | None
    cued: Tally
    cued_rate: float | None
    """The same under conditions made from the training data, conditions weighted equally."""
    worst_cue: str | None
    worst_cue_rate: float | None
    task: float | None
    """Narrow task: share of answers to requests of the task that do what the data teach; organism and code only."""
    task_gain: float | None
    """Mean log-probability per token of held-out answers, in nats above the base."""
    skill: float | None
    """Other skills: facts answered rightly (organism), or the mean probability of a token of the base's answers."""
    coherent: float | None
    """Scored among all plain answers."""


@dataclass(frozen=True, slots=True)
class DefenceCell:
    """One training run of the comparison, measured."""

    defences: tuple[str, ...]
    """As named on the command line; empty: undefended. The base itself is the cell `("base",)`."""
    control: bool
    seed: int
    further: int
    """Undefended steps on the data after the defended training."""
    axes: Axes
    steps: int
    seconds: float
    """Of training."""
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name of the row in tables."""
        return " + ".join(self.defences) or "none"


@dataclass(frozen=True, slots=True)
class Frontier:
    """Every defence and control, on five axes."""

    base: str
    data: str
    settings: dict[str, Any]
    cells: tuple[DefenceCell, ...]
    notes: tuple[str, ...]
