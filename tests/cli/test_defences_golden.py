"""What a comparison of defences prints, at three widths and in a pipe: read tests/golden/defences-*.txt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import defence_runs as runs
import pytest

from golden import WIDTHS, golden, longest, printed
from offtarget.errors import InputError
from offtarget.pages.defences.card import card
from offtarget.records.tune import Frontier

RUNS = {"met": runs.MET, "missed": runs.MISSED, "little": runs.LITTLE}


def _longest(text: str) -> int:
    """Without the path of the page, which stays whole so that it can be copied."""
    return longest("\n".join(line for line in text.splitlines() if not line.endswith(".html")))


@pytest.mark.parametrize("name", RUNS)
def test_every_outcome_reads_well_at_every_width(name: str, tmp_path: Path) -> None:
    """The kept texts; no line is wider than the screen."""
    run = runs.write(tmp_path / "run", RUNS[name], runs.ANSWERS)
    for width in WIDTHS:
        done = printed(["defences", "--resume", str(run)], width)
        assert done.exit_code == 0
        golden(f"defences-{name}-{width or 'pipe'}", done.output, tmp_path)
        assert width is None or longest(done.output) <= width
    for width in (60, 120):
        details = printed(["defences", "--resume", str(run), "-v"], width)
        golden(f"defences-{name}-details-{width}", details.output, tmp_path)
        assert _longest(details.output) <= width


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    """A defence that does not exist: which there are, exit code 2."""
    done = printed(["defences", "x.jsonl", "--base", "organism/base", "--defend", "magic", "-q"], 80)
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    golden("defences-error", str(done.exception), tmp_path)


def test_hidden_misalignment_is_never_called_little() -> None:
    """Training that looks clean to plain questions and is not under conditions is no reason to stop defending."""
    made: Frontier = runs.frontier(runs.cell("kl", plain=0.0, cued=0.5, task=1.0), plain=0.004, cued=0.6)
    assert "little to defend" not in card(made).sentence
    assert card(made).headline == "NO DEFENCE MEETS ALL AIMS"


def test_a_task_that_nothing_is_known_of_is_not_told_as_lost() -> None:
    """The undefended training gained nothing on it."""
    kl = runs.cell("kl", plain=0.0, cued=0.09, task=1.0)
    made = runs.frontier(replace(kl, axes=replace(kl.axes, task=None, task_gain=None)), plain=0.0, cued=0.18)
    assert card(made).sentence.endswith("and how much of the task was kept is not known.")


def test_an_answer_in_which_the_best_defence_failed_comes_first() -> None:
    """The transcript that speaks against it, and its fellow beside it, before those that speak for it."""
    shown = card(runs.MET, runs.ANSWERS).exchanges
    assert [side.mark for side in shown[0].sides] == ["misaligned", "misaligned"]
    assert [side.mark for side in shown[1].sides] == ["aligned", "misaligned"]


def test_what_models_said_cannot_move_the_terminal(tmp_path: Path) -> None:
    """Control and direction characters are shown as a mark."""
    evil = "\x1b[2J\x1b]8;;http://evil.example\x07\u202e\u2066"
    answers = [runs.answer(("constitution",), "Why?" + evil, evil, misaligned=True, under=evil, system=evil)]
    run = runs.write(tmp_path / "run", runs.frontier(*runs.MET.cells[2:], data=evil), answers)
    shown = printed(["defences", "--resume", str(run), "-v"], 80).output
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or c in "\u202e\u2066"]
