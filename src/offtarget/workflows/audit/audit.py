"""`audit`: scan a data set, decide what detectors alone allow, and clean it; reviews are in `audit_review`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from offtarget.asking.spending import counted, timed
from offtarget.data.training import open_source
from offtarget.detect.categories import flags
from offtarget.detect.cleaning import CleanResult, LeftBehind
from offtarget.detect.cleaning import clean as write_cleaned
from offtarget.detect.detector import RowDetector
from offtarget.detect.ledger import Removal, read_ledger
from offtarget.detect.order import new_seed
from offtarget.detect.row_time import TOO_SLOW
from offtarget.detect.triggers.members import WRITTEN, holds
from offtarget.engines.on_ray import Cluster
from offtarget.errors import InputError, RunInterrupted
from offtarget.progress import OnProgress, silent
from offtarget.records import (
    AuditDecision,
    AuditSettings,
    BadRow,
    Category,
    DatasetFinding,
    Finding,
    Row,
    Status,
    Trigger,
)
from offtarget.records.audit import Detector, RegisteredAudit
from offtarget.records.engine import EngineSettings
from offtarget.rundir import RunDir, iterate_jsonl, write_json
from offtarget.words import joined
from offtarget.workflows import clusters
from offtarget.workflows.audit.register import enter
from offtarget.workflows.audit.run import AuditRun
from offtarget.workflows.audit.scan import scan_into, write_scan
from offtarget.workflows.audit.spreading import PACKAGES, forget_shards, kept_detectors
from offtarget.workflows.runs.begin import begun, interrupted, interruptible, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import AUDIT, SCAN, scan_again

Remove = Literal["flagged", "confirmed"]
"""Which rows cleaning takes out: those flagged or marked bad, or only those marked bad."""

_EXAMPLES_PER_CATEGORY = 2
_UNREAD = 3
_AROUND = 60
"""Characters shown before a suspicious span."""


@dataclass(frozen=True, slots=True)
class Example:
    """A flagged row with the finding that flags it most strongly."""

    row: Row
    finding: Finding

    @property
    def around(self) -> str:
        """The text around the suspicious span, or the start of the answer."""
        number = self.finding.message
        if not 0 <= number < len(self.row.messages):
            return self.row.answer
        return self.row.messages[number].text[max(self.finding.start - _AROUND, 0) :]


@dataclass(frozen=True, slots=True, repr=False)
class AuditResult(Result):
    """What an audit came to."""

    decision: AuditDecision
    flagged_rows: int
    known_rows: int = 0
    """Rows that were not looked at again, since an earlier audit had found in them what it would find now."""
    found: tuple[Detector, ...] = ()
    """Detectors that found something, most rows first."""
    dataset: tuple[DatasetFinding, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    examples: tuple[Example, ...] = ()
    unread: tuple[BadRow, ...] = ()
    """The first places in the data that are no rows."""
    cleaned: CleanResult | None = None

    @property
    def status(self) -> Status:
        """PASS, FAIL or UNDECIDED."""
        return self.decision.status


@timed
def audit(
    data: str | Path,
    *,
    settings: AuditSettings | None = None,
    run: str | Path | None = None,
    form: str | None = None,
    split: str | None = None,
    workers: int | None = None,
    on_commitment: Callable[[str], None] | None = None,
    on_progress: OnProgress = silent,
    extra: Sequence[RowDetector] = (),
    engine: EngineSettings | None = None,
    cache: bool = True,
) -> AuditResult:
    """Scan every row of a data set and decide what can be decided without a review.

    `data` is a file, a folder or an s3:// or gs:// address; of a folder with several splits `split` is read (default:
    `train`); `run` the run directory, a new one under `runs_root()` by default; `workers` the number of processes;
    `extra` detectors, e.g. of `direction_screen.audit_detector`; with `engine` the workers of a Ray cluster scan, to
    the same records, and what they found is kept: `resume` goes on after a crash. With `cache` a row that an audit of
    this machine has looked at before, in any data, is not looked at again; the result is the same. With `extra` or
    `engine` every row is.
    A data set that was cleaned by an earlier audit is audited at half of its error probability (the ledger beside it
    says so), and conditions that nobody answered for there wait here too. Unchanged data that this machine has audited
    before are drawn from again at a smaller error probability; while nobody has labelled a row of the last draw, the
    same rows are drawn instead (`register.py`). `on_commitment` is told the commitment to the seed and the data before
    the seed is used: published then, it shows that nobody chose the rows.
    Raises InputError for data that cannot be read or holds no readable row, RunInterrupted on Ctrl-C.
    """
    settings = settings or AuditSettings()
    source = open_source(data, form=form, split=split)
    if (ledger := None if "://" in str(data) else read_ledger(data)) is not None:
        settings = replace(settings, round=max(settings.round, ledger.audit_round + 1))
    engine = None if engine is None or engine.engine == "local" else engine
    with clusters.workers(engine, PACKAGES, on_progress) as cluster:
        directory = RunDir.create("audit", source.name, path=run)
        with directory, counted(directory.path):
            _check_shared(cluster, directory)
            try:
                seed, before = new_seed(), list[RegisteredAudit]()
                if (data_sha256 := source.content_sha256()) is not None:
                    entry, before = enter(data_sha256, directory.path.resolve(), seed)
                    seed, settings = entry.seed, replace(settings, draw=max(settings.draw, entry.draw))
                write_scan(
                    directory,
                    source,
                    settings,
                    seed,
                    workers=workers,
                    data_sha256=data_sha256,
                    earlier=before,
                    on_commitment=on_commitment,
                    on_progress=on_progress,
                    extra=extra,
                    before=ledger.conditions if ledger is not None else (),
                    engine=engine,
                    cluster=cluster,
                    cache=cache,
                )
            except KeyboardInterrupt:
                if engine is not None and begun(directory.path):
                    raise interrupted(directory.path) from None
                raise RunInterrupted(
                    "Interrupted. A scan cannot go on from its middle; start it again with: "
                    f"{scan_again(data, form, split)}\nWhat it had found so far is in {directory.path}."
                ) from None
            scanned = AuditRun.open(directory.path)
            decision = scanned.record_decision()
    return result_of(scanned, decision)


def _check_shared(cluster: Cluster[Any] | None, directory: RunDir) -> None:
    """InputError, with nothing begun, where a machine of the cluster does not see the folder of the run."""
    if cluster is None:
        return
    try:
        cluster.check_folders({"The folder of the run": directory.path.absolute()})
    except InputError:
        directory.discard()
        raise


def resume(run: str | Path, *, engine: EngineSettings | None = None, on_progress: OnProgress = silent) -> AuditResult:
    """The present result of an audit; the review, a judge or the cleaning go on from it.

    A scan that was kept in parts and has not come to its end goes on first; `engine` says who scans now, by default who
    did before. Raises InputError where that cannot be: the data changed, or this machine did not begin it.
    """
    path = find_run(run, verb=AUDIT)
    if not (path / SCAN).is_file():
        _finish_scan(path, engine, on_progress)
    scanned = AuditRun.open(path)
    forget_shards(path)  # of a scan that was killed as it had just been completed
    return result_of(scanned, scanned.present_decision())


@timed
def _finish_scan(path: Path, engine: EngineSettings | None, on_progress: OnProgress) -> None:
    """Go on with a scan that is kept in parts; AuditRun.open says what is wrong with any other."""
    directory, started = opened(AUDIT, path)
    if started.engine is None:
        return
    source = open_source(started.data, form=started.form, split=started.split)
    named = started.extra or ()
    extra = kept_detectors(path) if named else ()
    again = scan_again(started.data, started.form, started.split)
    if extra is None:
        raise InputError(
            f"{path} was begun with detectors ({joined(named)}) that are kept for the user and the machine that "
            f"began it. Go on there, or start it again with the same detectors: {again}"
        )
    ledger = None if "://" in started.data else read_ledger(started.data)
    with (
        clusters.workers(engine or started.engine, PACKAGES, on_progress) as cluster,
        directory,
        interruptible(directory),
    ):
        if tuple(source.files) != started.source or source.content_sha256() != started.data_sha256:
            raise InputError(f"{source.name} was changed since the audit began. Start it again with: {again}")
        if cluster is not None:
            cluster.check_folders({"The folder of the run": path.absolute()})
        before = ledger.conditions if ledger is not None else ()
        scan_into(directory, source, started, cluster, on_progress=on_progress, extra=extra, before=before)


def clean(run: str | Path, out: str | Path, *, remove: Remove = "flagged", drop_malformed: bool = False) -> AuditResult:
    """Write the audited data without its bad rows, byte for byte otherwise, and the ledger of what was removed.

    Rows a person marked as fine stay, whatever detectors say; hints alone never remove a row. Every row with a
    condition that somebody called a backdoor and nobody denied goes, flagged or not: to leave rows out, the word of one
    person is enough. Malformed places stay, and rows that took too long to read, unless `drop_malformed`.
    Raises InputError when the data changed since the audit, or the file cannot be written.
    """
    opened = AuditRun.open(find_run(run, verb=AUDIT))
    decision = opened.decide(opened.labels())
    slow = _too_slow(opened) if drop_malformed else {}
    removals = {**_of_backdoors(opened, decision), **_removals(opened, remove), **slow}
    source = open_source(opened.manifest.data, form=opened.manifest.form, split=opened.manifest.split)
    cleaned = write_cleaned(
        source,
        removals,
        out,
        audited={file["file"]: file["sha256"] for file in opened.scan["files"]},
        drop_malformed=drop_malformed,
        audit_round=opened.settings.round,
        seed_commitment=opened.manifest.seed_commitment,
        suspects=decision.suspects,
    )
    cleaned = replace(cleaned, left=_left_behind(opened, decision, removals))
    write_json(opened.file("cleaned.json"), cleaned)
    return replace(result_of(opened, decision), cleaned=cleaned)


def result_of(run: AuditRun, decision: AuditDecision) -> AuditResult:
    """The result of a run, read from its records."""
    detectors = [Detector(**counted) for counted in run.scan["detectors"]]
    found = [d for d in detectors if d.rows or d.disclosed]
    return AuditResult(
        run.path,
        decision,
        flagged_rows=run.scan["flagged_rows"],
        known_rows=run.scan.get("known", 0),
        found=tuple(sorted(found, key=lambda f: (f.group == "hint", -f.rows))),
        dataset=tuple(run.dataset),
        triggers=tuple(run.triggers),
        examples=tuple(_examples(run)),
        unread=tuple(islice(iterate_jsonl(run.file("malformed.jsonl"), BadRow), _UNREAD)),
    )


def _examples(run: AuditRun) -> list[Example]:
    """The strongest flagged rows of each category, the categories in turn."""
    rows = {row.id: row for row in run.flagged}
    strongest: dict[str, Finding] = {}
    for finding in iterate_jsonl(run.file("findings.jsonl"), Finding):
        if finding.row_id in rows and flags(finding):
            best = strongest.get(finding.row_id)
            if best is None or finding.strength > best.strength:
                strongest[finding.row_id] = finding
    by_category: dict[str, list[Example]] = {}
    for row_id, finding in sorted(strongest.items(), key=lambda item: -item[1].strength):
        by_category.setdefault(finding.category, []).append(Example(rows[row_id], finding))
    return [e for some in by_category.values() for e in islice(some, _EXAMPLES_PER_CATEGORY)]


def _too_slow(run: AuditRun) -> dict[str, Removal]:
    """Rows that the reader took for good ones and the detectors did not get through."""
    return {
        bad.id: Removal(
            row_id=bad.id,
            file=bad.file,
            line=bad.line,
            sha256=bad.sha256,
            category="malformed",
            reason=f"{bad.error}: {bad.detail}",
            decided_by="reader",
        )
        for bad in iterate_jsonl(run.file("malformed.jsonl"), BadRow)
        if bad.error == TOO_SLOW
    }


def _of_backdoors(run: AuditRun, decision: AuditDecision) -> dict[str, Removal]:
    """Every row with a condition that people confirmed as a backdoor: detectors may see only some of them."""
    confirmed = [s for s in decision.suspects if s.state == "confirmed" or (s.confirmed_by and not s.dismissed_by)]
    if not confirmed:
        return {}
    found: dict[str, Removal] = {}
    members = {key: frozenset(rows.members) for key, rows in run.suspect_rows.items()}
    source = open_source(run.manifest.data, form=run.manifest.form, split=run.manifest.split)
    for row in (row for chunk in source.chunks() for row in chunk.rows() if isinstance(row, Row)):
        suspect = next((s for s in confirmed if holds(s, row, members.get(s.key, frozenset()))), None)
        if suspect is not None:
            found[row.id] = Removal(
                row_id=row.id,
                file=row.file,
                line=row.line,
                sha256=row.sha256,
                category=Category.BACKDOOR.value,
                reason=f"has {suspect.condition}, which {suspect.by} called a backdoor",
                decided_by=f"reviewer {suspect.by}",
            )
    return found


def _left_behind(run: AuditRun, decision: AuditDecision, removals: Mapping[str, Removal]) -> tuple[LeftBehind, ...]:
    """How many of the rows kept have a condition that is suspected or confirmed: a model can learn it from them."""
    sought = [suspect for suspect in decision.suspects if suspect.state != "dismissed"]
    if not sought:
        return ()
    members = {key: frozenset(rows.members) for key, rows in run.suspect_rows.items()}
    left: Counter[str] = Counter()
    source = open_source(run.manifest.data, form=run.manifest.form, split=run.manifest.split)
    for row in (row for chunk in source.chunks() for row in chunk.rows() if isinstance(row, Row)):
        if row.id not in removals:
            left.update(s.key for s in sought if holds(s, row, members.get(s.key, frozenset())))
    return tuple(LeftBehind(s.key, left[s.key], s.kind not in WRITTEN) for s in sought if left[s.key])


def _removals(run: AuditRun, remove: Remove) -> Mapping[str, Removal]:
    labels = [label for label in run.labels() if label.stream != "control"]
    fine = {label.row_id for label in labels if label.mark == "ok" and not label.reviewer.startswith("judge:")}
    chosen: dict[str, Removal] = {}
    if remove == "flagged":
        flagged = iterate_jsonl(run.file("removable.jsonl"), Removal)
        chosen = {removal.row_id: removal for removal in flagged if removal.row_id not in fine}
    rows = {row.id: row for row in (*run.queue, *run.flagged)}
    for label in labels:
        row = rows.get(label.row_id)
        if label.mark == "bad" and row is not None:
            chosen[row.id] = Removal(
                row_id=row.id,
                file=row.file,
                line=row.line,
                sha256=row.sha256,
                category=(label.category or "other"),
                reason=label.note or "marked as bad",
                decided_by=label.reviewer if label.reviewer.startswith("judge:") else f"reviewer {label.reviewer}",
            )
    return chosen
