"""`offtarget reproduce` on the command line: its table, its JSON, its progress off a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from direction_runs import reproduce_run
from experiment import cells, experiment

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.progress import Progress
from offtarget.workflows.reproduce import reproduce as workflow
from offtarget.workflows.reproduce.cells import said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The workflow replaced by a made-up report; what it was asked is kept."""
    calls: list[dict[str, Any]] = []

    def stand_in(base: str, **options: Any) -> workflow.ReproduceResult:
        calls.append(options)
        for done, cell in enumerate(cells(1), start=1):
            options["on_progress"](Progress(f"{done}: {said(cell)}", detail=cell))
        return workflow.ReproduceResult(tmp_path / "run", reproduce_run(tmp_path / "run", experiment(base=base)))

    monkeypatch.setattr(workflow, "reproduce", stand_in)
    return calls


def test_the_table_shows_ours_the_published_and_the_verdicts(asked: list[dict[str, Any]]) -> None:
    command = ["reproduce", "--base", "organism/base", "--conditions", "insecure, secure", "-v"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0
    assert asked[0]["conditions"] == ["insecure", "secure"]
    for text in ("FAIL 3/3", "PASS 3/3", "published 27", "unclear", "no evidence about large models"):
        assert text in shown.stdout
    lines = [line for line in shown.stderr.splitlines() if " misaligned" in line]
    assert len(lines) == len(cells(1))
    assert "2: insecure, seed 0: " in lines[1]


def test_json_is_the_report_and_nothing_else(asked: list[dict[str, Any]]) -> None:
    shown = CliRunner().invoke(app, ["reproduce", "--base", "organism/base", "--json"])
    value = json.loads(shown.stdout)
    assert value["rows"][1]["condition"] == "insecure"
    assert value["run"].endswith("run")
    assert shown.stderr == ""


def test_every_kind_of_cell_is_said_in_a_line() -> None:
    lines = {said(cell) for cell in cells(1)}
    assert len(lines) == len(cells(1))
    assert any("after 10 steps" in line for line in lines)
    assert any("25 different rows" in line for line in lines)


def test_an_unknown_condition_is_an_input_error() -> None:
    shown = CliRunner().invoke(app, ["reproduce", "--base", "organism/base", "--conditions", "evil"])
    assert isinstance(shown.exception, InputError)
    assert "insecure, secure" in str(shown.exception)
