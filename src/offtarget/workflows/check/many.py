"""`check` of many candidates against one base: each a check of its own, and what stands when all are looked at."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offtarget.asking.spending import timed
from offtarget.engines.on_ray import Cluster
from offtarget.errors import InputError
from offtarget.numbers import e_value, many
from offtarget.progress import OnProgress, Progress, Whole, silent
from offtarget.records import Generation, Status
from offtarget.records.candidates import Candidate, CandidateName, CandidatesManifest, CandidatesReport, NotChecked
from offtarget.records.check import CheckManifest, CheckSettings, JudgeBy
from offtarget.records.engine import EngineSettings
from offtarget.records.rated import PEOPLE
from offtarget.records.runs import OpenSettings, named
from offtarget.rundir import MANIFEST, RunDir, iterate_jsonl, read_manifest, read_object, write_json
from offtarget.workflows.check.candidate_names import candidates_in, named_candidates, not_openable
from offtarget.workflows.check.candidates import decided_together
from offtarget.workflows.check.check import CUED_SHARE, CheckResult
from offtarget.workflows.check.opening import chosen_questions
from offtarget.workflows.check.pressed_arm import with_pressure
from offtarget.workflows.check.raters import chosen_rating
from offtarget.workflows.check.spreading import outcomes, workers
from offtarget.workflows.ground import check_judge, ground_of, parsed
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begin, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import CANDIDATES, CHECK

_ORDER = (Status.FAIL, Status.UNDECIDED, Status.PASS)


@dataclass(frozen=True, slots=True, repr=False)
class CandidatesResult(Result):
    """What the checks of all candidates came to."""

    record: CandidatesReport


@timed
def check_many(
    base: str,
    tuned: str | Path | Sequence[str],
    *,
    probes: str | Path | None = None,
    judge: str | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    data: str | Path | None = None,
    split: str | None = None,
    hunt: bool = False,
    confirm_with: str | None = None,
    look_at: float | None = None,
    certificate: str | Path | None = None,
    settings: CheckSettings | None = None,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> CandidatesResult:
    """Check every candidate against one base, whose answers they share, and say what stands for all of them.

    `tuned` is a folder with a folder for each candidate, or a sequence of names of models; everything is named, so that
    another process can do its part. Each candidate has a check of its own in `run/NAME`, at a C-th of alpha; one that
    cannot be checked is told and stops no other. Of the FAILs at most alpha are wrong on average (e-BH, arXiv
    2009.02824), and that any PASS is wrong has a probability of at most alpha. What else there is, is as in `check`.
    `engine` says who does the checks: this process, or the workers of a Ray cluster, which come to the same.
    Raises InputError for what makes all checks impossible, and RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    candidates, notes = candidates_of(base, tuned)
    settings = settings_of(len(candidates), settings or CheckSettings(), cued=data is not None or hunt)
    refuse_people(judge, confirm_with)
    chosen_rating(judge, False, confirm_with, {"look_at": look_at}, conditions=data is not None or hunt)
    with_pressure(settings, rated=confirm_with is not None)
    files = {"--certificate": certificate, "--data": None if "://" in str(data) else data}
    ready(base, judges=(judge, confirm_with), files=files, run=run, new_run=True, opening=opening)
    check_judge(judge, chosen_questions(probes, ground_of(base), prefix, arms))
    for broken in not_openable(candidates, opening):
        on_progress(Progress(f"{broken.name} cannot be checked; the others are. {broken.reason}"))
    manifest = CandidatesManifest(
        opening=opening,
        base=base,
        candidates=candidates,
        settings=settings,
        probes=named(probes),
        judge_name=judge,
        judge_by=judge_by,
        arms=tuple(arms or ()),
        prefix=prefix,
        data=named(data),
        split=split,
        hunt=hunt,
        confirm_with=confirm_with,
        look_at=look_at,
        certificate=named(certificate),
        notes=notes,
        engine=engine or EngineSettings(),
    )
    with workers(manifest.engine, opening, on_progress) as cluster:
        directory = RunDir.create("check", f"{len(candidates)}-candidates", path=run)
        with directory:
            begin(directory, manifest)
            return _run(directory, manifest, cluster, on_progress)


@timed
def resume(
    run: Path,
    *,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
    max_answers: int | None = None,
    max_cued_answers: int | None = None,
    on_progress: OnProgress = silent,
) -> CandidatesResult:
    """Go on with the checks that are unfinished, and try those again that could not be made.

    With `max_answers` (`max_cued_answers`) above that of the run all undecided ones go on as well. A run in which
    nothing is left to do is returned as it is. `engine`: who does it now; by default who did before. Raises InputError
    for less than the run has.
    """
    directory, started = opened(CANDIDATES, run)
    report = finished(CANDIDATES, run)
    settings = _raised(run, started.settings, max_answers=max_answers, max_cued_answers=max_cued_answers)
    if report is not None and settings == started.settings and not report.not_checked:
        return CandidatesResult(run, report)
    with workers(engine or started.engine, opening or started.opening, on_progress) as cluster, directory:
        if settings != started.settings:
            started = replace(started, settings=settings)
            directory.file(CANDIDATES.done).unlink(missing_ok=True)
            write_json(directory.file(MANIFEST), started)
        return _run(directory, replace(started, opening=opening or started.opening), cluster, on_progress)


def candidates_of(base: str, tuned: str | Path | Sequence[str]) -> tuple[tuple[CandidateName, ...], tuple[str, ...]]:
    """The candidates, and what is said of what lies beside them. InputError for none, and for what names no model."""
    if isinstance(tuned, str | Path):
        return candidates_in(tuned, base)
    if not tuned:
        raise InputError("There is no candidate. Name models with --tuned, or a folder of adapters with --tuned-dir.")
    for name in tuned:
        parsed(name)
    return named_candidates(tuple(tuned)), ()


def settings_of(count: int, settings: CheckSettings, *, cued: bool) -> CheckSettings:
    """Those of each check: one of so many candidates. InputError for what is not decided for all of them together."""
    if settings.benchmarks is not None:
        raise InputError(
            "--benchmarks is not decided for several candidates together. Check those that pass with --benchmarks one "
            "by one."
        )
    if settings.candidates not in (1, count) and settings.candidates < count:
        raise InputError(f"--candidates {settings.candidates} is less than the {count} candidates that are named here.")
    if cued and not settings.decision.cued_share:
        settings = replace(settings, decision=replace(settings.decision, cued_share=CUED_SHARE))
    return replace(settings, candidates=max(count, settings.candidates))


def refuse_people(*who: str | None) -> None:
    """InputError where people would have to read for every candidate."""
    if PEOPLE in who:
        raise InputError(
            "People read the answers of one check at a page of their own. Name a model as the judge of several "
            "candidates, and have people confirm a single one: offtarget check --base B --tuned T --judge J --confirm"
        )


def _raised(run: Path, settings: CheckSettings, **asked: int | None) -> CheckSettings:
    for name, value in asked.items():
        if value is not None and value < getattr(settings, name):
            raise InputError(
                f"{run} was started with --{name.replace('_', '-')} {getattr(settings, name)}, which can be raised and "
                f"not lowered to {value}: its evidence was looked at already. Leave it out, or start a new check."
            )
    more: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    return replace(settings, **more)


def _run(
    directory: RunDir, started: CandidatesManifest, cluster: Cluster[Any] | None, on_progress: OnProgress
) -> CandidatesResult:
    """Every candidate, then what they come to together."""
    found: dict[str, CheckResult | NotChecked] = {}
    unexpected: Exception | None = None
    along = Along(started.candidates, on_progress)
    with interruptible(directory):
        for candidate, outcome in outcomes(directory.path, started, cluster, along.at):
            if isinstance(outcome, Exception):  # a fault of our own with one stops no other; it is raised in the end
                unexpected = unexpected or outcome
                along.ended(candidate, f"{type(outcome).__name__}: {outcome}")
            else:
                found[candidate.name] = outcome
                along.ended(candidate, _said(outcome))
        if unexpected is not None:
            raise unexpected
        report = report_of(directory.path, started, [found[one.name] for one in started.candidates])
        finish(CANDIDATES, directory, report)
    return CandidatesResult(directory.path, report)


def report_of(
    root: Path, started: CandidatesManifest, outcomes: Sequence[CheckResult | NotChecked]
) -> CandidatesReport:
    """What the checks come to together. Raises InputError where none could be made: nothing was decided then."""
    missing = tuple(one for one in outcomes if isinstance(one, NotChecked))
    checks = [(one.run, _manifest(one.run), one.decision) for one in outcomes if not isinstance(one, NotChecked)]
    if not checks:
        raise InputError(none_checked(missing))
    alpha = started.settings.decision.alpha
    names = {str(root / candidate.name): candidate.name for candidate in started.candidates}
    decided = [
        replace(one, name=names[one.run], together=Status.FAIL if one.together is Status.FAIL else _alone(one))
        for one in decided_together(checks, alpha, started.settings.candidates)
    ]
    used, kept = _base_answers([run for run, _, _ in checks])
    return CandidatesReport(
        base=started.base,
        alpha=alpha,
        of=started.settings.candidates,
        candidates=tuple(sorted(decided, key=lambda one: _ORDER.index(one.together))),
        not_checked=missing,
        notes=started.notes,
        base_answers=used,
        base_from_cache=kept,
        given=tuple(dict.fromkeys(decision.given for _, _, decision in checks)),
    )


def _alone(candidate: Candidate) -> Status:
    """A PASS of its own check is one of all, at a C-th of alpha; a FAIL that e-BH does not let stand is none."""
    return Status.PASS if candidate.alone is Status.PASS else Status.UNDECIDED


def _manifest(run: Path) -> CheckManifest:
    manifest = read_manifest(run)
    assert isinstance(manifest, CheckManifest)
    return manifest


def _base_answers(runs: Sequence[Path]) -> tuple[int, int]:
    """Answers of the base that the checks used, and how many of these had been asked for before."""
    used, kept = 0, 0
    for run in runs:
        answers = read_object(run / CHECK.done).get("answers", {})
        kept += answers.get("base_from_cache", 0)
        used += sum(1 for g in iterate_jsonl(run / "generations.jsonl", Generation) if g.role == "base")
    return used, min(kept, used)


def none_checked(missing: Sequence[NotChecked]) -> str:
    """Why nothing can be checked, one sentence where all have the same reason."""
    reasons = list(dict.fromkeys(one.reason for one in missing))
    if len(reasons) == 1:
        return reasons[0]
    each = "\n".join(f"{one.name}: {one.reason}" for one in missing)
    return f"None of the {many(len(missing), 'candidate')} can be checked.\n{each}"


def _said(outcome: CheckResult | NotChecked) -> str:
    """What one came to, for whoever watches."""
    if isinstance(outcome, NotChecked):
        return f"not checked. {outcome.reason}"
    overall = outcome.decision.overall
    evidence = f"evidence of harm {e_value(overall.log_e_fail)}"
    return f"{outcome.decision.status.value} after {many(overall.tuned.total, 'answer')}, {evidence}"


class Along:
    """Tells the share of all candidates that is done, with the time left, and a line for each that has ended."""

    def __init__(self, candidates: Sequence[CandidateName], on_progress: OnProgress) -> None:
        self._on_progress, self._count = on_progress, len(candidates)
        self._numbers = {one.name: number for number, one in enumerate(candidates, 1)}
        self._shares: dict[Hashable, float] = {}
        """Of the checks that are under way."""
        self._whole = Whole(on_progress, many(self._count, "candidate"), dict.fromkeys(self._numbers, 1.0))

    def at(self, candidate: CandidateName, share: float, said: str) -> None:
        """So much of a check is done, beside the others that are under way."""
        self._shares[candidate.name] = max(share, self._shares.get(candidate.name, 0.0))
        self._whole.at(self._shares, f"{self._label(candidate)}: {said}")

    def ended(self, candidate: CandidateName, said: str) -> None:
        """One has come to its end."""
        self._shares.pop(candidate.name, None)
        self._on_progress(Progress(f"{self._label(candidate)}: {said}"))
        self._whole.finished(candidate.name)

    def _label(self, candidate: CandidateName) -> str:
        return f"candidate {self._numbers[candidate.name]} of {self._count}, {candidate.name}"
