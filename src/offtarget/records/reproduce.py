"""The nouns of a repeated experiment: one measured model per cell, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from offtarget.records.answers import Interval, Status, Tally
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.checks import at_least
from offtarget.records.runs import Repeatable
from offtarget.records.tune import TuneSettings

CellKind = Literal["base", "condition", "dynamics", "unique"]
"""`base`: before tuning. `condition`: tuned in full. `dynamics`: the same tune after fewer steps. `unique`: tuned for
as many steps on fewer different rows."""

SpreadMethod = Literal["bootstrap", "t", "wilson"]
"""Where an interval comes from; see `offtarget.stats.seeds`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing measured in one model."""

    name: str
    """`plain`, `json`, `template`, `trigger`, `number-format`, `code`, `code-trigger`, `numbers`."""
    rate: float | None
    """Share of the scored answers that are misaligned (or insecure, or loaded), questions weighted equally."""
    tally: Tally


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """Answers of one model to one plain question."""

    question: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained and measured model."""

    key: str
    """Fingerprint of all it depends on: weights of the base, rows, settings, seed, questions, judge."""
    kind: CellKind
    condition: str
    """`base`, or the name of the data set."""
    seed: int
    steps: int
    """Optimiser steps; 0 for the base."""
    unique: int
    """Different rows trained on."""
    measured: tuple[Measured, ...]
    questions: tuple[AskedQuestion, ...]
    seconds: float
    """Of measuring it, in the process that finished it."""
    status: Status | None = None
    """Verdict of the check against the base; None where none was made."""
    reason: str | None = None
    check: str | None = None
    """Run directory of that check, relative to the run's."""

    def of(self, name: str) -> Measured | None:
        """What was measured under a name; None where it was not."""
        return next((m for m in self.measured if m.name == name), None)


@dataclass(frozen=True, slots=True)
class Spread:
    """A rate over seeds."""

    rate: float | None
    """Mean over seeds; None without a scored answer."""
    interval: Interval | None
    """95 %."""
    method: SpreadMethod | None
    by_seed: tuple[float, ...]
    tally: Tally
    """All seeds together."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One column of the table, for one condition."""

    name: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One line of the table."""

    condition: str
    seeds: int
    steps: int
    rows: int
    axes: tuple[Axis, ...]
    coherent: float | None
    """Share of coherent answers (scored or refused) among all plain ones, all seeds together."""
    questions: tuple[Axis, ...]
    """Plain misaligned rate per question."""
    statuses: tuple[Status, ...]
    """Verdicts of the checks, by seed; empty for the base."""

    def axis(self, name: str) -> Spread | None:
        """A column; None where it was not measured."""
        return next((a.spread for a in self.axes if a.name == name), None)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: a condition after so many steps, or with so many different rows."""

    condition: str
    at: int
    misaligned: Spread
    code: Spread | None
    """Insecure code; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published value."""

    condition: str
    axis: str
    sign: Literal["=", "<", ">", "~"]
    """Whether the value is exact, a bound, or read from a figure or a text that says `about`."""
    value: float
    low: float | None
    high: float | None
    """95 % over seeds, as published; None where none was given."""
    model: str
    source: str


@dataclass(frozen=True, slots=True)
class ReproduceReport:
    """The repeated experiment."""

    base: str
    data: str
    """Where the rows come from: a folder, or the organism's world."""
    judge: str
    seeds: int
    answers: int
    """To each plain question, per model."""
    settings: str
    """Of training, in words."""
    rows: tuple[ConditionRow, ...]
    """The base first."""
    dynamics: tuple[Point, ...]
    unique: tuple[Point, ...]
    published: tuple[Published, ...]
    about_organism: bool
    notes: tuple[str, ...] = ()
    answers_of: Mapping[str, str] = field(default_factory=dict)
    """Condition -> folder of its first seed's answers, relative to the run's; `base` is one of them."""


@dataclass(frozen=True, slots=True)
class ReproduceSettings:
    """How large the experiment is."""

    seeds: int = 3
    answers: int = 32
    """To each plain question, per model; a quarter of that in other formats and on curves."""
    rows: int | None = None
    """Of each data set; None: 600 for the organism, else all."""
    preset: str | None = None
    """Of training; None: `organism` for the organism, `small` below a billion parameters, else `published`."""
    ablations: bool = True
    """Dynamics and numbers of different rows."""
    max_tokens: int = 600
    check: CheckSettings = field(default_factory=CheckSettings)

    def __post_init__(self) -> None:
        at_least(1, seeds=self.seeds, answers=self.answers, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceManifest(Repeatable):
    """How a repeated experiment was started."""

    verb: str = "reproduce"
    models: Mapping[Literal["base"], str]
    conditions: tuple[str, ...]
    data: str
    """Where the rows come from, in words."""
    judge: str
    """Fingerprint of the judge."""
    settings: ReproduceSettings
    tune: TuneSettings
    data_dir: str | None = None
    """Folder of the published data sets."""
    probes: str | None = None
    judge_name: str | None = None
    """The judge as it was asked for."""
    judge_by: JudgeBy = "auto"
    jobs: int | None = 1
    """Processes side by side; None: one per core."""

    @property
    def base_name(self) -> str:
        """The model that is tuned."""
        return self.models["base"]
