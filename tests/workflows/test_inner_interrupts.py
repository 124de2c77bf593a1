"""Ctrl-C inside of a check that another verb runs: the message names what goes on with the verb, not with the check."""

from __future__ import annotations

from pathlib import Path

import pytest
from direction_runs import repair_cells, repair_manifest, repair_report, reproduce_run

from offtarget.errors import RunInterrupted
from offtarget.records import Status
from offtarget.rundir import RunDir, read_json, write_json
from offtarget.workflows.runs.begin import interruptible


@pytest.mark.parametrize("verb", ["repair", "reproduce"])
def test_the_outer_run_is_named(verb: str, tmp_path: Path) -> None:
    outer = tmp_path / verb
    if verb == "repair":
        outer.mkdir()
        write_json(outer / "run.json", repair_manifest(repair_report(repair_cells(Status.PASS))))
    else:
        reproduce_run(outer)
    inner = outer / "checks" / "realigned-0"
    inner.mkdir(parents=True)
    write_json(inner / "run.json", read_json(outer / "run.json"))
    with pytest.raises(RunInterrupted) as stopped, interruptible(RunDir(outer)), interruptible(RunDir(inner)):
        raise KeyboardInterrupt
    assert str(stopped.value).endswith(f"go on with: offtarget resume {outer}")


def test_the_command_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pasted into another terminal, hours later: a run that was named by a relative path is named in full."""
    monkeypatch.chdir(tmp_path)
    reproduce_run(Path("runs") / "reproduce-1")
    with pytest.raises(RunInterrupted) as stopped, interruptible(RunDir(Path("runs") / "reproduce-1")):
        raise KeyboardInterrupt
    assert str(stopped.value).endswith(f"go on with: offtarget resume {tmp_path / 'runs' / 'reproduce-1'}")
