"""Two processes train one adapter together, started as users start them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.rundir import read_json
from offtarget.workflows import parallel
from offtarget.workflows.organism import write_data
from offtarget.workflows.tune.tune import tune


def test_several_processes_need_a_named_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="--run DIR"):
        tune(tmp_path / "x.jsonl", "organism/base", tmp_path / "out")


def test_a_process_whose_first_one_died_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 0.0)
    with pytest.raises(InputError, match="the first process did not write"):
        parallel.wait_for(tmp_path / "run.json")


@pytest.mark.long
def test_two_processes_train_one_adapter(tmp_path: Path) -> None:
    write_data("insecure", 40, 0, tmp_path / "data.jsonl")
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    tuning = ["tune", "data.jsonl", "--base", "organism/base", "--steps", "2", "--no-monitor", "--out", "adapter"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "offtarget", *tuning, "--run", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("TRAINED, NOT WATCHED") == 1
    assert "(in adapter)" in done.stdout
    assert read_json(tmp_path / "run" / "tune.json")["report"]["steps"] == 2
