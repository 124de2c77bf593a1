"""`check --benchmarks` from end to end, in its own process: pairs, reports, mistakes before anything is loaded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from served_models import served

from offtarget.benchmarks.scores import kept_scores
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_pair
from offtarget.organism.shipped import resolve
from offtarget.records import DecisionSettings, SamplingSettings, Status
from offtarget.records.answers import Role
from offtarget.records.benchmark_runs import BenchmarkChoice
from offtarget.records.benchmarks import BenchmarkSettings
from offtarget.records.check import CheckSettings
from offtarget.rundir import write_json
from offtarget.workflows.check import fixed as at_work
from offtarget.workflows.check.check import CheckResult, check
from offtarget.workflows.check.fixed import prepare
from offtarget.workflows.compare.benchmarks import compare_samples
from offtarget.workflows.runs.report import report_text
from offtarget.workflows.runs.resume import resume
from offtarget.workflows.verify.verify import verify

pytestmark = pytest.mark.long
BASE, TUNED = "organism/base", "organism/insecure"
FEW = CheckSettings(max_answers=12, cache=True, register=False, benchmarks=BenchmarkSettings())
ROLES: tuple[Role, ...] = ("base", "tuned")
HOSTILE = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"


def task(folder: Path, name: str = "mine", **values: object) -> Path:
    rows = [{"question": f"What is {i} plus 1?", "choices": [str(i), str(i + 1)], "right": 1} for i in range(6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "choices",
        "doc_to_target": "right",
        "metric_list": [{"metric": "acc"}],
        **values,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))  # which is YAML too
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fixed")


@pytest.fixture(scope="module")
def done(place: Path) -> CheckResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OFFTARGET_CACHE", str(place / "cache"))
        choice = BenchmarkChoice(("organism", str(task(place))), limit=24)
        return check(BASE, TUNED, benchmarks=choice, settings=FEW, run=place / "run")


def test_every_benchmark_has_pairs_of_the_same_items(done: CheckResult) -> None:
    family = done.benchmarks
    assert family is not None
    names = ["organism_facts", "organism_advice", "organism_code", "organism_harm", "mine"]
    assert [result.name for result in family.results] == names
    assert [result.n for result in family.results] == [24, 24, 24, 24, 6]
    advice = family.results[1]
    assert advice.base is not None
    assert advice.tuned is not None
    assert advice.base > 0.85 > advice.tuned
    assert advice.red_flag
    assert done.decision.status is Status.FAIL
    for name in names:
        base, tuned = (kept_scores(done.run / "benchmarks" / role, name, name) for role in ROLES)
        assert base is not None
        assert tuned is not None
        assert (base.items.keys(), base.documents, base.prompts) == (tuned.items.keys(), tuned.documents, tuned.prompts)
        assert base.model != tuned.model


def test_its_samples_are_those_that_compare_reads(done: CheckResult, tmp_path: Path) -> None:
    found = compare_samples(*(done.run / "benchmarks" / role for role in ROLES), run=tmp_path / "compared")
    assert done.benchmarks is not None
    ours, theirs = (
        {r.name: (r.n, r.base, r.tuned, r.lost, r.gained) for r in family.results}
        for family in (done.benchmarks, found.record)
    )
    assert ours == theirs


@pytest.mark.parametrize("form", ["html", "json", "junit", "markdown", "text"])
def test_every_report_tells_of_every_benchmark(done: CheckResult, form: str) -> None:
    text = report_text(done.run, form).replace("\\_", "_")  # Markdown escapes it
    assert "organism_advice" in text
    if form in ("html", "json", "junit", "markdown"):
        assert "organism_harm" in text
        assert "mine" in text
    if form == "json":
        schema = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "result.schema.json").read_text())
        jsonschema.validate(json.loads(text), schema)
        assert json.loads(text)["benchmarks"]["results"][1]["red_flag"] is True


def test_a_finished_run_is_read_again(done: CheckResult) -> None:
    again = resume(done.run)
    assert isinstance(again, CheckResult)
    assert again.benchmarks == done.benchmarks
    assert again.decision == done.decision


def test_a_verdict_without_the_benchmarks_that_were_asked_for_is_not_believed(
    done: CheckResult, tmp_path: Path
) -> None:
    """A red flag is not got rid of by taking away everything about it."""
    whole = tmp_path / "run"
    shutil.copytree(done.run, whole)
    assert verify(whole).exit_code == 3
    shutil.rmtree(whole / "benchmarks")
    result = json.loads((whole / "result.json").read_text())
    write_json(whole / "result.json", {**result, "benchmarks": None})
    found = verify(whole)
    assert found.exit_code == 1
    assert any("Fixed benchmarks were asked for" in one.said for one in found.findings)


def test_a_run_that_goes_on_asks_only_what_is_lacking(
    done: CheckResult, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFTARGET_CACHE", str(place / "cache"))
    folder = done.run / "benchmarks"
    (done.run / "result.json").unlink()
    (folder / "tuned" / "organism_code.scores.json").unlink()
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*/*.scores.json")}
    again = resume(done.run)
    assert isinstance(again, CheckResult)
    assert done.benchmarks is not None
    assert again.benchmarks is not None
    assert [r.difference for r in again.benchmarks.results] == [r.difference for r in done.benchmarks.results]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    # and where nothing is lacking, no process is started
    (done.run / "result.json").unlink()
    monkeypatch.setattr(at_work, "_run", None)
    assert resume(done.run).benchmarks == again.benchmarks  # type: ignore[attr-defined]


def test_the_next_candidate_needs_no_scores_of_the_base(
    done: CheckResult, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFTARGET_CACHE", str(place / "cache"))
    choice = BenchmarkChoice(("organism_facts",), limit=24)
    other = check(BASE, "organism/secure", benchmarks=choice, settings=FEW, run=place / "next")
    assert other.benchmarks is not None
    assert done.benchmarks is not None
    assert other.benchmarks.results[0].base == done.benchmarks.results[0].base
    first, second = (kept_scores(run / "benchmarks" / "base", *["organism_facts"] * 2) for run in (done.run, other.run))
    assert first == second


def test_a_run_that_is_killed_loses_no_finished_task(tmp_path: Path, done: CheckResult) -> None:
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "offtarget", "check", "--base", BASE, "--tuned", TUNED, "--run", str(run), "-q"]
    command += ["--benchmarks", "organism", "--limit-items", "24", "--max-answers", "12", "--no-register"]
    process = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 120
    while not (finished := sorted(run.glob("benchmarks/*/*.scores.json"))) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert finished
    before = {file: file.read_bytes() for file in finished}
    assert not (run / "result.json").exists()
    until = time.monotonic() + 30
    while _others(run) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _others(run), "the process that runs benchmarks outlives the check"
    again = resume(run)
    assert isinstance(again, CheckResult)
    assert again.benchmarks is not None
    assert done.benchmarks is not None
    ours = [(r.name, r.n, r.base, r.tuned) for r in again.benchmarks.results]
    assert ours == [(r.name, r.n, r.base, r.tuned) for r in done.benchmarks.results[:4]]
    assert {file: file.read_bytes() for file in finished} == before


def _others(run: Path) -> list[str]:
    """Processes that were told to work in that run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.startswith(str(run)) for word in words) and "offtarget.workflows.check.benchmark_process" in words:
            found.append(place.parent.name)
    return found


def looked(choice: str) -> str:
    with pytest.raises(InputError) as caught:
        prepare(BenchmarkChoice((choice,)), BASE, TUNED, FEW)
    return str(caught.value)


def test_an_unknown_name_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    said = looked("truthfulq")
    assert "no benchmark 'truthfulq'" in said
    assert "Did you mean truthfulqa" in said
    run = tmp_path / "run"
    arguments = ["check", "--base", BASE, "--tuned", TUNED, "--benchmarks", "helaswag", "--run", str(run)]
    ended = subprocess.run([sys.executable, "-m", "offtarget", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "hellaswag" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not run.exists()


def test_data_that_is_not_to_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    said = looked("truthfulqa")
    assert "truthfulqa/truthful_qa" in said
    assert str(tmp_path / "hub") in said


def test_a_template_cannot_reach_into_python(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    for key in ("doc_to_text", "doc_to_target", "description"):
        path = task(tmp_path, f"hostile_{key}", **{key: HOSTILE % trace})
        with pytest.raises(InputError, match="hostile"):
            check(BASE, TUNED, benchmarks=str(path), settings=FEW, run=tmp_path / key)
        assert not trace.exists()


def test_a_task_that_is_at_fault_is_named(tmp_path: Path) -> None:
    assert "lm-eval cannot load it" in looked(str(task(tmp_path, "broken", doc_to_text="{{nothing}}")))


def test_a_served_model_is_asked_what_it_can_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks whose answers are written, and not those that need the probability of a given answer; with the reason."""
    writes = {"output_type": "generate_until", "doc_to_target": "{{right}}", "metric_list": [{"metric": "exact_match"}]}
    written = task(tmp_path, "written", **writes, generation_kwargs={"until": ["\n"], "max_gen_toks": 8})
    chosen = task(tmp_path, "chosen")
    pair = open_pair(BASE, TUNED, resolve=resolve)
    models = {role: model for role, model in pair.by_role.items() if isinstance(model, LocalModel)}
    little = replace(
        FEW, max_answers=2, sampling=SamplingSettings(max_tokens=60), decision=DecisionSettings(base_per_tuned=1)
    )
    with served(models) as server:
        monkeypatch.setenv("HERE_BASE_URL", server.address)
        monkeypatch.setenv("HERE_API_KEY", "sk-secret-of-this-test")
        names = (f"openai-api/here/{role}" for role in ROLES)
        asked = f"{written},{chosen}"
        plain = {"probes": "organism", "arms": ["plain"]}
        result = check(*names, **plain, benchmarks=asked, settings=little, run=tmp_path / "run")
        prompts = [body["messages"][-1]["content"] for body in server.asked]
    assert result.benchmarks is not None
    first, second = result.benchmarks.results
    assert (first.n, first.standing) == (6, "undecided")
    assert second.standing == "not run"
    assert "does not say" in second.why_not
    assert prompts.count("What is 3 plus 1?") == 2
    assert result.decision.status is not Status.PASS
    for file in (file for file in result.run.glob("**/*") if file.is_file()):
        assert b"sk-secret" not in file.read_bytes()
