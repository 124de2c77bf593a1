"""A project on the organism, with real audits, trainings and checks: killed, gone on with, changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from offtarget.records.project import StepOutcome
from offtarget.workflows.organism import write_data
from offtarget.workflows.project.project import run_project


def done(dry_run: bool = False) -> dict[str, StepOutcome]:
    return {outcome.step: outcome for outcome in run_project(dry_run=dry_run).steps}


@pytest.mark.long
def test_an_audit_a_training_a_check_and_their_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module_cache: Path
) -> None:
    """From data to a checked model; more answers go on in the same run; a verdict changed by hand does not stand."""
    monkeypatch.chdir(tmp_path)
    write_data("secure", 40, 1, "rows.jsonl")
    text = (
        "data: rows.jsonl\nbase: organism/base\ntune: {steps: 2, monitor: false}\nreports: [json]\n"
        "limits: {max_answers: 6}\n"
    )
    Path("offtarget.yaml").write_text(text)
    first = done()
    assert [(one.did, one.state) for one in first.values()] == [
        ("ran", "UNDECIDED"), ("ran", "DONE"), ("ran", "UNDECIDED"), ("ran", "DONE"),
    ]  # fmt: skip
    model = first["tune"].model
    assert model is not None
    assert Path(model.rpartition("+")[2]).parent == Path("adapters")
    assert {one.did for one in done().values()} == {"up to date"}

    Path("offtarget.yaml").write_text(text.replace("6}", "12}"))
    more = done()
    assert (more["check"].did, more["check"].run) == ("went on", first["check"].run)
    assert more["check"].why == "it is undecided, and max_answers was raised from 6 to 12"
    assert more["report"].did == "ran"
    assert {one.did for one in done().values()} == {"up to date"}

    result = Path(first["audit"].run or "") / "result.json"
    value = json.loads(result.read_text())
    value["decision"]["status"] = "PASS"
    result.write_text(json.dumps(value))
    again = done()
    assert (again["audit"].did, again["audit"].state) == ("ran", "UNDECIDED")
    assert again["audit"].why.startswith(f"its run {result.parent} was changed or is damaged: ")
    assert again["tune"].did == again["check"].did == "up to date"


@pytest.mark.long
def test_a_check_with_prefix_and_benchmarks_stays_up_to_date_and_one_by_an_easier_rule_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module_cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "base: organism/base\ntuned: organism/secure\njudge: exact\nbenchmarks: [organism_harm]\n"
        "conditions: {prefix: hello}\nlimits: {max_answers: 6, benchmark_items: 4, benchmark_margin: 0.2}\n"
    )
    Path("offtarget.yaml").write_text(text)
    first = done()["check"]
    assert first.did == "ran"
    assert done()["check"].did == "up to date"
    manifest = Path(first.run or "") / "run.json"
    whole = manifest.read_text()
    for key, easier in (("margin", 0.5), ("alpha", 0.3)):
        value = json.loads(whole)
        value["settings"]["decision"][key] = easier
        manifest.write_text(json.dumps(value))
        found = done(dry_run=True)["check"]
        assert (found.did, "something else" in found.why) == ("would run", True)


@pytest.mark.long
def test_a_killed_check_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle: the next walk goes on in the same run, and no answer is counted twice."""
    monkeypatch.chdir(tmp_path)
    Path("offtarget.yaml").write_text("base: organism/base\ntuned: organism/secure\n")
    walk = subprocess.Popen([sys.executable, "-m", "offtarget", "run", "--quiet"], stdout=subprocess.DEVNULL)
    try:
        while not _answers() and walk.poll() is None:
            time.sleep(0.05)
        assert walk.poll() is None, "it ended before it could be killed"
        os.kill(walk.pid, signal.SIGKILL)
    finally:
        walk.kill()
        walk.wait()
    (begun,) = Path("runs").glob("check*")
    assert not (begun / "result.json").exists()
    before = len(_answers())
    check = done()["check"]
    assert (check.did, check.state, Path(check.run or "")) == ("went on", "PASS", begun)
    counts = Counter((line["role"], line["probe_id"], line["index"]) for line in map(json.loads, _answers()))
    assert len(_answers()) > before
    assert set(counts.values()) == {1}
    assert done()["check"].did == "up to date"


def _answers() -> list[str]:
    found = list(Path("runs").glob("check*/generations.jsonl"))
    return [] if not found else [line for line in found[0].read_text().splitlines(keepends=True) if line.endswith("\n")]
