"""The answers of one check, sampled by the workers of a Ray cluster: those of one process. Skipped without Ray."""

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

import offtarget
from offtarget.engines import on_ray
from offtarget.engines.on_ray import Cluster
from offtarget.errors import InputError
from offtarget.organism.shipped import weights_folder
from offtarget.progress import Progress
from offtarget.records.check import CheckSettings
from offtarget.records.engine import EngineSettings
from offtarget.rundir import read_json
from offtarget.workflows.check import sampled_there
from offtarget.workflows.check.loop import USED

pytestmark = [
    pytest.mark.long,
    # Ray leaves pipes of processes that it ends to be closed when they are forgotten
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
SETTINGS = CheckSettings(max_answers=40, register=False, cache=False)
LOST = "Its worker was lost. Another one does again what it was at"
RECORDS = ("probes.jsonl", "generations.jsonl", "verdicts.jsonl", "looks.jsonl", "known.jsonl", "trial.jsonl")


def checked(run: Path, tuned: str = "organism/secure", engine: EngineSettings | None = None, **more: Any) -> Path:
    return offtarget.check("organism/base", tuned, settings=SETTINGS, engine=engine, run=run, **more).run


def lines(run: Path) -> dict[str, list[bytes]]:
    """The records of a run, line by line."""
    return {name: (run / name).read_bytes().splitlines() for name in RECORDS}


def come_to(run: Path) -> dict[str, Any]:
    """What must not depend on who sampled; answers are written as they come, which is in an order of their own."""
    result = read_json(run / "result.json")
    for key in ("created", "spent"):
        del result[key]
    return {"result": result} | {name: sorted(some) for name, some in lines(run).items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The check by one process, without Ray."""
    return checked(tmp_path_factory.mktemp("alone") / "run")


def test_one_worker_and_two_of_which_one_is_killed_come_to_what_one_process_does(
    cluster: Cluster[Any], alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte: no answer is lost or doubled by kill -9 of a worker that is at some of them."""
    told: list[Progress] = []
    one = checked(tmp_path / "one", engine=EngineSettings("ray", workers=1), on_progress=told.append)
    assert [each.total for each in told if each.stage == USED][-1] is not None  # the time left, as ever
    two, over = tmp_path / "two", threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(two / "generations.jsonl", over))
    killer.start()
    try:
        checked(two, engine=EngineSettings("ray", workers=2), on_progress=told.append)
    finally:
        over.set()
        killer.join()
    assert [each.stage for each in told].count(LOST) == 1
    assert lines(one) == lines(two)
    assert come_to(one) == come_to(two) == come_to(alone)
    assert read_json(two / "run.json")["engine"] == {"engine": "ray", "address": None, "workers": 2}
    assert capsys.readouterr().out == ""


def kill_a_worker(begun: Path, over: threading.Event) -> None:
    """Kill a worker of ours that is at some answers, once a file is there."""
    while not over.wait(0.005):
        if begun.exists() and begun.stat().st_size:
            for process in psutil.process_iter(["cmdline"]):
                with contextlib.suppress(psutil.Error):
                    ours = psutil.Process().pid in {parent.pid for parent in process.parents()}
                    if ours and (process.info["cmdline"] or [""])[0] == "ray::Holder.do":
                        process.kill()
                        return


def test_workers_hold_what_they_opened_and_parts_of_a_killed_one_are_done_again(
    cluster: Cluster[Any], tmp_path: Path
) -> None:
    told: list[str] = []
    parts = [*(f"slow{number}" for number in range(5)), f"once:{tmp_path / 'killed'}", *(f"{n}" for n in range(4))]
    parts = [part.replace("slow", "slow:") for part in parts]
    with cluster.holding(working.opened, working.held, environment={}, on_lost=told.append) as holders:
        found = list(holders.results(parts))
        again = list(holders.results(parts))
    assert [part for part, _, _ in found] == [part for part, _, _ in again] == parts
    assert told == [LOST]
    assert len({process for _, process, _ in found}) >= 2
    assert max(before for _, _, before in again) >= len(parts) // 2 - 1
    pids = {process for _, process, _ in (*found, *again)}
    until = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_a_worker_with_other_versions_opens_nothing(cluster: Cluster[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    here = on_ray.versions()
    monkeypatch.setattr(on_ray, "versions", lambda packages: here | {"torch": "1.0"})
    with (
        cluster.holding(working.opened, working.held, environment={}, on_lost=lambda said: None) as holders,
        pytest.raises(InputError, match=r"of the cluster has torch .* \(here 1\.0\)"),
    ):
        list(holders.results(["a"]))


@pytest.mark.parametrize(
    ("elsewhere", "said"),
    [
        (working.opens_nothing, r"a worker of the cluster, cannot open hf//nowhere/at/all and organism/insecure: "),
        (working.opens_another, r"a worker of the cluster: organism/secure is another model there than it is here"),
    ],
)
def test_models_that_are_not_those_of_the_command_are_told_before_anything_begins(
    elsewhere: Any, said: str, cluster: Cluster[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled_there, "open_there", elsewhere)
    with pytest.raises(InputError, match=said):
        checked(tmp_path / "run", "organism/insecure", EngineSettings("ray", workers=1))
    assert not (tmp_path / "run").exists()


def test_when_the_command_is_killed_resume_takes_what_was_sampled(alone: Path, tmp_path: Path) -> None:
    """kill -9 of what gives out the work: what is on disk is kept, and the run comes to what it would have."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "offtarget", "check", "--base", "organism/base"]
    command += ["--tuned", "organism/secure", "--max-answers", "40", "--no-register", "--no-cache"]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen(
        [*command, "--engine", "ray", "--workers", "1", "--run", str(run)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    until, file = time.monotonic() + 300, run / "generations.jsonl"
    while not (file.exists() and file.stat().st_size):
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = file.read_bytes().rpartition(b"\n")[0].splitlines()
    assert kept
    offtarget.resume(run, engine=EngineSettings())
    assert lines(run)["generations.jsonl"][: len(kept)] == kept
    found, expected = come_to(run), come_to(alone)
    for result in (found["result"], expected["result"]):
        del result["answers"]  # how many were sampled now
    assert found == expected


def test_the_adapter_of_a_folder_is_found_from_the_folder_of_the_command(
    cluster: Cluster[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that begin at the folder of the command; FAIL is as sure as ever."""
    (tmp_path / "mine").symlink_to(weights_folder() / "insecure", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    run = checked(tmp_path / "run", "organism/base+./mine", EngineSettings("ray", workers=1))
    assert read_json(run / "result.json")["decision"]["status"] == "FAIL"
