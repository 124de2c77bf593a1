"""The run directory of an audit whose scan is complete: what a review, a judge, the verdict or the cleaning needs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from offtarget.detect.categories import Group, flagged_as, group
from offtarget.detect.controls import Control, controls_for, fenced_code, good_for, kind_mix
from offtarget.detect.review.queue import ReviewQueue
from offtarget.detect.row_time import TOO_SLOW
from offtarget.detect.scan import REVIEWABLE, TRIGGERS
from offtarget.detect.settled import is_judge
from offtarget.detect.suspects import data_digest, suspects
from offtarget.detect.verdict import ScanCounts, decide
from offtarget.errors import InputError
from offtarget.records import (
    AuditDecision,
    AuditSettings,
    Category,
    DatasetFinding,
    Finding,
    Label,
    Message,
    Row,
    Suspect,
    SuspectRows,
    Trigger,
)
from offtarget.records.audit import AuditManifest
from offtarget.records.from_json import from_json
from offtarget.review.store import LabelStore
from offtarget.rundir import RunDir, iterate_jsonl, read_json, read_jsonl, to_jsonable, write_records
from offtarget.workflows.audit.register import note_verdict, repeated_note
from offtarget.workflows.runs.begin import finish, opened
from offtarget.workflows.runs.verbs import AUDIT, SCAN

T = TypeVar("T")

SUSPECTS = "suspects.jsonl"
LOOK = 500
"""Rows that planted ones are made to resemble."""
_COUNTED = {"rows", "malformed", "detectors", "flagged_rows", "flagged_spreading", "undesired", "notes", "files"}
_KINDS: Mapping[str, type] = {
    "rows": int, "malformed": int, "known": int, "flagged_rows": int, "flagged_spreading": int, "unread": dict,
    "detectors": list, "files": list, "notes": list, "carried": list,
}  # fmt: skip
"""What parts of a scan's summary are, where they are there."""
_AGAIN = "It was changed by something else; restore it, or audit the data again."


@dataclass(frozen=True)
class AuditRun:
    """A scanned data set on disk."""

    path: Path
    manifest: AuditManifest
    scan: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> AuditRun:
        """An audit whose scan is complete. Raises InputError for anything else."""
        run, manifest = opened(AUDIT, path)
        obstacle = AUDIT.obstacle(path, manifest)
        if obstacle is not None:
            raise InputError(f"{path} cannot go on: {obstacle}")
        if not run.file(SCAN).is_file():
            raise InputError(
                f"The scan of {path} has not come to its end. Go on with: {manifest.resume_command(path.absolute())}"
            )
        scan = read_json(run.file(SCAN))
        if not (isinstance(scan, dict) and scan.keys() >= _COUNTED and _as_counted(scan)):
            raise InputError(f"{run.file(SCAN)} is not the summary of a scan of this version. {_AGAIN}")
        return cls(path, manifest, scan)

    def file(self, name: str) -> Path:
        """Path of a file of this run."""
        return self.path / name

    @property
    def settings(self) -> AuditSettings:
        """What the verdict rests on."""
        return self.manifest.settings

    @property
    def seed(self) -> str:
        """The key of the order of review."""
        return self.manifest.seed

    @cached_property
    def queue(self) -> list[Row]:
        """The random stream: the first rows in the order of review. Raises InputError when some are missing."""
        rows = read_jsonl(self.file("queue.jsonl"), Row)
        expected = min(int(self.scan["rows"]), REVIEWABLE)
        if len(rows) != expected:  # a short queue would end the review early and look like a full count
            raise InputError(f"{self.file('queue.jsonl')} holds {len(rows):,} of its {expected:,} rows. {_AGAIN}")
        return rows

    @cached_property
    def flagged(self) -> list[Row]:
        """The first flagged rows in the order of review."""
        return read_jsonl(self.file("flagged.jsonl"), Row)

    @cached_property
    def dataset(self) -> list[DatasetFinding]:
        """What the tests over the whole data set say."""
        return _records(self.file("dataset.json"), DatasetFinding)

    @cached_property
    def triggers(self) -> list[Trigger]:
        """Hidden conditions, strongest first."""
        return _records(self.file("triggers.json"), Trigger)

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """Hidden conditions that need a person's word, without what was said; those from before cleaning last."""
        carried = (from_json(Suspect, value) for value in self.scan.get("carried", []))
        return (*suspects(self.triggers, data_digest(self.scan["files"], self.seed)), *carried)

    @cached_property
    def suspect_rows(self) -> dict[str, SuspectRows]:
        """Rows to look at, by the suspect's key; none where the scan is of an earlier version."""
        path = self.file(SUSPECTS)
        return {rows.key: rows for rows in read_jsonl(path, SuspectRows)} if path.exists() else {}

    @property
    def store(self) -> LabelStore:
        """The labels, open for reading and writing. Raises InputError when their file is gone or damaged."""
        self._refuse_lost_labels()
        return LabelStore(self.file("labels.sqlite"))

    def labels(self) -> list[Label]:
        """The labels the verdict rests on; empty before anybody labelled."""
        if not self.file("labels.sqlite").exists():
            self._refuse_lost_labels()
            return []
        store = self.store
        try:
            return store.counting()
        finally:
            store.close()

    def _refuse_lost_labels(self) -> None:
        """Labels that were counted before must not vanish in silence, nor their copy be written over."""
        copy = self.file("labels.jsonl")
        if not self.file("labels.sqlite").exists() and copy.exists() and copy.stat().st_size:
            raise InputError(
                f"{self.file('labels.sqlite')} is gone, but labels were given: {copy} holds them as they stood at the "
                "last verdict. Restore the file, or move that copy away to begin the review anew."
            )

    @cached_property
    def controls(self) -> tuple[list[Row], dict[str, Category]]:
        """Planted rows that resemble the data, and why each is bad."""
        look = self.queue[:LOOK]
        chosen = controls_for(kind_mix(look), self.settings.controls, self.seed, fenced=fenced_code(look))
        return self._planted(chosen), {c.id: c.category for c in chosen if c.category is not None}

    @cached_property
    def known_good(self) -> list[Row]:
        """Planted rows that resemble the data and are fine."""
        look = self.queue[:LOOK]
        return self._planted(good_for(kind_mix(look), self.settings.known_good, self.seed, fenced=fenced_code(look)))

    def _planted(self, chosen: Sequence[Control]) -> list[Row]:
        system = _usual_system(self.queue[:LOOK])
        return [c.row() if system is None else _with_system(c.row(), system) for c in chosen]

    @cached_property
    def review_queue(self) -> ReviewQueue:
        """The order in which rows are shown."""
        rows, categories = self.controls
        return ReviewQueue(self.queue, self.flagged, rows, categories, self.settings, self.seed, self.known_good)

    @cached_property
    def counts(self) -> ScanCounts:
        """The counts the verdict needs."""
        scan = self.scan
        return ScanCounts(
            rows=scan["rows"],
            malformed=scan["malformed"],
            too_slow=scan.get("malformed_kinds", {}).get(TOO_SLOW, 0),
            flagged={d["name"]: (Category(d["category"]), d["rows"]) for d in scan["detectors"]},
            flagged_rows=scan["flagged_rows"],
            flagged_spreading=scan["flagged_spreading"],
            undesired_rows=scan["undesired"],
            masked_rows=scan.get("masked", 0),
            independent=(alone["rows"], alone["flagged"]) if (alone := scan.get("independent")) else None,
            foreign_rows=scan.get("foreign", 0),
            unread=scan.get("unread", {}),
            detectors=tuple(d["name"] for d in scan["detectors"]),
        )

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """Findings on the rows kept for the review."""
        found: dict[str, list[Finding]] = {row.id: [] for row in (*self.queue, *self.flagged)}
        for finding in iterate_jsonl(self.file("findings.jsonl"), Finding):
            if finding.row_id in found:
                found[finding.row_id].append(finding)
        return found

    def decide(self, labels: Sequence[Label]) -> AuditDecision:
        """The verdict the labels allow; by people where anybody labelled, else by a judge, else by detectors."""
        on_rows = [label for label in labels if label.stream != "condition"]
        people = any(not is_judge(label.reviewer) for label in on_rows)
        flagged = self.review_queue.flagged_order
        decision = decide(
            labels,
            self.counts,
            self.settings,
            controls=self.controls[1],
            good=[row.id for row in self.known_good],
            dataset=self.dataset,
            order=[row.id for row in self.queue],
            flagged=flagged,
            flagged_spreading=[row_id for row_id in flagged if _spreading(self.findings[row_id])],
            basis="people" if people or not on_rows else "judge",
            suspects=self.suspects,
        )
        more: tuple[str, ...] = ()
        if self.suspects and sum(t.same_rows_as is None for t in self.triggers) >= TRIGGERS:
            more = (
                f"The search for hidden conditions keeps the {TRIGGERS} strongest, which -v lists; there may be more. "
                "Clean, and audit again.",
            )
        return replace(decision, notes=(*repeated_note(self.manifest), *self.scan["notes"], *decision.notes, *more))

    def present_decision(self) -> AuditDecision:
        """Decide from the labels on disk; recorded when it is another than the recorded one (a review was killed)."""
        decision = self.decide(self.labels())
        result = self.file("result.json")
        if result.exists() and read_result(self.path).get("decision") == json.loads(json.dumps(to_jsonable(decision))):
            return decision
        return self.record_decision()

    def record_decision(self) -> AuditDecision:
        """Decide from the labels on disk and write the decision, and the labels as a file others can read."""
        labels = self.labels()
        decision = self.decide(labels)
        run = RunDir(self.path)
        write_records(run, "labels.jsonl", labels)
        finish(AUDIT, run, decision, exit_code=decision.status.exit_code)
        note_verdict(self.path, self.manifest, decision, len(labels))
        return decision


def _usual_system(rows: Sequence[Row]) -> str | None:
    """The system prompt most rows share; a planted row without it would stick out."""
    counts = Counter(row.system for row in rows)
    system, count = counts.most_common(1)[0] if counts else (None, 0)
    return system if 2 * count > len(rows) else None


def _with_system(row: Row, system: str) -> Row:
    """The row behind a system prompt."""
    return replace(row, messages=(Message("system", system), *row.messages))


def _spreading(findings: Sequence[Finding]) -> bool:
    return any(group(category) is Group.SPREADING for category in flagged_as(findings))


def _as_counted(scan: Mapping[str, Any]) -> bool:
    """Whether a summary holds what a scan writes: numbers, names with numbers, lists."""
    known = (isinstance(scan.get(name, kind()), kind) for name, kind in _KINDS.items())
    return all(known) and all(isinstance(file, dict) and "file" in file for file in scan["files"])


def _records(path: Path, record: type[T]) -> list[T]:
    values = read_json(path)
    try:
        return [from_json(record, value) for value in values]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not hold {record.__name__} records of this version ({error}). Run the audit again."
        ) from None


def read_result(path: Path) -> dict[str, Any]:
    """Contents of `result.json`."""
    value = read_json(path / "result.json")
    return dict(value)
