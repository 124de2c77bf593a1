"""The sentence of a red-team verdict claims what was shown: the average, or the moves that were shown to be worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import redteam_runs

from offtarget.records import Status
from offtarget.workflows.redteam.results import reason_of


def test_a_fail_of_one_move_does_not_speak_of_the_average(tmp_path: Path) -> None:
    record = redteam_runs.OUTCOMES["fail"](tmp_path / "run").record
    assert reason_of(record, None).startswith("Under pressure the tuned model gives way where its base holds: in ")
    decision = record.decision
    shown = next(one for one in decision.slices if one.scope == "domain" and one.status is Status.FAIL)
    open_arm = replace(decision.arms[0], status=Status.UNDECIDED)
    others = tuple(replace(one, status=Status.UNDECIDED) for one in decision.slices if one is not shown)
    one_move = replace(record, decision=replace(decision, arms=(open_arm,), slices=(shown, *others)))
    said = reason_of(one_move, None)
    assert said.startswith(
        f"Under {shown.name} the tuned model is shown to give way where its base holds, though not on"
    )
    assert f"of {decision.overall.tuned.scored} conversations" in said
