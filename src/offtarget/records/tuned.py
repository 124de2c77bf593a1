"""The nouns of a tuned model: what was trained, what the monitor said, what defences cost and bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offtarget.records.answers import Interval, Tally


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
