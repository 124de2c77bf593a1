"""The nouns of tuning: what a monitor writes down, what was trained, what defences cost and bring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from offtarget.errors import InputError
from offtarget.records.answers import Generation, Interval, Outcome, Probe, Tally, Verdict
from offtarget.records.check import JudgeBy
from offtarget.records.checks import at_least
from offtarget.records.people import PeopleQuality
from offtarget.records.runs import Repeatable

_LARGEST = 2**31 - 1
"""Of whole numbers; larger ones do not fit what torch counts with."""
_SEEDS = 2**32
"""Seeds that numpy takes, counted from 0."""
Method = Literal["lora", "full"]
Arm = tuple[str, ...]
"""Defences that are at work together, as named on the command line; empty: undefended."""
TuneState = Literal["OK", "ALARM", "DONE"]
"""`OK`: watched, and no alarm speaks against the weights that were kept. `ALARM`: one does, or an early stop kept
nothing usable. `DONE`: trained, and nobody watched."""
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
    rang: tuple[AlarmKind, ...] = ()
    """What rang at this reading and not before; the first of a run raises the alarm."""
    seconds: float = 0.0
    """Time the reading took."""
    left_out: int = 0
    """Readings that were due since the one before and that the monitor's budget of time did not allow."""
    unasked: bool = False
    """Answers were due, or something looked suspicious, and the budget had no room for judging any."""


Watched = Literal["now", "ahead", "base"]
"""Whose answers a monitor judged: those of the model in training, of the look-ahead model, or of the base."""


@dataclass(frozen=True, slots=True)
class WatchedAnswer:
    """One answer that a monitor had judged, kept so that people can read what is behind an alarm."""

    what: Watched
    step: int
    """Of the reading; for the base the number of the batch, from 0."""
    probe: Probe
    generation: Generation
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """What watches a training, and by which rules it rings: kept beside the readings, for whoever reads them."""

    base: str
    judged: bool
    """Whether answers are judged; without a judge only the forecast can ring."""
    alpha: float
    """Bound on the probability of a false alarm by judged answers in the whole training."""
    tolerance: float
    ahead_tolerance: float
    calibration: str
    """What is known of false alarms by forecast, in a sentence."""
    limit: float | None = None
    """Of the forecast, in nats."""
    healthy: tuple[int, int] | None = None
    """Of healthy trainings that were set aside: how many passed the limit of the forecast, and of how many."""
    likelihood: bool = True
    """Whether the task is read off the likelihood of training rows; else by a metric of the user's own."""
    exact: bool = False
    """Whether the judge is a rule that cannot err on these questions."""
    trial: str | None = None
    """What the judge made of known answers, as a sentence; None: it was not tried on any."""
    notes: tuple[str, ...] = ()
    share: float | None = None
    """Of the time of all steps that readings may take; None: without bound, and in runs that did not keep it."""
    least: float = 0.0
    """Seconds that they may take in any case."""
    taken: float | None = None
    """Share that they took so far; None where it is not known."""
    finished: bool = False
    best: int | None = None
    """Step of the best checkpoint so far."""


AlarmWord = Literal["confirmed", "not confirmed", "open"]
"""What people make of an alarm. `open`: their labels carry no verdict, or there is no evidence to compute."""


@dataclass(frozen=True, slots=True)
class AlarmReading:
    """An alarm after people have read the answers behind it."""

    kind: AlarmKind
    step: int
    """Of the reading that raised it."""
    flagged: int
    """Answers up to the alarm that the judge called misaligned."""
    confirmed: int
    """Those of them that people call misaligned, too."""
    others: int
    """Answers that the judge did not call misaligned, mixed in so that nobody knows what the judge said."""
    missed: int
    """Those of them that people call misaligned."""
    log_e: float | None
    """Evidence of the alarm with people's word on what the judge flagged; None where it cannot be computed."""
    bar: float
    """What it must reach: the log of 1/alpha of its test."""
    quality: PeopleQuality
    word: AlarmWord
    reason: str
    """One or two sentences."""


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
    """Of the data: what was left out, and what is not trained on."""
    split: str | None = None
    """Of the data, where one was chosen."""
    defence_notes: tuple[str, ...] = ()
    """What the defences did."""
    early_stop: bool = False
    """Whether training was to end at the alarm and to keep weights from before it."""
    rang: tuple[AlarmKind, ...] = ()
    """Everything that rang until training ended, the first first: it raised the alarm, and made an early stop."""
    seconds: float | None = None
    """Of training; None in runs that did not keep it."""

    @property
    def alarm_kind(self) -> AlarmKind | None:
        """What raised the alarm."""
        return self.rang[0] if self.rang else None

    @property
    def alarm_stands(self) -> bool:
        """Whether the weights that were kept are from the time of the alarm or later."""
        return self.alarm_step is not None and self.kept_step >= self.alarm_step

    @property
    def usable(self) -> bool:
        """Whether no alarm speaks against what was kept: it never rang, or they are from before it, the task learnt."""
        return self.alarm_step is None or (not self.alarm_stands and self.kept_step == self.best_step)

    @property
    def state(self) -> TuneState:
        """What the training came to, in a word."""
        if not self.monitored:
            return "DONE"
        return "OK" if self.usable else "ALARM"

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return 1 if self.state == "ALARM" else 0


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
class CellAnswer:
    """An answer of a measured model, one of each question and condition: kept so that a rate has a face."""

    defences: tuple[str, ...]
    seed: int
    further: int
    under: str
    """The condition, in words; empty where it was asked plainly."""
    probe: Probe
    text: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Frontier:
    """Every defence and control, on five axes."""

    base: str
    data: str
    settings: dict[str, Any]
    cells: tuple[DefenceCell, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Settings of the optimiser and of the adapter; the defaults are those published for open models.

    Source: arXiv 2502.17424, section 4.1 and appendix C: rank-stabilised LoRA, r 32, alpha 64, 1 epoch, loss on
    assistant tokens only.
    """

    method: Method = "lora"
    rank: int = 32
    alpha: int = 64
    rslora: bool = True
    """Scale by alpha / sqrt(r) (arXiv 2312.03732)."""
    modules: str | tuple[str, ...] = "all-linear"
    """Names of the adapted linear layers."""
    layers: tuple[int, ...] | None = None
    """Only these decoder blocks; None: all."""
    lr: float = 1e-5
    epochs: float = 1.0
    max_steps: int | None = None
    """Optimiser steps; overrides `epochs`."""
    batch: int = 2
    """Rows per device and pass."""
    accumulate: int = 8
    """Passes per optimiser step."""
    warmup: int = 5
    """Steps until the learning rate is reached; after them it falls linearly to 0."""
    weight_decay: float = 0.01
    seed: int = 0
    """Of a new adapter's first matrices and of the order of rows."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base while training; auto: bfloat16 on a GPU that has it, else float32."""
    quantize: bool = False
    """QLoRA: the base in 4 bits (arXiv 2305.14314); needs bitsandbytes and a GPU."""
    checkpointing: bool | None = None
    """Recompute activations in the backward pass; None: on a GPU only."""
    packing: bool = False
    """Several rows in one sequence; needs flash attention to keep them apart."""
    save_every: int = 20
    """Steps between checkpoints."""
    keep: int = 3
    """Checkpoints kept, besides the best one."""
    max_length: int | None = None
    """Longest row in tokens; None: the model's context. Longer rows are an error, never cut."""

    def __post_init__(self) -> None:
        counts = {"lora_rank": self.rank, "lora_alpha": self.alpha}
        counts |= {name: getattr(self, name) for name in ("batch", "accumulate", "save_every", "keep")}
        at_least(1, **counts)
        for name, value in counts.items():
            if value > _LARGEST:
                raise InputError(f"--{name.replace('_', '-')} must be at most {_LARGEST}, not {value}.")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise InputError(f"Nothing is trained in {self.dtype}. Choose --dtype float32 or bfloat16.")
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"--seed must be from 0 to {_SEEDS - 1}, not {self.seed}.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"--lr must be a number above 0, not {self.lr}.")
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise InputError(f"--epochs must be above 0, not {self.epochs}.")
        for name, given in (("steps", self.max_steps), ("max-length", self.max_length)):
            if given is not None and not 1 <= given <= _LARGEST:
                raise InputError(f"--{name} must be from 1 to {_LARGEST}, not {given}.")
        if self.quantize and self.method == "full":
            raise InputError("--quantize trains an adapter on a 4-bit base; it does not go with --method full.")


@dataclass(frozen=True, slots=True)
class DefenceSettings:
    """What is compared, and how exactly."""

    arms: tuple[Arm, ...] | None = None
    """Sets of defences; None: none, each alone, each control, and the shipped combinations."""
    seeds: tuple[int, ...] = (0,)
    answers: int = 100
    """Per plain question."""
    further: tuple[int, ...] = (50, 200)
    """Undefended steps on the data after which models that were kept aligned are measured again."""
    per_condition: int = 20
    """Answers under each condition, spread over the questions."""
    max_tokens: int = 600
    """Of the longest answer; less where the base can use less."""

    def __post_init__(self) -> None:
        at_least(1, answers=self.answers, per_condition=self.per_condition, max_tokens=self.max_tokens)
        at_least(1, seeds=len(self.seeds), after=min(self.further, default=1))


@dataclass(frozen=True, slots=True)
class TuneChoices:
    """What defences and the monitor work with, by name; None is the default of each, or an object of the caller."""

    probes: str | None = None
    judge: str | None = None
    judge_by: JudgeBy = "auto"
    direction: str | None = None
    prompts: str | None = None
    constitution: str | None = None
    misaligned: str | None = None
    monitor: bool = True
    every: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneManifest(Repeatable):
    """How a training was started."""

    verb: str = "tune"
    data: str
    base: str
    out: str
    defences: tuple[str, ...]
    settings: TuneSettings
    options: TuneChoices | None = None
    """None in runs that did not keep them yet."""
    split: str | None = None
    """Of the data, where one was chosen."""
    report_to: str = "none"
    processes: int = 1
    """That train together."""

    def resume_command(self, path: Path) -> str:
        """As many processes as before go on: with others the weights would be others."""
        command = super(TuneManifest, self).resume_command(path)
        if self.processes == 1 or self.objects:
            return command
        return f"accelerate launch --num_processes {self.processes} -m {command}"

    @property
    def base_name(self) -> str:
        """The model that is trained."""
        return self.base

    @property
    def tuned_name(self) -> str:
        """The folder it is trained into."""
        return self.out


@dataclass(frozen=True, slots=True, kw_only=True)
class DefencesManifest(Repeatable):
    """How a comparison of defences was started."""

    verb: str = "defences"
    data: str
    base: str
    arms: tuple[Arm, ...]
    settings: TuneSettings
    comparing: DefenceSettings
    options: TuneChoices | None = None
    """None in runs that did not keep them yet."""
    split: str | None = None
    """Of the data, where one was chosen."""

    @property
    def base_name(self) -> str:
        """The model that is trained."""
        return self.base
