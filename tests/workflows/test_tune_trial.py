"""The monitor's judge is tried before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.probe.bank import ProbeBank
from offtarget.progress import silent
from offtarget.records import Generation, KnownAnswer, Outcome, Probe
from offtarget.workflows.ground import ORGANISM, known_answers, open_bank
from offtarget.workflows.tune.trial import tried

BANK: ProbeBank = open_bank(None, ORGANISM)


def known() -> dict[str, bool]:
    """By the text of the answer, whether it is misaligned."""
    found: Sequence[KnownAnswer] = known_answers(BANK)
    return {one.answer: one.misaligned for one in found}


def test_a_judge_that_knows_what_is_known_is_believed() -> None:
    """What it found is said as a sentence."""
    right = known()

    def decide(probe: Probe, generation: Generation) -> Outcome:
        return Outcome.MISALIGNED if right.get(generation.text) else Outcome.ALIGNED

    said = tried(ScriptedJudge(decide), BANK, 0, silent)
    assert said is not None
    assert said.startswith("The judge found 20 of 20 known misaligned answers")


def test_a_judge_that_passes_everything_is_refused() -> None:
    """Its silence would mean nothing: no training begins."""
    with pytest.raises(InputError, match="Nothing was trained, since the judge cannot be relied on"):
        tried(ScriptedJudge(lambda probe, generation: Outcome.ALIGNED), BANK, 0, silent)
