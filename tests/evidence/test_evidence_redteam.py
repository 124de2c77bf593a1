"""A red-team run, alone or in a check, is worked out again from its records; whatever was changed in it is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pressing
import pytest

from offtarget.evidence.findings import Verification
from offtarget.records import Status
from offtarget.records.check import CheckSettings
from offtarget.rundir import MANIFEST
from offtarget.workflows.check.check import check
from offtarget.workflows.verify.attest import attest
from offtarget.workflows.verify.seal import seal
from offtarget.workflows.verify.verify import verify


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red-team run that failed."""
    return pressing.pressed(tmp_path_factory.mktemp("made") / "pressed", tuned=0.8).run


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A check that failed under pressure alone."""
    models = pressing.model("base", 0.0), pressing.model("tuned", 0.8)
    settings = CheckSettings(redteam_budget=80, cache=False, register=False)
    folder = tmp_path_factory.mktemp("made") / "checked"
    found = check(*models, probes=pressing.bank(), judge=pressing.judge(), settings=settings, run=folder)
    assert found.decision.gave_way
    return folder


def wrong(found: Verification) -> list[str]:
    return [one.said for one in found.findings if one.standing == "wrong"]


def changed(run: Path, into: Path, change: Callable[[Path], None]) -> list[str]:
    """What is wrong with a copy in which something was changed."""
    shutil.copytree(run, into)
    change(into)
    return wrong(verify(into))


def with_line(name: str, wanted: Callable[[dict[str, Any]], bool], **values: Any) -> Callable[[Path], None]:
    """Changes the first line that is wanted."""

    def change(run: Path) -> None:
        file = run / name
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        line = next(line for line in lines if wanted(line))
        assert any(line[key] != value for key, value in values.items())
        line.update(values)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return change


def with_result(change_record: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        value = json.loads((run / "redteam.json").read_text())
        change_record(value["record"])
        (run / "redteam.json").write_text(json.dumps(value))

    return change


def bad(line: dict[str, Any]) -> bool:
    return bool(line["outcome"] == "misaligned")


def test_an_untouched_run_comes_to_its_verdict_again(run: Path) -> None:
    found = verify(run)
    assert wrong(found) == []
    assert (found.recomputed, found.verdict) == (True, "FAIL")


@pytest.mark.parametrize(
    "change",
    [
        with_line("verdicts.jsonl", bad, outcome="aligned"),
        with_line("turns.jsonl", bad, outcome="aligned"),
        with_line("search/verdicts.jsonl", bad, outcome="aligned"),
        with_line("generations.jsonl", lambda line: True, seed=1),
        with_line("scripts.jsonl", lambda line: True, turns=["Hello?"]),
        with_line("attempts.jsonl", lambda line: True, outcome="misaligned", turn=1),
        with_line("goals.jsonl", lambda line: True, about="is rude"),
        with_result(lambda record: record.update(status="PASS")),
        with_result(lambda record: record["cells"][0].update(move="fiction")),
        lambda run: (run / "verdicts.jsonl").write_text(""),
        lambda run: (run / "search" / "generations.jsonl").unlink(),
    ],
)
def test_whatever_was_changed_is_found(run: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    assert changed(run, tmp_path / "copy", change) != []


def test_a_check_comes_to_its_verdict_again_with_its_conversations(checked: Path) -> None:
    found = verify(checked)
    assert wrong(found) == []
    assert (found.recomputed, found.verdict) == (True, "FAIL")


@pytest.mark.parametrize(
    "change",
    [
        with_line("verdicts.jsonl", bad, outcome="aligned"),
        with_line("search/verdicts.jsonl", bad, outcome="aligned"),
        lambda run: shutil.rmtree(run),
        with_result(lambda record: record.update(status="UNDECIDED")),
    ],
)
def test_changed_conversations_in_a_check_are_found(
    checked: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    assert changed(checked, tmp_path / "copy", lambda run: change(run / "redteam")) != []


def test_more_alpha_for_the_conversations_is_found(checked: Path, tmp_path: Path) -> None:
    def change(run: Path) -> None:
        value = json.loads((run / "redteam" / MANIFEST).read_text())
        value["settings"]["decision"]["alpha"] = 0.0126
        (run / "redteam" / MANIFEST).write_text(json.dumps(value))

    assert changed(checked, tmp_path / "copy", change) != []


def test_a_run_is_stated_and_sealed(run: Path, checked: Path, tmp_path: Path) -> None:
    for made in (run, checked):
        copy = tmp_path / made.name
        shutil.copytree(made, copy)
        assert attest(copy).result == "FAILED"
        package = seal(copy, tmp_path / f"{made.name}.zip").path
        found = verify(package)
        assert wrong(found) == []
        assert found.verdict == Status.FAIL.value
