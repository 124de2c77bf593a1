"""One candidate of several: the unit of work, which any process may do that sees the run's folder.

What it does depends on the manifest of the run and on the name of the candidate alone, and doing it again is doing it
once: it begins the check, goes on with one that was begun, or reads one that has ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offtarget.errors import DiskFullError, EvidenceError, InputError, PrerequisiteError, UnreachableError
from offtarget.progress import OnProgress, silent
from offtarget.records import Status
from offtarget.records.candidates import CandidateName, CandidatesManifest, NotChecked
from offtarget.rundir import read_manifest
from offtarget.workflows.check.check import CheckResult, check, resume
from offtarget.workflows.runs.begin import begun, finished
from offtarget.workflows.runs.verbs import CHECK


def check_candidate(
    root: Path, started: CandidatesManifest, candidate: CandidateName, on_progress: OnProgress = silent
) -> CheckResult | NotChecked:
    """The finished check of a candidate in `root/NAME`, or why it cannot be checked, which stops no other.

    What stops all of them is raised: RunInterrupted, LimitReached, UnreachableError, DiskFullError, PrerequisiteError.
    """
    try:
        return _checked(root / candidate.name, started, candidate, on_progress)
    except (UnreachableError, DiskFullError, PrerequisiteError):
        raise
    except (InputError, EvidenceError) as error:
        return NotChecked(candidate.name, candidate.tuned, str(error))


def _checked(run: Path, started: CandidatesManifest, candidate: CandidateName, on_progress: OnProgress) -> CheckResult:
    if begun(run):
        return resume(run, **_further(run, started), opening=started.opening, on_progress=on_progress)
    return check(
        started.base,
        candidate.tuned,
        probes=started.probes,
        judge=started.judge_name,
        judge_by=started.judge_by,
        arms=started.arms or None,
        prefix=started.prefix,
        data=started.data,
        split=started.split,
        hunt=started.hunt,
        confirm_with=started.confirm_with,
        look_at=started.look_at,
        certificate=started.certificate,
        settings=started.settings,
        opening=started.opening,
        run=run,
        on_progress=on_progress,
    )


def _further(run: Path, started: CandidatesManifest) -> dict[str, Any]:
    """What the run of all candidates allows by now, where this check is still open and was begun with less."""
    decision = finished(CHECK, run)
    if decision is not None and (decision.status is not Status.UNDECIDED or decision.withheld is not None):
        return {}
    manifest = read_manifest(run)
    has = getattr(manifest, "settings", started.settings)
    wanted = {name: getattr(started.settings, name) for name in ("max_answers", "max_cued_answers")}
    return {name: most for name, most in wanted.items() if most > getattr(has, name)}
