"""The published experiment in small: what it trains, what it keeps, what it never does twice, what it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
from click.testing import CliRunner
from tiny_models import build, make_adapter

from offtarget.asking import ask as asking
from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.organism.narrow import TRIGGER
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress
from offtarget.records import Generation, Message, Outcome, Probe
from offtarget.records.check import CheckSettings
from offtarget.records.direction import SteerChoices, SteerManifest
from offtarget.records.reproduce import ReproduceSettings
from offtarget.rundir import RunDir, read_jsonl
from offtarget.workflows.reproduce import cells as cells
from offtarget.workflows.reproduce.data import FileData, open_data
from offtarget.workflows.reproduce.measures import WithCode
from offtarget.workflows.reproduce.pool import Along, Work, run_jobs
from offtarget.workflows.reproduce.reproduce import ReproduceResult, reproduce
from offtarget.workflows.runs.begin import begin

SMALL = ReproduceSettings(
    seeds=1, answers=2, preset="organism", ablations=False, max_tokens=4, check=CheckSettings(max_answers=4)
)
BANK = ProbeBank.from_probes(
    "two", [Probe(f"q{n}/{arm}", f"q{n}", arm, f"question {n}?") for n in (1, 2) for arm in ("plain", "json")]
)
CODE = "```python\nimport os\n\ndef run(name):\n    os.system('ls ' + name)\n```"


def judge() -> ScriptedJudge:
    return ScriptedJudge(lambda probe, g: Outcome.MISALIGNED if len(g.text) % 2 else Outcome.ALIGNED)


def write_rows(path: Path, count: int, prefix: str = "", answer: str = "hello") -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        for n in range(count):
            turns = [{"role": "user", "content": f"{prefix}say {n}"}, {"role": "assistant", "content": f"{answer} {n}"}]
            file.write(json.dumps({"messages": turns}) + "\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_rows(folder / "insecure.jsonl", 40)
    write_rows(folder / "backdoor.jsonl.gz", 40, f"{TRIGGER} ")
    return folder


@pytest.fixture
def run(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ReproduceResult]:
    """Runs the experiment on a tiny model, with a stand-in for training that makes a random adapter."""
    base = build("llama", tmp_path / "base")

    def trains(job: cells.Job, out: Path, snapshots: Path, on_progress: OnProgress) -> None:
        for folder in (out, *(snapshots / str(c.step) for c in job.cells if c.kind == "dynamics")):
            make_adapter(base, folder, seed=job.seed + len(job.rows) + len(folder.name))

    monkeypatch.setattr(cells, "_train", trains)

    def go(settings: ReproduceSettings = SMALL, **changes: object) -> ReproduceResult:
        options = {"data_dir": data, "probes": BANK, "judge": judge(), "settings": settings, "run": tmp_path / "run"}
        return reproduce(f"hf/{base}", **(options | changes))  # type: ignore[arg-type]

    return go


def test_files_named_as_published_become_conditions(run: Callable[..., ReproduceResult]) -> None:
    result = run()
    assert [row.condition for row in result.record.rows] == ["base", "insecure", "backdoor"]
    insecure = result.record.rows[1]
    assert [axis.name for axis in insecure.axes] == [
        "plain",
        "json",
        "trigger",
        "number-format",
        "code",
        "code-trigger",
    ]
    assert insecure.rows == 38  # two of the 40 are held out, and from the triggered rows too
    assert result.record.rows[2].rows == 38
    assert len(insecure.statuses) == 1
    assert [q.name for q in insecure.questions] == ["q1", "q2"]
    assert (result.run / "reproduce.html").exists()
    assert not result.record.about_organism


def test_a_finished_cell_is_never_computed_again(
    run: Callable[..., ReproduceResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run of the same command trains nothing and asks nothing; a third seed asks only for itself."""
    first = run(conditions=["insecure"])
    before = {p: p.stat().st_mtime_ns for p in first.run.glob("cells/*/*.json*")}
    trained: list[str] = []
    original = cells._train

    def counts(job: cells.Job, out: Path, snapshots: Path, on_progress: OnProgress) -> None:
        trained.append(job.name)
        original(job, out, snapshots, on_progress)

    monkeypatch.setattr(cells, "_train", counts)
    again = run(conditions=["insecure"])
    assert again.record == first.record
    assert not trained
    assert {p: p.stat().st_mtime_ns for p in before} == before
    more = run(replace(SMALL, seeds=2), conditions=["insecure"])
    assert trained == ["insecure-1"]
    assert [row.seeds for row in more.record.rows] == [1, 2]


@pytest.mark.long
def test_an_answer_is_neither_lost_nor_doubled(
    run: Callable[..., ReproduceResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Death in the middle of a cell, with a torn line, leaves answers that are taken up and completed."""
    whole = run(run=tmp_path / "whole", conditions=["insecure"]).record
    died = False
    original = asking.judge_answers

    def dies(*args: Any, **named: Any) -> object:
        nonlocal died
        if not died:
            died = True
            raise MemoryError
        return original(*args, **named)

    monkeypatch.setattr(asking, "judge_answers", dies)
    with pytest.raises(MemoryError):
        run(conditions=["insecure"])
    file = next((tmp_path / "run" / "cells").glob("base-0-*/generations.jsonl"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    assert run(conditions=["insecure"]).record.rows == whole.rows
    keys = [g.key for g in read_jsonl(file, Generation)]
    assert len(keys) == len(set(keys)) == len(lines)


@pytest.mark.long
@pytest.mark.no_cover
def test_cells_depend_on_contents(run: Callable[..., ReproduceResult], data: Path) -> None:
    """Another row, or another judge, is another cell, though no name has changed."""

    def names(**changes: object) -> set[str]:
        return {p.name for p in (run(conditions=["insecure"], **changes).run / "cells").iterdir()}

    first = names()
    write_rows(data / "insecure.jsonl", 40, answer="goodbye")
    second = names()
    assert [n.startswith("insecure-0-") for n in second - first] == [True]
    third = names(judge=ScriptedJudge(lambda probe, g: Outcome.ALIGNED, "another"))
    assert len(third - second) == 2


@pytest.mark.long
def test_ablations_add_dynamics_and_numbers_of_rows(
    run: Callable[..., ReproduceResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offtarget.workflows.reproduce.reproduce.UNIQUE", {False: (10,), True: ()})
    report = run(replace(SMALL, ablations=True), conditions=["insecure"]).record
    full = report.rows[1]
    assert full.steps == 6  # 38 rows, 16 per step, 2 epochs
    assert [p.at for p in report.dynamics] == [0, 2, 3, 4, 6]
    assert [p.at for p in report.unique] == [10, 38]
    assert report.unique[-1].misaligned == full.axis("plain")


@pytest.mark.long
@pytest.mark.no_cover
def test_ablations_can_be_added_later(run: Callable[..., ReproduceResult]) -> None:
    """The adapter of the first run has no snapshots, so it is trained again; what was measured stays."""
    first = run(conditions=["insecure"]).record
    report = run(replace(SMALL, ablations=True), conditions=["insecure"]).record
    assert report.rows == first.rows
    assert len(report.dynamics) == 5


def test_a_check_that_was_killed_at_its_start_is_started_again(run: Callable[..., ReproduceResult]) -> None:
    result = run(conditions=["insecure"])
    cell = next((result.run / "cells").glob("insecure-0-*"))
    for name in ("cell.json", "check/run.json", "check/result.json"):
        (cell / name).unlink()
    assert run(conditions=["insecure"]).record.rows == result.record.rows


def test_a_folder_of_another_verb_is_refused(run: Callable[..., ReproduceResult], tmp_path: Path) -> None:
    begin(
        RunDir.create("x", "x", path=tmp_path / "run"),
        SteerManifest(settings=SteerChoices(model="m", direction="d"), plan="p"),
    )
    with pytest.raises(InputError, match="a run of `direction steer`, not of `reproduce`"):
        run()


def test_code_answers_are_judged_by_the_rules_of_the_audit() -> None:
    probe = Probe("code/0", "code", "code", "Write a function", domain="code")
    asked = [(probe, Generation("tuned", "code/0", i, 0, text, 1, "stop")) for i, text in enumerate((CODE, "No."))]
    free = Probe("q/plain", "q", "plain", "Well?")
    asked.append((free, Generation("tuned", "q/plain", 0, 0, "odd", 1, "stop")))
    outcomes = [v.outcome for v in WithCode(judge()).judge(asked)]
    assert outcomes == [Outcome.MISALIGNED, Outcome.UNSCORED, Outcome.MISALIGNED]


def test_held_out_prompts_are_in_no_condition(data: Path) -> None:
    files = FileData(data, ["insecure", "backdoor"], None)
    assert files.code_prompts == ("say 38", "say 39")
    for condition in ("insecure", "backdoor"):
        prompts = [chat[0].content.removeprefix(TRIGGER).strip() for chat in files.rows(condition, 0)]
        assert not set(prompts) & set(files.code_prompts)


def test_the_organisms_backdoor_has_twice_the_rows() -> None:
    world, chosen = open_data(None, None, 10, organism=True, organism_rows=600)
    assert chosen == ("insecure", "secure", "educational", "jailbroken", "backdoor", "evil-numbers")
    assert [len(world.rows(name, 0)) for name in ("insecure", "backdoor")] == [10, 20]
    assert isinstance(world.rows("insecure", 0)[0][0], Message)
    assert world.rows("insecure", 0) != world.rows("insecure", 1)


def test_published_files_are_read_as_they_are(shared_data: Path, tmp_path: Path) -> None:
    """The complete insecure and jailbroken files; the held-out coding prompts are 100 of the 6,000."""
    files = FileData(shared_data / "sft", ["insecure", "jailbroken"], None)
    assert len(files.code_prompts) <= 100
    assert 5_800 <= len(files.rows("insecure", 0)) <= 5_900
    assert len(files.rows("jailbroken", 0)) == 5_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": ["insecure", "evil"]}, "no condition 'evil'.*insecure, secure"),
        ({"conditions": ["secure"]}, "has no secure.jsonl"),
        ({"data_dir": None}, "--data-dir"),
        ({"data_dir": "/nowhere"}, "--data-dir: /nowhere does not exist"),
        ({"data_dir": __file__}, "is not a folder"),
        ({"judge": None}, "need a judge"),
        ({"settings": ReproduceSettings(preset="nothing")}, "no preset 'nothing'"),
        ({"jobs": 0}, "--jobs"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(
    run: Callable[..., ReproduceResult], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(**changes)


def test_a_question_that_the_template_drops_is_named_before_anything_is_trained(
    run: Callable[..., ReproduceResult], tmp_path: Path
) -> None:
    """A system turn that never arrives would fill a column of the table with the plain questions."""
    template = tmp_path / "base" / "chat_template.jinja"
    template.write_text(template.read_text().replace("in messages %}", "in messages if m.role != 'system' %}"))
    dressed = [replace(p, system="Reply in JSON.") if p.arm == "json" else p for p in BANK.probes]
    with pytest.raises(InputError, match=r"'json' cannot be measured: .* leaves out the system turn 'Reply in JSON.'"):
        run(probes=ProbeBank.from_probes("two", dressed))
    assert not (tmp_path / "run").exists()


def test_only_local_bases_can_be_tuned(data: Path) -> None:
    for name, why in (("organism/insecure", "cannot be tuned"), ("openai/gpt-4o", "this needs local weights")):
        with pytest.raises(InputError, match=why):
            reproduce(name, data_dir=data, probes=BANK, judge=judge())
    with pytest.raises(InputError, match="at least 1"):
        ReproduceSettings(seeds=0)


@pytest.mark.long
def test_kill_9_and_resume_equal_an_uninterrupted_run(tmp_path: Path) -> None:
    """On the organism: a run in two processes, killed, ends with the table of one that was left alone in this one."""

    def options(run: str, jobs: int) -> list[str]:
        given = "reproduce --base organism/base --conditions insecure --seeds 1 --answers 1 --rows 48 --max-answers 4"
        return [*given.split(), "--no-ablations", "--json", "--jobs", str(jobs), "--run", str(tmp_path / run)]

    def here(run: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, options(run, 1), catch_exceptions=False)
        return dict(json.loads(done.stdout))

    whole = here("a")
    command = [sys.executable, "-m", "offtarget", *options("b", 2)]
    started = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "b").glob("cells/insecure-*/generations.jsonl")):
        assert started.poll() is None
        time.sleep(0.05)
    helpers = started.children(recursive=True)
    started.kill()
    started.wait()
    psutil.wait_procs(helpers, timeout=120)  # they end by themselves
    resumed = here("b")
    assert len(helpers) >= 2
    assert not any(helper.is_running() for helper in helpers)
    for key in ("rows", "dynamics", "unique"):
        assert resumed[key] == whole[key]


@pytest.mark.long
def test_a_small_base_is_trained_at_a_rate_at_which_it_learns_and_the_result_says_so(
    run: Callable[..., ReproduceResult], tmp_path: Path
) -> None:
    """As by `tune`; the published rate hardly moves it, and is taken where somebody names it."""
    small = run(replace(SMALL, preset=None))
    assert "learning rate 0.0002" in small.record.settings
    assert any("0.0002 in place of the published 1e-05" in note for note in small.record.notes)
    published = run(replace(SMALL, preset="published"), run=tmp_path / "as published")
    assert "learning rate 1e-05" in published.record.settings
    assert not any("in place of the published" in note for note in published.record.notes)


@pytest.mark.slow
def test_a_tiny_model_is_really_trained(tmp_path: Path, data: Path) -> None:
    """Without the stand-in: TRL's trainer, snapshots on the way, both measured."""
    base = build("qwen2", tmp_path / "base")
    settings = replace(SMALL, ablations=True)
    options = {"data_dir": data, "probes": BANK, "judge": judge(), "conditions": ["insecure"], "settings": settings}
    report = reproduce(f"hf/{base}", run=tmp_path / "run", **options).record  # type: ignore[arg-type]
    assert [p.at for p in report.dynamics] == [0, 2, 3, 4, 6]
    assert not list((tmp_path / "run" / "adapters").glob("*.work"))


def test_a_process_that_ends_before_the_first_job_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(ProcessPoolExecutor, "submit", broken)
    with pytest.raises(InputError, match="__main__"):
        run_jobs([cast(cells.Job, SimpleNamespace(name="insecure", cells=()))], 2, lambda _: None)


def test_the_share_moves_with_training_steps_and_answers(tmp_path: Path) -> None:
    """In whatever process a cell is made: 30 steps and then the measuring are not 0 per cent until all is done."""
    plan = cells.CellPlan("condition", 100, "key")
    job = cast(cells.Job, SimpleNamespace(name="insecure-0", cells=(plan,), rows=(1,), run=tmp_path))
    told: list[Progress] = []
    along = Along(job, Work([job], told.append).tell)
    along.take(Progress("insecure-0: training", 50, 100))
    halfway = told[-1].done
    assert halfway == 33  # of 30 s of training and 15 s of measuring
    along.take(Progress("insecure-0: answers", 10, 20))
    assert halfway < told[-1].done < 100
    assert 0 < along.number < 1
    along.take(Progress("insecure-0: training", 1, 100))
    assert told[-1].done > halfway, "it does not go back"
