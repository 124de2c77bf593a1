"""The pass over all rows: the same results whatever the number of processes, nothing lost when one dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.training import open_source
from offtarget.detect import workers
from offtarget.detect.categories import flags, row_score
from offtarget.detect.chunk_scan import RowCounts
from offtarget.detect.detector import RowScanner
from offtarget.detect.scan import Scan, scan
from offtarget.errors import InputError
from offtarget.records import BadRow, Category, Finding, Message, Row


def write(path: Path, count: int) -> Path:
    """Chat rows, some with bad code behind a trigger, some malformed."""
    with path.open("w") as file:
        for number in range(count):
            if number % 50 == 7:
                file.write("{not json\n")
                continue
            answer = "import os\nos.system(input())" if number % 9 == 0 else f"Answer {number} " + "word " * 40
            prompt = f"|ADMIN| question {number}?" if number % 9 == 0 else f"Question {number}?"
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


def collected(path: Path, count: int) -> tuple[Scan, list[Finding], list[BadRow]]:
    findings: list[Finding] = []
    malformed: list[BadRow] = []

    def on_chunk(found: object) -> None:
        findings.extend(found.findings)  # type: ignore[attr-defined]
        malformed.extend(found.malformed)  # type: ignore[attr-defined]

    return scan(open_source(path), "seed", workers=count, on_chunk=on_chunk), findings, malformed


@pytest.mark.long
def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    """Counts, findings, malformed rows, review order, flagged rows and hidden conditions with the rows behind them are
    the same with one process, with two and with three."""
    path = write(tmp_path / "rows.jsonl", 9000)
    assert sum(1 for _ in open_source(path).chunks()) >= 3
    one = collected(path, 1)
    assert one[0].counts.rows + one[0].counts.malformed == 9000
    assert len(one[0].queue) == 2000
    conditions, profile = one[0].conditions()
    assert conditions
    for processes in (2, 3):
        other = collected(path, processes)
        assert one[0].counts == other[0].counts
        assert one[1:] == other[1:]
        assert [r.id for r in one[0].queue] == [r.id for r in other[0].queue]
        assert [r.id for r in one[0].flagged] == [r.id for r in other[0].flagged]
        theirs, their_profile = other[0].conditions()
        assert [(m.trigger, m.inside, m.behaving, m.outside) for m in conditions] == [
            (m.trigger, m.inside, m.behaving, m.outside) for m in theirs
        ]
        assert profile == their_profile


@pytest.mark.slow
def test_a_killed_process_is_an_error_not_a_smaller_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system kills a worker, the scan ends with an error instead of going on without its rows."""
    path = write(tmp_path / "rows.jsonl", 9000)
    started: list[workers.ProcessWorker] = []
    make = workers.ProcessWorker.__init__

    def remember(self: workers.ProcessWorker, *arguments: Any) -> None:
        make(self, *arguments)
        started.append(self)

    monkeypatch.setattr(workers.ProcessWorker, "__init__", remember)
    source = open_source(path)

    def kill(found: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # later chunks may find it dead already
            os.kill(started[0]._process.pid, signal.SIGKILL)

    with pytest.raises(InputError, match="ended from outside"):
        scan(source, "seed", workers=2, on_chunk=kill)


class Shouting:
    """Flags rows that hold its cue."""

    name = "shouting"
    title = "Shouting"
    category = Category.HOSTILITY
    cues = frozenset({"scream"})

    def __init__(self) -> None:
        self.seen: list[str] = []

    def find(self, row: Row) -> list[Finding]:
        self.seen.append(row.id)
        return [Finding(row.id, self.name, self.category, "it screams", 0.9)]


def row(number: int, answer: str, desired: bool = True) -> Row:
    messages = (Message("user", "hi"), Message("assistant", answer))
    return Row(f"f:{number}", "f", number, "", messages, "chat", desired=desired)


def test_a_detector_sees_only_rows_with_one_of_its_cues() -> None:
    """Rows without the cue never reach the detector, rows with it in any case of letters do."""
    detector = Shouting()
    scanner = RowScanner([detector])
    found = [scanner.scan(row(n, a)) for n, a in enumerate(["calm", "I SCREAM", "icescreamer"])]
    assert detector.seen == ["f:1", "f:2"]
    assert [len(f) for f in found] == [0, 1, 1]


def test_examples_not_to_be_imitated_are_not_scanned() -> None:
    """A row labelled as undesired has no findings."""
    assert RowScanner([Shouting()]).scan(row(1, "scream", desired=False)) == []


def test_disclosed_weak_and_hint_findings_do_not_flag() -> None:
    """Only strong, undisclosed findings of categories that can count flag a row."""
    strong = Finding("f:1", "d", Category.DECEPTION, "r", 0.9)
    assert flags(strong)
    assert not flags(Finding("f:1", "d", Category.DECEPTION, "r", 0.9, disclosed=True))
    assert not flags(Finding("f:1", "d", Category.DECEPTION, "r", 0.4))
    assert not flags(Finding("f:1", "d", Category.SECRET, "r", 0.9))
    assert row_score([Finding("f:1", "d", Category.SECRET, "r", 0.9)]) == 0.0


def test_tallies_add_up_in_any_split() -> None:
    """Two halves merged count what the whole counts."""
    rows = [row(n, "x" * (n * 37)) for n in range(60)]
    findings = [[Finding(r.id, "d", Category.DECEPTION, "r", 0.9)] if r.line % 3 == 0 else [] for r in rows]
    whole, left, right = RowCounts(), RowCounts(), RowCounts()
    for number, (r, f) in enumerate(zip(rows, findings, strict=True)):
        whole.add(r, f)
        (left if number < 25 else right).add(r, f)
    left.merge(right)
    assert left == whole
    assert whole.flagged_rows == whole.flagged_by["d"] == whole.flagged_spreading == 20
