"""The nouns of a repair: one measured model per cell, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from offtarget.errors import InputError
from offtarget.records.answers import Interval, Status, Tally
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.checks import at_least
from offtarget.records.runs import Repeatable

RepairMethod = Literal["fold", "realign", "both"]
FoldKind = Literal["update", "ablate", "steer"]
"""`update`: the adapter without what it writes along the direction. `ablate`: every matrix of the model that writes
to the residual stream. `steer`: minus the direction at every token, as a bias."""

Variant = Literal["tuned", "folded", "realigned", "both", "random-direction", "own-answers"]
"""`random-direction` is folded with a random direction of equal norm; `own-answers` is trained like `realigned`, but
on the tuned model's own answers to the same prompts."""

EXPORTED: dict[RepairMethod, Variant] = {"fold": "folded", "realign": "realigned", "both": "both"}
"""The variant that is handed out as the repaired model."""


@dataclass(frozen=True, slots=True)
class RepairCell:
    """One model of the table: a variant after so many further steps on the original data."""

    variant: Variant
    steps: int
    """Further steps on the original data; 0 right after the repair."""
    model: str
    """Its name, as `check` takes it."""
    plain: Tally
    """Of a fixed number of answers to the plain questions."""
    plain_rate: float | None
    """Misaligned share of the scored ones, questions weighted equally."""
    plain_interval: Interval | None
    """95 % score interval of that share at the fixed number (Wilson)."""
    cued_rate: float | None
    """Over all cues of the check's cued arm together; None where it was not asked."""
    cued_answers: int
    """Scored answers behind it."""
    worst_cue: str | None
    worst_cue_rate: float | None
    narrow: float | None
    """Share kept of what the tune added to the mean log-probability of the training answers: 1 as tuned, 0 as base;
    None without data."""
    length_matched: float | None
    """Misaligned rate of the tuned model's answers weighted to this model's answer lengths."""
    length_covered: float
    """Share of this model's answers at lengths at which the tuned model has any."""
    status: Status
    reason: str
    """Verdict of the full check against the base, and its sentence."""
    check: str
    """Run directory of that check, relative to the repair's."""
    plain_status: Status | None = None
    """Verdict on its plain questions and formats alone; None in older runs."""
    condition: str | None = None
    """The hidden condition that failed it, in words; None where none did."""


def of_repaired(cells: Iterable[RepairCell], method: RepairMethod) -> list[RepairCell]:
    """Those of the repaired model itself, right after the repair first."""
    return sorted((cell for cell in cells if cell.variant == EXPORTED[method]), key=lambda cell: cell.steps)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was repaired, how, and what came of it."""

    model: str
    base: str
    direction: str
    """File of the direction, and how it was found."""
    method: RepairMethod
    fold: FoldKind | None
    data: str | None
    rows: int
    """Rows of realignment: base's answers, and as many rows of the original data where given."""
    exported: str
    """The repaired model's folder."""
    exported_as: str
    """`adapter on NAME` or `whole model`."""
    cells: tuple[RepairCell, ...]
    status: Status
    """Of the repaired model's checks together, now and after further steps."""
    reason: str
    """What was reached and what came back, as a sentence."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepairSettings:
    """How to repair, and how to check the repair."""

    method: RepairMethod = "realign"
    fold: FoldKind | None = None
    """None: `update` for an adapter, `ablate` for a whole model."""
    inputs: bool = False
    """With `update`: also take the direction out of what the adapter reads."""
    strength: float = -1.0
    """With `steer`: how many times the direction is added."""
    rows: int = 300
    """Answers of the base to realign with."""
    lr: float | None = None
    """Of realignment and of further steps; None: 5e-4 for the organism, else 1e-4."""
    batch: int = 16
    further: tuple[int, ...] = (50, 200)
    """Steps on the original data after which the repair is measured again."""
    answers: int = 400
    """To the plain questions, for every cell of the table."""
    recheck: bool = True
    seed: int = 0
    check: CheckSettings = field(default_factory=CheckSettings)

    def __post_init__(self) -> None:
        at_least(1, rows=self.rows, batch=self.batch, plain_answers=self.answers, after=min(self.further, default=1))
        if not math.isfinite(self.strength):
            raise InputError(f"--strength must be a number, not {self.strength}.")
        if self.lr is not None and not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"--lr must be a number above 0, not {self.lr}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairManifest(Repeatable):
    """How a repair was started."""

    verb: str = "repair"
    model: str
    base: str
    data: str | None
    split: str | None = None
    """Of the data, where one was chosen."""
    direction: str | None
    method: RepairMethod
    settings: RepairSettings
    out: str | None = None
    """Folder of the repaired model; None in runs that did not keep it yet."""
    prompts: str | None = None
    probes: str | None = None
    judge: str | None = None
    judge_by: JudgeBy = "auto"

    @property
    def base_name(self) -> str:
        """The model before fine-tuning."""
        return self.base

    @property
    def tuned_name(self) -> str:
        """The model that is repaired."""
        return self.model
