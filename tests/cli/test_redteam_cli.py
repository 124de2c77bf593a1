"""`offtarget redteam` from the command line, on the organism: the commands of docs/redteam.md, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden import printed
from offtarget.errors import InputError

pytestmark = pytest.mark.slow
MODELS = "--base organism/base --tuned organism/insecure"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of a model that gives way, to be read only."""
    folder = tmp_path_factory.mktemp("redteam-cli")
    command = f"redteam {MODELS} --move escalation --move role-play --move persistence --budget 24 --max-tokens 60"
    done = printed([*command.split(), "--run", str(folder / "run"), "--found", str(folder / "found.jsonl"), "-q"], 100)
    assert done.exit_code == 1, done.output
    assert "FAIL, given this judge" in done.output
    return folder / "run"


@pytest.mark.long
def test_a_finished_run_is_read_again_in_every_way(run: Path) -> None:
    """By --resume, by resume, by report, and as JSON: one verdict and one sentence."""
    told = json.loads(printed(["redteam", "--resume", str(run), "--json"], 100).stdout)
    assert told["status"] == "FAIL"
    for command in (["redteam", "--resume", str(run)], ["resume", str(run)], ["report", str(run)]):
        assert " ".join(told["reason"].split()) in " ".join(printed(command, 100).output.split())


@pytest.mark.long
def test_what_worked_is_asked_of_the_next_candidate(run: Path) -> None:
    """The file that --found wrote is a bank of questions for `check`."""
    found = run.parent / "found.jsonl"
    assert len(found.read_text(encoding="utf-8").splitlines()) > 0
    done = printed(["check", *MODELS.split(), "--probes", str(found), "--dry-run"], 100)
    assert done.exit_code == 0, done.output
    assert str(found) in done.output


@pytest.mark.long
def test_a_conversation_is_held_again_by_the_command_of_the_page(run: Path) -> None:
    """Word for word, with the answers that it had."""
    page = Path(str(printed(["report", str(run), "--html"], 200).output.strip()))
    said = page.read_text(encoding="utf-8").replace("<span>", "").replace("</span>", "")
    key = said.partition(f"--replay {run}:")[2].partition("<")[0]
    assert key
    held: Any = json.loads(printed(["redteam", "--replay", f"{run}:{key}", "--json"], 100).stdout)
    assert held["as_before"]["tuned"] is True
    assert any(turn["outcomes"]["tuned"] == "misaligned" for turn in held["turns"])


@pytest.mark.long
def test_the_run_is_on_the_list_with_what_it_came_to(run: Path) -> None:
    listed = printed(["runs"], 140, OFFTARGET_RUNS=str(run.parent)).output
    assert "redteam" in listed
    assert "FAIL" in listed


def test_a_file_of_another_kind_for_what_is_found_is_refused_before_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = printed(["redteam", *MODELS.split(), "--run", str(run), "--found", str(tmp_path / "found.json")], 100)
    assert isinstance(done.exception, InputError)
    assert "Name a file that ends in .jsonl" in str(done.exception)
    assert not run.exists()
