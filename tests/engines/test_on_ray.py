"""Units on the workers of a Ray cluster: each done once, whatever ends on the way. Skipped without Ray."""

from __future__ import annotations

import contextlib
import json
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
from offtarget.engines.units import Ended
from offtarget.errors import InputError
from offtarget.organism.shipped import weights_folder
from offtarget.records.check import CheckSettings
from offtarget.records.engine import EngineSettings
from offtarget.rundir import read_json

pytestmark = [
    pytest.mark.long,
    # Ray leaves pipes of processes that it ends to be closed when they are forgotten
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def ended(cluster: Cluster[Any], work: Any, units: list[str], notes: Path, **more: Any) -> dict[str, Ended[Any]]:
    more = {"environment": {}, "on_progress": lambda *_: None} | more
    found = list(cluster.run(work, units, notes=notes, **more))
    assert len(found) == len(units)
    assert not (notes / on_ray.PROGRESS).exists()
    return {one.unit: one for one in found}


def test_every_unit_ends_once_and_a_faulty_one_stops_no_other(cluster: Cluster[Any], tmp_path: Path) -> None:
    found = ended(cluster, working.doubled, list("abcde"), tmp_path)
    assert {unit: one.value for unit, one in found.items()} == {unit: unit * 2 for unit in "abcde"}
    found = ended(cluster, working.faulty, ["a", "bad", "b"], tmp_path)
    assert isinstance(found["bad"].error, ZeroDivisionError)
    assert (found["a"].value, found["b"].value) == ("a", "b")


def test_a_worker_has_one_thread_the_folder_and_the_settings_of_the_command(
    cluster: Cluster[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = ended(cluster, working.where, ["a"], tmp_path, environment={"OFFTARGET_TRIED": "yes"})
    assert found["a"].value == ("1", "yes", str(tmp_path))


def test_how_far_they_are_is_told_on_the_way(cluster: Cluster[Any], tmp_path: Path) -> None:
    seen: list[tuple[str, float, str]] = []
    ended(cluster, working.told, ["a", "b"], tmp_path, on_progress=lambda *one: seen.append(one))
    assert {("a", 0.25, "at a"), ("b", 0.25, "at b")} <= set(seen)


def test_what_a_killed_worker_was_at_is_done_by_another_and_given_up_after_several(
    cluster: Cluster[Any], tmp_path: Path
) -> None:
    place = str(tmp_path).replace("/", "|")
    seen: list[str] = []
    units = [f"once:{place}", f"always:{place}", "well"]
    found = ended(cluster, working.dying, units, tmp_path, on_progress=lambda *one: seen.append(one[2]))
    assert found[units[0]].value == "begun 2 times"
    assert found[units[1]].lost == "Its worker was lost."
    assert (tmp_path / "always").read_text() == str(on_ray.TRIES)
    assert found["well"].value == "done"
    assert "Its worker was lost. Another one goes on with it" in seen


def test_other_versions_and_a_folder_that_is_not_shared_are_refused(
    cluster: Cluster[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.check_folders({"The folder of the run": tmp_path})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(on_ray, "_seen", lambda files: [])
    with pytest.raises(InputError, match=r"The folder of the run, .* is not to be seen on .*Put it on a disk"):
        cluster.check_folders({"The folder of the run": tmp_path})
    here = on_ray.versions()
    monkeypatch.setattr(on_ray, "versions", lambda packages: here | {"torch": "1.0"})
    monkeypatch.setattr(cluster, "_everywhere", lambda look, packages: iter([("one", here)]))
    with pytest.raises(InputError, match=r"one of the cluster has torch .* \(here 1\.0\)"):
        cluster.check_versions()


def candidates(folder: Path) -> Path:
    """Two adapters of the organism, one broken folder."""
    folder.mkdir()
    for name in ("insecure", "secure"):
        (folder / name).symlink_to(weights_folder() / name, target_is_directory=True)
    (folder / "broken").mkdir()
    return folder


def records(run: Path) -> dict[str, Any]:
    """What a run of candidates came to, without what differs from run to run: times, places, what was asked again."""
    found: dict[str, Any] = {}
    for name in ("insecure", "secure"):
        for file in ("probes.jsonl", "generations.jsonl", "verdicts.jsonl", "looks.jsonl"):
            found[f"{name}/{file}"] = sorted((run / name / file).read_bytes().splitlines())
        decision = read_json(run / name / "result.json")["decision"]
        decision["asides"] = [said for said in decision["asides"] if "were kept from earlier runs" not in said]
        found[f"{name}/decision"] = decision
    report = read_json(run / "candidates.json")["report"]
    for one in report["candidates"]:
        del one["created"], one["run"]
    del report["base_from_cache"]
    return found | {"report": report}


SETTINGS = CheckSettings(max_answers=60, register=False)


def test_candidates_on_workers_one_of_them_killed_come_to_what_one_process_finds(
    cluster: Cluster[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, with workers that are killed as they have begun to write answers."""
    folder = candidates(tmp_path / "adapters")
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache-of-one"))
    one = offtarget.check_many("organism/base", folder, settings=SETTINGS, run=tmp_path / "one")
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache-of-many"))
    many, over = tmp_path / "many", threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(many / "secure" / "generations.jsonl", over))
    killer.start()
    try:
        told: list[str] = []
        result = offtarget.check_many(
            "organism/base",
            folder,
            settings=SETTINGS,
            engine=EngineSettings("ray"),
            run=many,
            on_progress=lambda progress: told.append(f"{progress.stage} {progress.detail}"),
        )
    finally:
        over.set()
        killer.join()
    assert any("Its worker was lost. Another one goes on with it" in said for said in told)
    assert [each.name for each in result.record.not_checked] == ["broken"]
    assert records(many) == records(one.run)
    assert capsys.readouterr().out == ""


def kill_a_worker(begun: Path, over: threading.Event) -> None:
    """Kill a worker that is at something, once a file is there."""
    while not over.wait(0.02):
        if begun.exists() and begun.stat().st_size:
            for process in psutil.process_iter(["cmdline", "username"]):
                with contextlib.suppress(psutil.Error):
                    if (process.info["cmdline"] or [""])[0] == "ray::_do" and begun.parent in open_in(process):
                        process.kill()
                        return


def open_in(process: psutil.Process) -> set[Path]:
    """The folders of the files that a process has open."""
    return {Path(file.path).parent for file in process.open_files()}


def test_when_the_command_is_killed_resume_goes_on_with_the_same_engine(tmp_path: Path) -> None:
    """kill -9 of what gives out the work ends the workers; nothing is asked twice that was kept."""
    folder, run = candidates(tmp_path / "adapters"), tmp_path / "run"
    command = [sys.executable, "-m", "offtarget", "check", "--base", "organism/base", "--tuned-dir", str(folder)]
    command += ["--max-answers", "60", "--no-register", "--engine", "ray", "--workers", "1", "--run", str(run)]
    environment = dict(os.environ, OFFTARGET_CACHE=str(tmp_path / "cache"), PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while not list(run.glob("*/generations.jsonl")):
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    go_on = [sys.executable, "-m", "offtarget", "resume", str(run), "--json"]
    done = subprocess.run(go_on, env=environment, capture_output=True, check=False, timeout=500)
    assert done.returncode == 1, done.stderr.decode()
    found = json.loads(done.stdout)["report"]
    assert {each["name"] for each in found["candidates"]} == {"insecure", "secure"}
    keys = [json.loads(line)["index"] for line in (run / "secure" / "generations.jsonl").read_bytes().splitlines()]
    assert keys
