"""Every verb that leaves a run says here, once, what it leaves and how it goes on."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from offtarget.records import AuditDecision, Decision
from offtarget.records.alternatives import AlternativesManifest, AlternativesReport
from offtarget.records.audit import AuditManifest
from offtarget.records.benchmarks import BenchmarkFamily, SamplesManifest
from offtarget.records.candidates import CandidatesManifest, CandidatesReport
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.direction import DoseResponse, SteerManifest
from offtarget.records.redteam import RedTeamManifest, RedTeamRecord
from offtarget.records.repair import RepairManifest, RepairReport
from offtarget.records.reproduce import ReproduceManifest, ReproduceReport
from offtarget.records.runs import Manifest
from offtarget.records.serve import ServeEvidence, ServeManifest
from offtarget.records.tune import DefencesManifest, Frontier, TuneManifest, TuneReport

M = TypeVar("M", bound=Manifest)
R = TypeVar("R")


def _nothing(path: Path, manifest: Any) -> None:
    """A run that can always go on."""


def _verdict(result: Decision | AuditDecision | BenchmarkFamily | CandidatesReport) -> str:
    return result.status.value


def _done(result: Any) -> str:
    """No verdict is due."""
    return "DONE"


def _alarm(result: TuneReport) -> str:
    return result.state


def _repaired(result: RepairReport) -> str:
    return result.status.value


def _standing(result: ServeEvidence) -> str:
    if result.reading.alarm is not None:
        return "FAIL"
    return "PASS" if result.reading.judged and result.reading.verdict == "not worse" else "UNDECIDED"


def _pressed(result: RedTeamRecord) -> str:
    return result.status.value


def _worth_it(result: AlternativesReport) -> str:
    return "UNDECIDED" if result.verdict == "undecided" else "DONE"


@dataclass(frozen=True, slots=True)
class Verb(Generic[M, R]):
    """What a verb leaves behind."""

    command: str
    """As typed after `offtarget`."""
    manifest: type[M]
    result: type[R]
    done: str
    """The file that marks a run as done; it holds the result."""
    home: str
    """Module of `workflows` whose `resume` goes on with a run and reads a finished one; empty: nothing goes on."""
    key: str = "report"
    """Under which the file holds the result; empty: the file is the result."""
    kept: str = ""
    """What is still there after an interruption, as a sentence."""
    depends: str = ""
    """What a run that goes on must have been started with, as said of one that was not."""
    page: str | None = None
    """The page it writes; None: its runs are reported in every format."""
    state: Callable[[R], str] = _done
    """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due."""
    reads: str = ""
    """Module of `workflows` whose `resume` reads a finished run, where none goes on."""
    obstacle: Callable[[Path, M], str | None] = _nothing
    """Why an unfinished run cannot go on, and what to do instead; None where it can."""


SCAN = "scan.json"
"""Marks the scan of an audit as complete."""


def scan_again(data: object, form: str | None = None, split: str | None = None) -> str:
    """The command that audits the data from the start."""
    chosen = "".join(f" --{name} {shlex.quote(said)}" for name, said in (("form", form), ("split", split)) if said)
    return f"offtarget audit {shlex.quote(str(data))}{chosen}"


def _half_a_scan(path: Path, manifest: AuditManifest) -> str | None:
    if (path / SCAN).is_file() or manifest.engine is not None:
        return None
    return (
        "its scan did not come to its end, and a scan cannot go on from its middle. Start it again, in a new folder, "
        f"with: {scan_again(manifest.data, manifest.form, manifest.split)}"
    )


def _in_one_go(path: Path, manifest: CompareManifest | SamplesManifest) -> str:
    return "`compare` reads its files in one go and keeps nothing half done. Run the same command again."


def _bundled_in_one_go(path: Path, manifest: ServeManifest) -> str:
    return "a bundle of evidence is written in one go. Have it written again, with: offtarget canary evidence"


def _options_not_kept(path: Path, manifest: TuneManifest | DefencesManifest | RepairManifest) -> str | None:
    kept = manifest.out if isinstance(manifest, RepairManifest) else manifest.options
    if kept is not None:
        return None
    return f"it was started before runs kept their options. Repeat its command with --run {shlex.quote(str(path))}"


AUDIT = Verb(
    "audit",
    AuditManifest,
    AuditDecision,
    done="result.json",
    key="decision",
    home="audit.audit",
    kept="What was found so far is kept",
    state=_verdict,
    obstacle=_half_a_scan,
)
CHECK = Verb(
    "check",
    CheckManifest,
    Decision,
    done="result.json",
    key="decision",
    home="check.check",
    kept="Everything sampled so far is kept",
    state=_verdict,
)
CANDIDATES = Verb(
    "check",
    CandidatesManifest,
    CandidatesReport,
    done="candidates.json",
    home="check.many",
    kept="Every candidate that was checked and everything sampled so far is kept",
    page="candidates.html",
    state=_verdict,
)
COMPARE = Verb(
    "compare",
    CompareManifest,
    Decision,
    done="result.json",
    key="decision",
    home="",
    reads="compare.compare",
    state=_verdict,
    obstacle=_in_one_go,
)
BENCHMARKS = Verb(
    "compare",
    SamplesManifest,
    BenchmarkFamily,
    done="benchmarks.json",
    key="family",
    home="",
    reads="compare.benchmarks",
    page="benchmarks.html",
    state=_verdict,
    obstacle=_in_one_go,
)
TUNE = Verb(
    "tune",
    TuneManifest,
    TuneReport,
    done="tune.json",
    home="tune.tune",
    kept="Checkpoints are kept",
    depends="other data, another base, other defences or settings",
    page="monitor.html",
    state=_alarm,
    obstacle=_options_not_kept,
)
DEFENCES = Verb(
    "defences",
    DefencesManifest,
    Frontier,
    done="frontier.json",
    key="frontier",
    home="defences.compare",
    kept="Finished trainings are kept",
    depends="other data, another base, other defences or settings",
    page="frontier.html",
    obstacle=_options_not_kept,
)
STEER = Verb(
    "direction steer",
    SteerManifest,
    DoseResponse,
    done="dose.json",
    key="",
    home="direction.steer",
    kept="Finished points are kept",
    page="dose.html",
)
REPAIR = Verb(
    "direction repair",
    RepairManifest,
    RepairReport,
    done="repair.json",
    home="direction.repair",
    kept="What was trained and measured is kept",
    depends="another model, direction, data, judge, other prompts or settings",
    page="repair.html",
    state=_repaired,
    obstacle=_options_not_kept,
)
ALTERNATIVES = Verb(
    "alternatives",
    AlternativesManifest,
    AlternativesReport,
    done="alternatives.json",
    home="alternatives.alternatives",
    kept="Every answer is kept",
    depends="other data, models, questions, judge or settings",
    page="alternatives.html",
    state=_worth_it,
)
REPRODUCE = Verb(
    "reproduce",
    ReproduceManifest,
    ReproduceReport,
    done="reproduce.json",
    home="reproduce.reproduce",
    kept="Finished cells and trained steps are kept",
    depends="other data, another base, other questions, judge or settings",
    page="reproduce.html",
)
REDTEAM = Verb(
    "redteam",
    RedTeamManifest,
    RedTeamRecord,
    done="redteam.json",
    home="redteam.redteam",
    key="record",
    kept="Every conversation so far is kept",
    page="redteam.html",
    state=_pressed,
)
SERVE = Verb(
    "serve",
    ServeManifest,
    ServeEvidence,
    done="serve.json",
    key="evidence",
    home="",
    reads="serve.evidence",
    page="serve.html",
    state=_standing,
    obstacle=_bundled_in_one_go,
)
VERBS: tuple[Verb[Any, Any], ...] = (
    AUDIT, BENCHMARKS, CHECK, CANDIDATES, COMPARE, TUNE, DEFENCES, STEER, REPAIR, ALTERNATIVES, REPRODUCE, REDTEAM,
    SERVE,
)  # fmt: skip


def verb_of(manifest: Manifest) -> Verb[Any, Any]:
    """The verb that left a run."""
    return next(verb for verb in VERBS if verb.manifest is type(manifest))
