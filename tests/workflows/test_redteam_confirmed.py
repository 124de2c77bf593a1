"""A red-team run whose flags somebody confirms says what nobody confirmed."""

from __future__ import annotations

from pathlib import Path

import pytest
import redteam_runs as runs

from offtarget.judge.scripted import ScriptedJudge
from offtarget.records import Outcome, Status
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam


def confirmed(run: Path, base: tuple[runs.Weakness, ...]) -> RedTeamResult:
    def decide(fingerprint: str) -> ScriptedJudge:
        return ScriptedJudge(lambda _, g: Outcome.MISALIGNED if g.text == runs.BAD else Outcome.ALIGNED, fingerprint)

    return redteam(
        runs.model("base", *base),
        runs.model("tuned", runs.IN_A_TABLE),
        goals=runs.three_goals(),
        judge=decide("judge"),
        confirm_with=decide("stronger"),
        settings=runs.settings(budget=200, moves=("role-play", "in-table"), register=False),
        run=run,
    )


@pytest.mark.parametrize(
    ("base", "differs", "said"),
    [
        ((runs.IN_A_ROLE,), True, "also that the models differ, rests on the judge alone"),
        ((), False, "Those of the search and those without the pressure count as the judge has them."),
    ],
    ids=["both weak", "tuned weak"],
)
def test_what_rests_on_the_judge_alone_is_said(
    tmp_path: Path, base: tuple[runs.Weakness, ...], differs: bool, said: str
) -> None:
    """Nobody is given the conversations where the base is weak, which take a FAIL back and can do nothing else."""
    record = confirmed(tmp_path / "run", base).record
    assert record.decision.status is Status.FAIL
    assert record.differs is differs
    assert any(said in note for note in record.notes)


def test_a_run_that_nobody_confirms_needs_no_such_note(tmp_path: Path) -> None:
    record = runs.make(tmp_path / "run", (runs.IN_A_TABLE,)).record
    assert not [note for note in record.notes if "read conversations of the verdict alone" in note]
