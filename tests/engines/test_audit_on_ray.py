"""The scan of an audit by the workers of a Ray cluster: byte for byte what one process finds. Skipped without Ray."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'offtarget[ray]'")

import psutil
import working
from spread_audits import PIECE, SEED, in_one_go, records, write_rows

import offtarget
from offtarget.data.training import chunks
from offtarget.engines import on_ray
from offtarget.engines.on_ray import Cluster
from offtarget.errors import InputError
from offtarget.progress import Progress
from offtarget.records.engine import EngineSettings
from offtarget.workflows.audit import audit as auditing
from offtarget.workflows.audit.spreading import SHARDS

pytestmark = [
    pytest.mark.long,
    # Ray leaves pipes of processes that it ends to be closed when they are forgotten
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
WORKERS = ("ray::_do", "ray::IDLE")
"""What those of Ray's processes are called that do units, or wait for one."""
IN_PIECES = (
    "from offtarget.data.training import chunks; chunks.CHUNK = {piece}; "
    "from offtarget.workflows.audit import audit; audit.new_seed = lambda: {seed!r}; "
    "from offtarget.cli.app import main; main()"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for some 40 parts."""
    return write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 4000)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the audit in one go comes to, whose register is its own."""
    return in_one_go(data, tmp_path_factory.mktemp("one"))


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", PIECE)
    monkeypatch.setattr(auditing, "new_seed", lambda: SEED)


def test_a_worker_stops_a_row_that_takes_too_long(cluster: Cluster[Any], tmp_path: Path) -> None:
    """As a process of the audit does: its thread is one that signals reach."""
    found = list(cluster.run(working.limits_time, ["a"], notes=tmp_path, environment={}, on_progress=lambda *_: None))
    assert found[0].value is True


def test_workers_one_of_them_killed_find_what_one_process_finds(
    cluster: Cluster[Any], data: Path, whole: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, over, told = tmp_path / "run", threading.Event(), list[Progress]()
    killer = threading.Thread(target=kill_a_worker, args=(run / SHARDS, over))
    killer.start()
    try:
        offtarget.audit(data, run=run, engine=EngineSettings("ray"), on_progress=told.append)
    finally:
        over.set()
        killer.join()
    lost = [each.stage for each in told if "Its worker was lost. Another one goes on with it" in each.stage]
    assert lost
    assert all(each.startswith("rows.jsonl, from line ") for each in lost)
    assert records(run) == whole
    assert capsys.readouterr().out == ""


def kill_a_worker(shards: Path, over: threading.Event) -> None:
    """Kill a worker that is at something, once some parts are done."""
    while not over.wait(0.01):
        if len(list(shards.glob("*.out"))) >= 3:
            for process in psutil.process_iter(["cmdline"]):
                with contextlib.suppress(psutil.Error):
                    ours = psutil.Process().pid in {parent.pid for parent in process.parents()}
                    if ours and (process.info["cmdline"] or [""])[0] == "ray::_do":
                        process.kill()
                        return


def test_a_folder_that_is_not_shared_is_refused_and_nothing_is_begun(
    cluster: Cluster[Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "_seen", lambda files: [])
    with pytest.raises(InputError, match=r"The folder of the run, .* is not to be seen on .*Put it on a disk"):
        offtarget.audit(data, run=tmp_path / "run", engine=EngineSettings("ray"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("number", "engine"), [(signal.SIGKILL, "ray"), (signal.SIGINT, "local")])
def test_when_the_command_is_stopped_resume_takes_what_was_found(
    number: signal.Signals, engine: str, data: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    """kill -9 of what gives out the work, and Ctrl-C: the workers end, and no part that was kept is scanned again."""
    run = tmp_path / "run"
    python = [sys.executable, "-c", IN_PIECES.format(piece=PIECE, seed=SEED)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    options = ["audit", str(data), "--engine", "ray", "--workers", "1", "--run", str(run)]
    process = subprocess.Popen(
        [*python, *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 300
    while len(list((run / SHARDS).glob("*.out"))) < 3:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    workers = [each for each in psutil.Process(process.pid).children(recursive=True) if each.name() in WORKERS]
    assert workers
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert "What was found so far is kept; go on with: offtarget resume" in said
    psutil.wait_procs(workers, timeout=60)
    assert not [each for each in workers if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    kept = {file.name: file.stat().st_mtime_ns for file in (run / SHARDS).glob("*.out")}
    assert len(kept) >= 3
    assert not (run / "scan.json").exists()
    again = subprocess.Popen(
        [*python, "resume", str(run), "--engine", engine, "--json"], env=environment, stdout=subprocess.PIPE
    )
    later = dict[str, int]()
    while again.poll() is None and time.monotonic() < until + 300:
        for file in (run / SHARDS).glob("*.out"):
            with contextlib.suppress(FileNotFoundError):
                later[file.name] = file.stat().st_mtime_ns
        time.sleep(0.02)
    again.communicate()
    assert again.returncode in (1, 3)
    assert {name: later[name] for name in kept} == kept
    assert records(run) == whole
