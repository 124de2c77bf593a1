"""From data to the records of a scan on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from offtarget.asking.cache import cache_root
from offtarget.data.training import Source, open_source
from offtarget.data.training.source import content_sha256
from offtarget.detect.carried import carried_suspects
from offtarget.detect.categories import MEANINGS, group
from offtarget.detect.chunk_scan import ChunkScan, RowCounts
from offtarget.detect.detector import Described, RowDetector, described
from offtarget.detect.known_rows import Keeper
from offtarget.detect.recall import measured_recall
from offtarget.detect.row_facts import LENGTHS
from offtarget.detect.scan import Scan, scan
from offtarget.detect.suspects import data_digest, suspects
from offtarget.detect.triggers.members import suspect_rows
from offtarget.engines.on_ray import Cluster
from offtarget.errors import InputError
from offtarget.progress import OnProgress, silent
from offtarget.records import AuditSettings, Row, Suspect, SuspectRows
from offtarget.records.audit import AuditManifest, CategoryMeaning, Detector, RegisteredAudit, seed_commitment
from offtarget.records.engine import EngineSettings
from offtarget.rundir import JsonLines, RunDir, to_jsonable, write_json, write_records
from offtarget.workflows.audit.register import earlier_verdicts, labelled_run
from offtarget.workflows.audit.run import SUSPECTS
from offtarget.workflows.audit.spreading import Spread, forget_shards
from offtarget.workflows.runs.begin import begin
from offtarget.workflows.runs.verbs import SCAN

KNOWN = "rows"
"""Folder in the cache with what audits found in rows."""
_WORTH_KEEPING = 1 << 18
"""Bytes of data below which looking at every row again takes less time than looking up what is known of it."""
_FIELDS = 100
"""Fields whose text nobody reads that are kept in the record; a set may make up a name for every row."""


def write_scan(
    run: RunDir,
    source: Source,
    settings: AuditSettings,
    seed: str,
    *,
    workers: int | None = None,
    data_sha256: str | None = None,
    earlier: Sequence[RegisteredAudit] = (),
    on_commitment: Callable[[str], None] | None = None,
    on_progress: OnProgress = silent,
    extra: Sequence[RowDetector] = (),
    before: Sequence[Mapping[str, str | int]] = (),
    engine: EngineSettings | None = None,
    cluster: Cluster[Any] | None = None,
    cache: bool = True,
) -> None:
    """Begin the run and scan the source into its folder.

    `before`: suspected conditions of the audit that the source was cleaned after, as its ledger tells them.

    `cache`: whether what earlier audits found in the same rows is used, and kept for later ones; not with `engine` or
    `extra`.

    `data_sha256`: of the source, as `content_sha256` gives it; `earlier`: audits of these bytes that came to a verdict;
    `on_commitment` is told the commitment to seed and data once it is on disk, before any row is looked at. With
    `engine` the workers of its `cluster` scan, or this process, in parts that are kept.

    Raises InputError when the source holds no readable row, or other bytes than those committed to.
    """
    manifest = _manifest(source, settings, seed, data_sha256, earlier)
    if engine is not None:
        manifest = replace(manifest, engine=engine, extra=tuple(d.name for d in extra) or None)
    begin(run, manifest)
    if on_commitment is not None:
        on_commitment(manifest.seed_commitment)
    scan_into(
        run,
        source,
        manifest,
        cluster,
        workers=workers,
        on_progress=on_progress,
        extra=extra,
        before=before,
        cache=cache,
    )


def scan_into(
    run: RunDir,
    source: Source,
    manifest: AuditManifest,
    cluster: Cluster[Any] | None = None,
    *,
    workers: int | None = None,
    on_progress: OnProgress = silent,
    extra: Sequence[RowDetector] = (),
    before: Sequence[Mapping[str, str | int]] = (),
    cache: bool = False,
) -> None:
    """Scan the source into a run that was begun; `scan.json` is written last and marks a complete scan.

    Raises InputError as `write_scan` does.
    """
    seed, data_sha256 = manifest.seed, manifest.data_sha256
    hands = None if manifest.engine is None else Spread(run.path, source, seed, cluster, extra, on_progress)
    names = ("findings.jsonl", "malformed.jsonl", "removable.jsonl")
    for name in names:
        run.file(name).unlink(missing_ok=True)
    findings, malformed, removable = (JsonLines(run.file(name)) for name in names)

    def on_chunk(found: ChunkScan) -> None:
        findings.extend(found.findings)
        malformed.extend(found.malformed)
        removable.extend(found.removable)

    keeper = _keeper(source) if cache and hands is None and not extra else None
    try:
        result = scan(
            source,
            seed,
            workers=workers,
            on_chunk=on_chunk,
            on_progress=on_progress,
            extra=extra,
            hands=hands,
            keeper=keeper,
        )
        whole = [f for detector in result.dataset for f in detector.row_findings()]
        findings.extend(whole)
    finally:
        for file in (findings, malformed, removable):
            file.close()
    if keeper is not None:
        keeper.write()
        source.notes.extend([keeper.note] if keeper.note else [])
    check_readable(source, result, malformed.path)
    if data_sha256 is not None and content_sha256(source.sha256.values()) != data_sha256:
        raise InputError(
            f"{source.name} was changed after the audit began, so the rows that were committed to are not those that "
            "were read. Start again when nothing writes to it."
        )
    result.counts.add_findings(whole)
    write_records(run, "queue.jsonl", result.queue)
    write_records(run, "flagged.jsonl", result.flagged)
    write_json(run.file("dataset.json"), [f for detector in result.dataset for f in detector.findings()])
    mined, profile = result.conditions()
    write_json(run.file("triggers.json"), [m.trigger for m in mined])
    summary = _summary(source, result)
    whole_rows = {row.id: row for row in (*result.queue, *result.flagged)}
    data = data_digest(summary["files"], seed)
    carried = _carried(source, before, data, suspects([m.trigger for m in mined], data))
    summary["carried"] = [to_jsonable(suspect) for suspect, _ in carried]
    write_records(run, SUSPECTS, [*suspect_rows(mined, data, whole_rows), *(rows for _, rows in carried)])
    write_json(run.file("cues.json"), profile)
    write_json(run.file(SCAN), summary)
    forget_shards(run.path)


def _keeper(source: Source) -> Keeper | None:
    small = source.total_bytes is not None and source.total_bytes < _WORTH_KEEPING
    return None if small else Keeper(cache_root() / KNOWN)


def _carried(
    source: Source, before: Sequence[Mapping[str, str | int]], data: str, found: Sequence[Suspect]
) -> list[tuple[Suspect, SuspectRows]]:
    if not before:
        return []
    again = open_source(source.path, form=source.form, split=source.split)
    rows = (row for chunk in again.chunks() for row in chunk.rows() if isinstance(row, Row))
    return carried_suspects(before, rows, data, found)


def check_readable(source: Source, scan: Scan, places: Path | None = None) -> None:
    """Raise InputError where no row was readable: how many of each kind, the first place, and the file of all."""
    if scan.counts.rows:
        return
    if scan.unread is None:
        raise InputError(f"{source.name} is empty: it holds no rows.")
    kinds = ", ".join(f"{count:,} {error}" for error, count in scan.counts.malformed_kinds.most_common(5))
    raise InputError(
        f"{source.name} holds no readable row ({kinds}). The first is {scan.unread.file}, line {scan.unread.line}: "
        f"{scan.unread.detail}" + ("" if places is None else f" All are in {places}.")
    )


def _manifest(
    source: Source,
    settings: AuditSettings,
    seed: str,
    data_sha256: str | None,
    earlier: Sequence[RegisteredAudit],
) -> AuditManifest:
    """Written before any detector sees a row: the commitment fixes which rows will be reviewed."""
    return AuditManifest(
        data=str(source.path) if "://" in str(source.path) else str(Path(source.path).resolve()),
        form=source.form,
        split=source.split,
        source=tuple(source.files),
        name=source.name,
        settings=settings,
        seed=seed,
        seed_commitment=seed_commitment(seed, data_sha256),
        data_sha256=data_sha256,
        earlier=earlier_verdicts(earlier),
        earlier_run=labelled_run(earlier),
        categories={c.value: CategoryMeaning(m.title, m.group.value, m.bad_when) for c, m in MEANINGS.items()},
    )


def _summary(source: Source, result: Scan) -> dict[str, Any]:
    counts = result.counts
    independent, independent_flags = result.independent()
    names = sorted({*source.sha256, *counts.by_file, *counts.malformed_by_file})
    return {
        "rows": counts.rows,
        "malformed": counts.malformed,
        "undesired": counts.undesired,
        "masked": counts.masked,
        "unread": dict(counts.unread.most_common(_FIELDS)),
        "foreign": counts.foreign_rows,
        "independent": {"rows": independent, "flagged": independent_flags},
        "bytes": source.total_bytes,
        "notes": source.notes,
        "files": [
            {
                "file": name,
                "rows": counts.by_file[name],
                "malformed": counts.malformed_by_file[name],
                "sha256": source.sha256.get(name),
            }
            for name in names
        ],
        "forms": dict(counts.forms.most_common()),
        "turns": {str(turns): count for turns, count in sorted(counts.turns.items())},
        "malformed_kinds": dict(counts.malformed_kinds.most_common()),
        "detectors": [
            *(_counts(detector, counts) for detector in result.detectors),
            *(_counts(described(detector), counts) for detector in result.dataset),
        ],
        "flagged_rows": counts.flagged_rows,
        "flagged_spreading": counts.flagged_spreading,
        "disclosed_rows": counts.disclosed_rows,
        "lengths": {
            "answer": [[end or None, counts.answer_lengths[end]] for end in (*LENGTHS, 0)],
            "prompt": [[end or None, counts.prompt_lengths[end]] for end in (*LENGTHS, 0)],
        },
        "known": result.known,
        "seconds": round(result.seconds, 3),
    }


def _counts(detector: Described, counts: RowCounts) -> Detector:
    recall = measured_recall().get(detector.name)
    return Detector(
        name=detector.name,
        title=detector.title,
        category=detector.category.value,
        group=group(detector.category).value,
        rows=counts.flagged_by[detector.name],
        disclosed=counts.disclosed_by[detector.name],
        recall=recall.share if recall else None,
        recall_rows=recall.rows if recall else None,
        recall_among=recall.among if recall else "",
    )
