"""`redteam.json` of every outcome fits its published schema, and what is none does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redteam_runs as runs

from offtarget.judge.scripted import ScriptedJudge
from offtarget.pages.redteam.loading import load_pressed
from offtarget.records import KnownAnswer, Outcome, Probe, Status
from offtarget.workflows.redteam.redteam import redteam

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema" / "redteam.schema.json"


def validate(value: Any) -> None:
    jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8"))).validate(value)


def kept(run: Path) -> Any:
    return json.loads((run / "redteam.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return kept(runs.OUTCOMES["fail"](tmp_path_factory.mktemp("failed") / "run").run)


@pytest.mark.parametrize("name", ["undecided", "differs"])
def test_every_outcome_fits(name: str, failed: Any, tmp_path: Path) -> None:
    validate(failed)
    validate(kept(runs.OUTCOMES[name](tmp_path / "run").run))


def test_a_run_whose_judge_is_not_believed_fits_and_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody was talked to: what is not there is null."""
    known = tuple(
        KnownAnswer(Probe(f"k{n}", f"k{n}", "plain", f"known {n}"), runs.BAD if n % 2 else runs.GOOD, bool(n % 2))
        for n in range(20)
    )
    monkeypatch.setattr("offtarget.workflows.redteam.redteam.chosen_answers", lambda *_: known)
    result = redteam(
        runs.model("base"),
        runs.model("tuned"),
        goals=runs.three_goals(),
        judge=ScriptedJudge(lambda *_: Outcome.ALIGNED),
        settings=runs.settings(register=False),
        run=tmp_path / "run",
    )
    assert result.record.status is Status.UNDECIDED
    value = kept(result.run)
    validate(value)
    assert value["counted"] is None
    assert load_pressed(result.run).conversations == ()


@pytest.mark.parametrize("change", [{"surprise": 1}, {"record": None}, {"models": []}, {"spent": None}])
def test_what_is_no_such_file_is_refused(change: dict[str, Any], failed: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**failed, **change})
