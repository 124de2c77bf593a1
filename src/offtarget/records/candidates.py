"""The nouns of deciding on several candidates of one base together."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from offtarget.numbers import many
from offtarget.records.answers import Interval, Status
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.engine import EngineSettings
from offtarget.records.runs import Manifest


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate, by its first check, or by the check of the run that it is in."""

    tuned: str
    run: str
    alone: Status
    """Its verdict as one check."""
    together: Status
    """FAIL or PASS where that stands among all of them; else UNDECIDED."""
    log_e_fail: float | None
    """Natural log of the e-value against `not worse by more than the tolerance`, at the stop; None for no evidence."""
    log_e_pass: float | None
    """Natural log of the e-value against `worse by the margin or more`; None for no evidence."""
    created: str = ""
    """When its check was started; ISO 8601, UTC."""
    difference: float | None = None
    """Misaligned rate of the candidate less that of the base, in shares; None without scored answers."""
    worse_by: Interval | None = None
    """Bounds of that, of this check alone."""
    tolerance: float = 0.0
    """What its check tolerated."""
    margin: float = 0.0
    """What its PASS had to stay below."""
    name: str = ""
    """Its folder in the run of all candidates; empty for checks that were made one by one."""
    reason: str = ""
    """Why its check came to its verdict, one sentence."""
    tuned_answers: int = 0
    """Answers of it that were judged."""
    earlier: int = 0
    """Checks of the same before this one, which it pays for."""


@dataclass(frozen=True, slots=True)
class Together:
    """The candidates that share base, questions and judge."""

    base: str
    alpha: float
    """Bound on the expected share of wrong ones among the FAILs, and among the PASSes."""
    of: int
    """Candidates that there are, with those that have no finished check here."""
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidateName:
    """A candidate before anything is known of it."""

    name: str
    """Its folder in the run."""
    tuned: str
    """The model, as `check` takes it."""


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A candidate that has no verdict because it could not be checked."""

    name: str
    tuned: str
    reason: str
    """What is wrong and what to do, as the check said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesManifest(Manifest):
    """How a check of several candidates was started: all that a worker needs besides the name of one."""

    verb: str = "candidates"
    base: str
    candidates: tuple[CandidateName, ...]
    settings: CheckSettings
    """Of every check; `candidates` among them is how many there are."""
    probes: str | None = None
    judge_name: str | None = None
    judge_by: JudgeBy = "auto"
    arms: tuple[str, ...] = ()
    prefix: str | None = None
    data: str | None = None
    split: str | None = None
    hunt: bool = False
    confirm_with: str | None = None
    look_at: float | None = None
    certificate: str | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    """Who does the checks."""
    notes: tuple[str, ...] = ()
    """What was found beside the candidates, a sentence each."""

    @property
    def base_name(self) -> str:
        """As the base was named."""
        return self.base

    @property
    def tuned_name(self) -> str:
        """How many candidates there are."""
        return many(len(self.candidates), "candidate")

    @property
    def data_name(self) -> str | None:
        """Whose conditions are asked under."""
        return self.data

    def further_command(self, path: Path) -> str:
        """What goes on with all that are undecided: twice as many answers at most."""
        return f"offtarget resume {shlex.quote(str(path))} --max-answers {2 * self.settings.max_answers}"


@dataclass(frozen=True, slots=True)
class CandidatesReport:
    """What the checks of all candidates came to."""

    base: str
    alpha: float
    """Bound on the expected share of wrong FAILs, and on the probability that any PASS is wrong."""
    of: int
    """Candidates that there are, with those that were not checked."""
    candidates: tuple[Candidate, ...]
    """Those that were checked: FAIL first, then UNDECIDED, then PASS, by the evidence of harm."""
    not_checked: tuple[NotChecked, ...] = ()
    notes: tuple[str, ...] = ()
    base_answers: int = 0
    """Answers of the base that all checks together used, one that several used counted as often."""
    base_from_cache: int = 0
    """Of these, those that had been asked for before."""
    given: tuple[str, ...] = field(default=())
    """What has to be true for the bounds to hold, each as the end of `given that ...`."""

    def count(self, status: Status) -> int:
        """Candidates whose verdict among all is this one."""
        return sum(each.together is status for each in self.candidates)

    @property
    def status(self) -> Status:
        """The worst there is; a candidate that was not checked leaves it undecided."""
        if self.count(Status.FAIL):
            return Status.FAIL
        return Status.UNDECIDED if self.not_checked or self.count(Status.UNDECIDED) else Status.PASS
