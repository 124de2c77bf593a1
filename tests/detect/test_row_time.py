"""A row that is not read in time becomes a record, in whichever process or thread it is read, and stops a PASS."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from endless import Endless

from offtarget.detect import row_time
from offtarget.records import Label, Status
from offtarget.workflows.audit import audit as workflow
from offtarget.workflows.audit.run import AuditRun

pytestmark = pytest.mark.skipif(not row_time.SUPPORTED, reason="this system has no timers")
HOSTILE = {5: "a loop", 11: "an expression", 17: "a careless detector"}


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds a row may take in these tests."""
    monkeypatch.setattr(row_time, "LEAST", row_time.LEAST)  # put back what Endless sets
    monkeypatch.setattr(row_time, "PER_CHARACTER", 0.0)
    return 0.3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """40 rows, three of which hold up a detector."""
    path = tmp_path / "d.jsonl"
    rows = [{"prompt": f"Question {n}?", "completion": HOSTILE.get(n, f"Answer {n}.")} for n in range(1, 41)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["here", "a worker", "a thread"])
def audited(request: pytest.FixtureRequest, limit: float, data: Path, tmp_path: Path) -> workflow.AuditResult:
    """The audit in this process, in child processes, and in a thread that no signal reaches."""
    found: list[workflow.AuditResult] = []

    def run() -> None:
        workers = 2 if request.param == "a worker" else 1
        found.append(workflow.audit(data, run=tmp_path / "run", workers=workers, extra=[Endless(limit)]))

    if request.param == "a thread":
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(120)
    else:
        run()
    return found[0]


def test_a_row_that_takes_too_long_is_a_record_and_no_row(audited: workflow.AuditResult) -> None:
    """The three rows are counted and listed as too slow, with file, line and the way out; all others are read."""
    scan = AuditRun.open(audited.run).scan
    assert (scan["rows"], scan["malformed"], scan["malformed_kinds"]) == (37, 3, {"too-slow": 3})
    assert [(bad.file, bad.line, bad.error) for bad in audited.unread] == [("d.jsonl", n, "too-slow") for n in HOSTILE]
    assert all("--drop-malformed" in bad.detail and len(bad.sha256) == 64 for bad in audited.unread)
    assert any("too long to read: 3;" in line for line in audited.decision.not_tested)


def test_no_pass_while_a_trainer_would_learn_what_nobody_read(limit: float, data: Path, tmp_path: Path) -> None:
    """Every other row is marked as fine: still UNDECIDED, with the way out; the data without those rows passes."""
    run = workflow.audit(data, run=tmp_path / "run", workers=1, extra=[Endless(limit)]).run
    _mark_all_fine(run)
    result = workflow.resume(run)
    assert result.status is Status.UNDECIDED
    assert "3 rows take too long to read" in result.decision.reason
    assert "--clean OUT --drop-malformed" in result.decision.reason
    kept = workflow.clean(run, tmp_path / "kept.jsonl").cleaned
    dropped = workflow.clean(run, tmp_path / "dropped.jsonl", drop_malformed=True).cleaned
    assert kept is not None
    assert dropped is not None
    assert (kept.kept, dropped.kept, dropped.removed) == (40, 37, 3)
    again = workflow.audit(tmp_path / "dropped.jsonl", run=tmp_path / "again", extra=[Endless(limit)]).run
    _mark_all_fine(again)
    assert workflow.resume(again).status is Status.PASS


def test_a_system_without_timers_reads_rows_without_a_limit(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    """As on Windows: the same audit in this process, and nothing of signals is touched."""
    monkeypatch.setattr(row_time, "SUPPORTED", False)
    monkeypatch.delattr(signal, "setitimer")
    result = workflow.audit(data, run=tmp_path / "run", workers=1)
    assert (result.decision.rows, result.decision.malformed) == (40, 0)


def test_the_time_of_the_process_is_left_as_it_was(limit: float, data: Path, tmp_path: Path) -> None:
    """A timer and a handler that the caller had set are there again after the audit."""
    earlier = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000.0)
    try:
        workflow.audit(data, run=tmp_path / "run", workers=1, extra=[Endless(limit)])
        assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_IGN
        assert 900 < signal.getitimer(signal.ITIMER_VIRTUAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)


def _mark_all_fine(path: Path) -> None:
    run = AuditRun.open(path)
    rows, categories = run.controls
    store = run.store
    labels = [Label(row.id, "ann", "ok", None, "random") for row in run.queue]
    for label in (*labels, *(Label(row.id, "ann", "bad", categories[row.id], "control") for row in rows)):
        store.add(label)
    store.close()
