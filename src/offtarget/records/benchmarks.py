"""The nouns of fixed benchmarks: items that both models were scored on, and what their pairs say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from offtarget.errors import InputError
from offtarget.records.answers import Interval, Role, Share, Status
from offtarget.records.checks import share, share_fault
from offtarget.records.runs import Manifest, NamedModel

RedFlag = Literal["fail", "warn"]
"""What a benchmark on which the tuned model is shown worse by more than the tolerance does to the verdict."""

BenchmarkStanding = Literal["worse", "not worse", "undecided", "not run"]
"""`worse`: shown to have lost more than nothing; whether that is a red flag is said apart. `not worse`: shown to have
lost less than the margin. `undecided`: neither is shown. `not run`: there are no scores."""


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """What counts as worse on a fixed benchmark, and how sure to be; in shares of the full score (0.05 = 5 points)."""

    alpha: float = 0.01
    """Bound on the probability that any benchmark of the family is wrongly a red flag; separately, that any is wrongly
    called worse; and separately, that any is wrongly called not worse."""
    margin: float = 0.05
    """Not worse means: shown to have lost less than this."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Benchmark -> its own margin in place of the usual one."""
    tolerance: float = 0.01
    """A red flag means: shown to have lost more than this."""
    red_flag: RedFlag = "fail"
    """Whether a red flag makes the verdict FAIL, or is a warning beside it."""

    def __post_init__(self) -> None:
        share(benchmark_alpha=self.alpha, benchmark_margin=self.margin)
        share(benchmark_tolerance=self.tolerance, zero=True)
        for name, margin in self.margins.items():
            if (fault := share_fault(margin)) is not None:
                raise InputError(f"--benchmark-margin of {name} {fault}")
        for whose, margin in (("", self.margin), *((f" of {name}", value) for name, value in self.margins.items())):
            if not self.tolerance < margin:
                raise InputError(
                    f"--benchmark-tolerance must be less than --benchmark-margin, but {self.tolerance:g} is not less "
                    f"than the margin {margin:g}{whose}."
                )
        if self.red_flag not in ("fail", "warn"):
            raise InputError(f"--red-flag must be fail or warn, not {self.red_flag!r}.")

    def margin_of(self, name: str) -> float:
        """The margin of a benchmark."""
        return self.margins.get(name, self.margin)


@dataclass(frozen=True, slots=True)
class ItemPair:
    """One item that both models were scored on."""

    item: str
    """Unique within its benchmark, e.g. `17`, or `mmlu_anatomy/17` where a benchmark has parts."""
    base: Share
    """Score of the base: 0 or 1, or anything between; more is better."""
    tuned: Share
    """Score of the tuned model."""
    benchmark: str = ""
    """Name of the benchmark, where items of several are in one file."""


@dataclass(frozen=True, slots=True)
class BenchmarkItems:
    """What was measured on one benchmark, before anything is made of it."""

    name: str
    metric: str
    """What the scores are, e.g. `acc`, `exact_match`; empty where it was not run."""
    pairs: tuple[ItemPair, ...] = ()
    """Empty where it was not run."""
    base_fingerprint: str = ""
    """Of everything that the scores of the base depend on: model, task, items."""
    tuned_fingerprint: str = ""
    notes: tuple[str, ...] = ()
    """What must be known beside the numbers, a sentence each."""
    why_not: str = ""
    """Why it was not run, as a sentence; empty where it was."""


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What one benchmark says of tuned against base; see `offtarget.stats.paired_items`."""

    name: str
    metric: str
    margin: float
    """Not worse means: shown to have lost less than this share of the full score."""
    standing: BenchmarkStanding
    red_flag: bool = False
    """Whether the tuned model is shown to have lost more than the tolerance."""
    within_margin: bool = False
    """Whether the tuned model is shown to have lost less than the margin; it may be `worse` at the same time, where
    what it lost is more than nothing and less than the margin."""
    n: int = 0
    """Items that both were scored on."""
    binary: bool = True
    """Whether every score is 0 or 1."""
    base: Share | None = None
    """Mean score; None without items."""
    tuned: Share | None = None
    lost: int = 0
    """Items on which the tuned model scores less than the base."""
    gained: int = 0
    """Items on which it scores more."""
    difference: float | None = None
    """Mean score of the tuned model minus that of the base: negative where it lost."""
    bounds: Interval | None = None
    """Bounds on that difference among all items such as these. The lower ends of the whole family hold together, and
    so do the upper ends, each with an error probability of at most alpha."""
    p_worse: float | None = None
    """Against `it lost nothing`: exact one-sided McNemar for scores of 0 and 1. Not yet adjusted for the family, like
    those below."""
    p_red_flag: float | None = None
    """Against `it lost at most the tolerance`."""
    p_not_worse: float | None = None
    """Against `it lost the margin or more`."""
    log_e: float | None = None
    """Natural log of the e-value against `it lost the margin or more`, valid however many items are added later."""
    base_fingerprint: str = ""
    tuned_fingerprint: str = ""
    notes: tuple[str, ...] = ()
    why_not: str = ""
    """Why it was not run, as a sentence."""


@dataclass(frozen=True, slots=True)
class BenchmarkFamily:
    """All benchmarks that were asked for, decided together (Holm)."""

    settings: BenchmarkSettings
    results: tuple[BenchmarkResult, ...]
    """In the order asked for; those that were not run are among them."""
    notes: tuple[str, ...] = ()

    @property
    def red_flag(self) -> bool:
        """Whether any benchmark is a red flag."""
        return any(result.red_flag for result in self.results)

    @property
    def status(self) -> Status:
        """Of the benchmarks alone: FAIL with a red flag (also where it is to be a warning), PASS where every one is
        shown to be within its margin, else UNDECIDED."""
        if self.red_flag:
            return Status.FAIL
        settled = bool(self.results) and all(result.within_margin for result in self.results)
        return Status.PASS if settled else Status.UNDECIDED

    @property
    def not_run(self) -> tuple[BenchmarkResult, ...]:
        """Those without scores."""
        return tuple(result for result in self.results if result.standing == "not run")

    @property
    def open(self) -> tuple[BenchmarkResult, ...]:
        """Those with scores that are neither a red flag nor shown to be within the margin."""
        ran = (r for r in self.results if r.standing != "not run")
        return tuple(result for result in ran if not (result.red_flag or result.within_margin))


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file of samples that lm_eval wrote."""

    task: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesManifest(Manifest):
    """How a comparison of two folders of benchmark samples was started."""

    verb: str = "benchmarks"
    settings: BenchmarkSettings
    models: Mapping[Role, NamedModel]
    """By the name that lm_eval gave them, with a fingerprint of their files."""
    files: Mapping[Role, tuple[SampleFile, ...]]
    metric: Mapping[str, str]
    """Task -> the metric that was chosen for it; under an empty name that of all others, if one was."""
    tasks: tuple[str, ...] = ()
    """The tasks that were asked for; empty for all."""
    same_answers: bool = False
    """Whether it goes on although both models gave the very same answers."""

    @property
    def base_name(self) -> str:
        """Name of the base."""
        return self.models["base"].name

    @property
    def tuned_name(self) -> str:
        """Name of the tuned model."""
        return self.models["tuned"].name
