"""An audit whose scan is done in parts that are kept: the same records, whoever scans and wherever it was stopped."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from spread_audits import PIECE, SEED, in_one_go, records, write_rows

import offtarget
from offtarget.data.training import chunks
from offtarget.detect import scan as scanning
from offtarget.detect import shards
from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.detector import RowDetector
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.engines import sealed
from offtarget.errors import DiskFullError, InputError, RunInterrupted
from offtarget.progress import Progress
from offtarget.records import AuditSettings, Category, Finding, Row
from offtarget.records.engine import EngineSettings
from offtarget.rundir import read_json
from offtarget.workflows import clusters
from offtarget.workflows.audit import audit as auditing
from offtarget.workflows.audit import run as auditing_run
from offtarget.workflows.audit import spreading
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.resume import resume

RAY = EngineSettings("ray")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all tests here, of some 15 parts."""
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 700)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the audit in one go comes to, whose register is its own."""
    return in_one_go(data, tmp_path_factory.mktemp("one"))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What workers of a cluster do is done here, one part after another; seeds are the same each time."""

    @contextmanager
    def nobody(*given: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr(clusters, "workers", nobody)
    monkeypatch.setattr(chunks, "CHUNK", PIECE)
    monkeypatch.setattr(auditing, "new_seed", lambda: SEED)


def stopped(after: int, error: BaseException) -> Callable[..., int]:
    """What scans a part, until so many are done."""
    scan, done = spreading._scan, 0

    def scan_part(*given: Any) -> int:
        nonlocal done
        if done == after:
            raise error
        done += 1
        return scan(*given)

    return scan_part


def test_in_parts_the_records_are_those_of_one_go(data: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    told: list[Progress] = []
    offtarget.audit(data, run=tmp_path / "parts", engine=RAY, on_progress=told.append)
    found = records(tmp_path / "parts")
    assert found == whole
    assert b"insecure-code" in found["findings.jsonl"]
    assert found["triggers.json"] != b"[]\n"
    read = [progress.done for progress in told if progress.stage == "megabytes read"]
    assert len(read) > 10
    assert read == sorted(read)


def test_what_was_found_before_an_interruption_is_kept(
    data: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "parts"
    with monkeypatch.context() as until:
        until.setattr(spreading, "_scan", stopped(9, KeyboardInterrupt()))
        with pytest.raises(RunInterrupted, match=r"What was found so far is kept; go on with: offtarget resume "):
            offtarget.audit(data, run=run, engine=RAY)
    assert len(list((run / spreading.SHARDS).glob("*.out"))) == 9
    monkeypatch.setattr(spreading, "_scan", counting := Counting())
    with pytest.raises(InputError, match=r"has not come to its end\. Go on with: offtarget resume "):
        auditing.clean(run, tmp_path / "cleaned.jsonl")
    resume(run)
    assert counting.names
    assert not [name for name in counting.names if int(name[:6]) < 9]
    assert records(run) == whole


class Counting:
    """Scans parts and remembers which."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._scan = spreading._scan

    def __call__(self, folder: str, key: bytes, name: str, tell: Any) -> int:
        self.names.append(name)
        return self._scan(folder, key, name, tell)


class Planted:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._trace),)


def test_parts_that_are_damaged_or_planted_are_scanned_again_and_never_read(
    data: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "parts"
    with monkeypatch.context() as until:
        until.setattr(spreading, "_scan", stopped(9, KeyboardInterrupt()))
        with pytest.raises(RunInterrupted):
            offtarget.audit(data, run=run, engine=RAY)
    kept = sorted((run / spreading.SHARDS).glob("*.out"))
    kept[1].write_bytes(kept[1].read_bytes()[:-1])
    kept[2].write_bytes(b"")
    kept[4].replace(kept[3])
    planted = pickle.dumps(Planted(tmp_path / "trace"))
    sealed.write(kept[5], planted, b"another key")
    kept[6].write_bytes(planted)
    sealed.write(run / spreading.SHARDS / "999999-0.out", planted, b"another key")
    monkeypatch.setattr(spreading, "_scan", counting := Counting())
    resume(run)
    assert not (tmp_path / "trace").exists()
    assert [int(name[:6]) for name in counting.names[:6]] == [1, 2, 3, 4, 5, 6]
    assert records(run) == whole


def test_a_part_that_was_changed_after_it_was_scanned_is_no_verdict(
    data: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreading, "PATIENCE", 0.1)
    scan = spreading._scan

    def damaging(folder: str, key: bytes, name: str, tell: Any) -> int:
        rows = scan(folder, key, name, tell)
        if name.startswith("000004"):
            (Path(folder) / f"{name}.out").write_bytes(b"cut")
        return rows

    with monkeypatch.context() as once:
        once.setattr(spreading, "_scan", damaging)
        with pytest.raises(InputError, match=r"is not there, or was changed .*go on with: offtarget resume"):
            offtarget.audit(data, run=tmp_path / "run", engine=RAY)
    resume(tmp_path / "run")
    assert records(tmp_path / "run") == whole


def test_what_is_no_longer_among_the_first_is_not_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bounds so low that most rows are beyond them: the same records, and less of every later part."""
    for module in (scanning, shards, auditing_run):
        monkeypatch.setattr(module, "REVIEWABLE", 30)
    few = {"flagged": 60, "others": 80}
    monkeypatch.setattr(TriggerMiner.__init__, "__defaults__", (*few.values(), 60_000_000, 4))
    monkeypatch.setattr(CueProfiler.__init__, "__defaults__", (50,))
    read, sizes = sealed.read, dict[str, int]()

    def reading(path: Path, key: bytes) -> Any:
        if path.suffix == ".out":
            sizes[path.stem] = path.stat().st_size
        return read(path, key)

    monkeypatch.setattr(sealed, "read", reading)
    offtarget.audit(data, run=tmp_path / "parts", engine=RAY)
    assert records(tmp_path / "parts") == in_one_go(data, tmp_path / "one")
    first, *_, last = [sizes[name] for name in sorted(sizes)[:-1]]
    assert last < 0.8 * first


@pytest.mark.parametrize("how", ["changed", "one more file"])
def test_data_that_changed_meanwhile_are_refused(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    data = write_rows(folder / "rows.jsonl", 300)
    with monkeypatch.context() as until:
        until.setattr(spreading, "_scan", stopped(2, KeyboardInterrupt()))
        with pytest.raises(RunInterrupted):
            offtarget.audit(folder, run=tmp_path / "run", engine=RAY)
    if how == "changed":
        data.write_bytes(data.read_bytes().replace(b"thing 3", b"thing 8"))
    else:
        write_rows(folder / "more.jsonl", 10)
    with pytest.raises(InputError, match=r"was changed since the audit began\. Start it again with: offtarget audit"):
        resume(tmp_path / "run")


def test_a_full_disk_keeps_what_was_found(
    data: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as until:
        until.setattr(spreading, "_scan", stopped(3, DiskFullError("The disk is full.")))
        with pytest.raises(DiskFullError):
            offtarget.audit(data, run=run, engine=RAY)
    assert find_run(run) == run
    resume(run)
    assert records(run) == whole


class Zebras:
    """A detector of the caller."""

    name = "zebras"
    title = "Zebras"
    category = Category.OTHER
    cues = frozenset({"zebra"})

    def find(self, row: Row) -> list[Finding]:
        return [Finding(row.id, self.name, self.category, "A zebra.", 0.9)]


def test_detectors_of_the_caller_go_on_with_the_run_on_their_machine_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, extra = tmp_path / "run", [Zebras()]
    detectors: list[RowDetector] = list(extra)
    with monkeypatch.context() as until:
        until.setattr(spreading, "_scan", stopped(5, KeyboardInterrupt()))
        with pytest.raises(RunInterrupted):
            offtarget.audit(data, run=run, engine=RAY, extra=detectors)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("OFFTARGET_STATE", str(tmp_path / "another machine"))
        with pytest.raises(InputError, match=r"detectors \(zebras\) that are kept for the user and the machine"):
            resume(run)
    resume(run)
    assert "zebras" in {one["name"] for one in read_json(run / "scan.json")["detectors"]}
    assert records(run) == in_one_go(data, tmp_path / "one", extra=detectors)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    key = sealed.key_in(tmp_path / "keys" / "key")
    assert len(key) == 32
    assert (tmp_path / "keys" / "key").stat().st_mode & 0o077 == 0
    assert sealed.key_in(tmp_path / "keys" / "key") == key
    (tmp_path / "keys" / "key").write_bytes(key[:5])
    assert len(sealed.key_in(tmp_path / "keys" / "key")) == 32


def test_an_audit_in_one_go_has_no_parts(data: Path, tmp_path: Path) -> None:
    offtarget.audit(data, run=tmp_path / "run", workers=1, engine=EngineSettings("local"), settings=AuditSettings())
    assert not {"engine", "extra"} & read_json(tmp_path / "run" / "run.json").keys()
