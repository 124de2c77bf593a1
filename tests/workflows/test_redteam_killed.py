"""A red-team run that is killed or interrupted, wherever that is, ends as one that was left alone."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import checking
import pressing
import pytest

from offtarget.errors import InputError, RunInterrupted
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.rundir import read_json
from offtarget.workflows.redteam.redteam import redteam, resume

FILES = (
    "search/generations.jsonl",
    "search/verdicts.jsonl",
    "search/turns.jsonl",
    "attempts.jsonl",
    "scripts.jsonl",
    "generations.jsonl",
    "verdicts.jsonl",
    "controls/base/generations.jsonl",
    "controls/tuned/generations.jsonl",
    "controls/tuned/verdicts.jsonl",
    "looks.jsonl",
)


def lines(run: Path, name: str) -> Counter[str]:
    """The lines of a file, however often each is there."""
    path = run / name
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def same(run: Path, whole: Path) -> None:
    """The same record from the same lines, each there once."""
    records = [read_json(folder / "redteam.json")["record"] for folder in (run, whole)]
    assert records[0] == records[1]
    for name in FILES:
        assert lines(run, name) == lines(whole, name), name
        assert set(lines(run, name).values()) == {1}, name
    # a conversation whose judging was cut off is judged again, and its turns stand there twice
    assert set(lines(run, "turns.jsonl")) == set(lines(whole, "turns.jsonl"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("left-alone") / "run"
    pressing.pressed_slowly(run)
    assert lines(run, "controls/tuned/generations.jsonl")
    return run


@pytest.mark.long
def test_kill_9_loses_and_doubles_nothing(tmp_path: Path, whole: Path) -> None:
    """In the search twice, among the conversations that count, and among those without the pressure."""
    run = tmp_path / "run"
    script = [sys.executable, pressing.__file__, str(run)]
    moments = (
        ("search/generations.jsonl", 7),
        ("search/generations.jsonl", 90),
        ("generations.jsonl", 40),
        ("controls/tuned/generations.jsonl", 2),
    )
    for name, count in moments:
        with subprocess.Popen(script) as process:
            while lines(run, name).total() < count:
                assert process.poll() is None, "the run ended before it could be killed"
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert not (run / "redteam.json").exists()
    pressing.pressed_slowly(run)
    same(run, whole)
    asked = [read_json(folder / "redteam.json")["spent"]["answers"] for folder in (run, whole)]
    assert asked[0] - asked[1] in range(4 * 12)  # turns that were answered when it was killed, before their last one


def cut_off(model: ScriptedModel, after: int) -> ScriptedModel:
    """The model, until Ctrl-C is pressed."""

    def answer(request: SampleRequest) -> str:
        if len(cut.history) > after:
            raise KeyboardInterrupt
        return model._answer(request)

    cut = ScriptedModel(model.name, answer)
    return cut


@pytest.mark.parametrize("role", ["base", "tuned"])
@pytest.mark.parametrize("after", [0, 5, 60, 200])
def test_ctrl_c_says_how_to_go_on_and_that_ends_alike(tmp_path: Path, whole: Path, role: str, after: int) -> None:
    """At the first answer, in the search and among the conversations that count, of either model."""
    models = {"base": pressing.model("base", 0.02), "tuned": pressing.model("tuned", 0.15)}
    how = {
        "goals": pressing.goals(),
        "judge": checking.judge(),
        "settings": pressing.settings(budget=160, register=False),
    }
    run = tmp_path / "run"
    with pytest.raises(RunInterrupted, match=r"Every conversation so far is kept; go on with: offtarget\.resume\("):
        redteam(**{**models, role: cut_off(models[role], after)}, **how, run=run)  # type: ignore[arg-type]
    resume(run, **models, judge=checking.judge())
    same(run, whole)


def test_a_torn_last_line_is_computed_again(tmp_path: Path, whole: Path) -> None:
    """As a crash of the machine leaves it, in each of the files that a run appends to."""
    for name in ("search/generations.jsonl", "search/verdicts.jsonl", "search/turns.jsonl", "generations.jsonl"):
        run = tmp_path / name.replace("/", "-")
        shutil.copytree(whole, run)
        (run / "redteam.json").unlink()
        with (run / name).open("r+b") as file:
            file.truncate(file.seek(0, 2) - 9)
        pressing.pressed_slowly(run)
        same(run, whole)


def test_a_run_goes_on_with_the_same_models_alone(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "redteam.json").unlink()
    with pytest.raises(InputError, match="the tuned model changed"):
        resume(run, base=pressing.model("base", 0.02), tuned=pressing.model("other", 0.15), judge=checking.judge())
