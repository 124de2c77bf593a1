"""The checks inside a repair."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offtarget.progress import silent
from offtarget.rundir import RunDir
from offtarget.workflows.direction import repair_cells
from offtarget.workflows.ground import Folders


def test_a_check_that_was_stopped_before_it_began_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between its questions and its manifest leaves a folder that must not block the repair for ever."""
    left = tmp_path / "checks" / "realigned-0"
    left.mkdir(parents=True)
    (left / "probes.jsonl").write_text("{}\n")

    def check(*models: Any, run: Path, **options: Any) -> Path:
        return RunDir.create("check", "x", path=run).path

    monkeypatch.setattr(repair_cells.checking, "check", check)
    settings = SimpleNamespace(check=None)
    plan = SimpleNamespace(
        base="b", bank=None, judge=None, judge_name=None, data=None, split=None, settings=settings, opening=None
    )
    bench: Any = SimpleNamespace(run=tmp_path, on_check=silent, plan=plan)
    assert repair_cells._check(bench, "realigned", 0, Folders(tmp_path)) == left
    assert not list(left.iterdir())
