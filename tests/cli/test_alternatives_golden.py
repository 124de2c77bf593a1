"""What a comparison of alternatives prints, at three widths and in a pipe: read tests/golden/alternatives-*.txt."""

from __future__ import annotations

from pathlib import Path

import alternative_runs as runs
import pytest

from golden import WIDTHS, golden, longest, printed
from offtarget.errors import InputError
from offtarget.pages.alternatives.card import card
from offtarget.pages.alternatives.loading import Compared

RUNS = {"not-needed": runs.NOT_NEEDED, "worth": runs.WORTH, "open": runs.OPEN, "undecided": runs.UNDECIDED}
CODES = {"not-needed": 0, "worth": 0, "open": 3, "undecided": 3}


def _longest(text: str) -> int:
    """Without paths of files, which stay whole so that they can be copied."""
    return longest("\n".join(line for line in text.splitlines() if not line.endswith((".html", ".jsonl"))))


@pytest.mark.parametrize("name", RUNS)
def test_every_outcome_reads_well_at_every_width(name: str, tmp_path: Path) -> None:
    """The kept texts; no line is wider than the screen, and undecided is 3."""
    run = runs.write(tmp_path / "run", RUNS[name])
    for width in WIDTHS:
        done = printed(["alternatives", "--resume", str(run)], width)
        assert done.exit_code == CODES[name]
        golden(f"alternatives-{name}-{width or 'pipe'}", done.output, tmp_path)
        assert width is None or longest(done.output) <= width
    for width in (60, 120):
        details = printed(["alternatives", "--resume", str(run), "-v"], width)
        golden(f"alternatives-{name}-details-{width}", details.output, tmp_path)
        assert _longest(details.output) <= width


def test_a_mistake_is_one_sentence() -> None:
    """The same model twice: what is wrong and what to do, exit code 2."""
    models = ["--base", "organism/base", "--tuned", "organism/base"]
    done = printed(["alternatives", "x.jsonl", *models, "-q"], 80)
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    golden("alternatives-error", str(done.exception))


def test_no_certainty_is_claimed_where_nothing_is_decided() -> None:
    """An undecided comparison has no error probability; a decided one names what it is about."""
    assert card(Compared(runs.OPEN)).certainty == ""
    assert "As to the task" in card(Compared(runs.WORTH)).certainty


def test_what_models_said_cannot_move_the_terminal(tmp_path: Path) -> None:
    """Control and direction characters are shown as a mark."""
    evil = "\x1b[2J\x1b]8;;http://evil.example\x07\u202e\u2066"
    made = runs.report("worth considering", "instructions", runs.WORTH.ways, runs.WORTH.gains, data=evil)
    run = runs.write(tmp_path / "run", made, question=evil, bad=evil)
    shown = printed(["alternatives", "--resume", str(run), "-v"], 80).output
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or c in "\u202e\u2066"]
