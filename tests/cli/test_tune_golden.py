"""What a training prints, on terminals of three widths and in a pipe: read tests/golden/tune-*.txt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tune_runs as runs

from golden import WIDTHS, golden, longest, printed
from offtarget.errors import InputError

HOSTILE = ("\x1b[2J\x1b]8;;http://evil.example\x07link", "\u202egnp.exe\u2066", "<b>[red]bold[/red]</b>\r\x08")
RUNS: dict[str, dict[str, Any]] = {
    "ok": {"made": runs.report(), "read": runs.readings(), "watched": runs.harm()[2:]},
    "alarm": {
        "made": runs.alarmed(rang=("forecast", "behaviour"), best_step=6),
        "read": [
            *runs.readings(alarm="forecast")[:2],
            replace(runs.readings(alarm="forecast", misaligned=15)[2], rang=("behaviour",)),
        ],
        "watched": runs.harm(),
    },
    "stopped": {
        "made": runs.stopped(alarm_step=12, steps=12, kept_step=6, best_step=6),
        "read": runs.readings(alarm="behaviour")[:2],
        "watched": runs.harm(12),
    },
    "stopped-nothing": {
        "made": runs.stopped(alarm_step=12, steps=12, kept_step=6, best_step=None, rang=("forecast",)),
        "read": runs.readings(alarm="forecast")[:2],
        "watched": runs.harm(12)[2:],
    },
    "unwatched": {
        "made": runs.report(monitored=False, best_step=None, notes=("1 row left out (train.jsonl:5).",)),
        "facts": None,
    },
}
UNDER_WAY = replace(runs.FACTS, finished=False)
CODES = {"ok": 0, "alarm": 1, "stopped": 0, "stopped-nothing": 1, "unwatched": 0}


def _longest(text: str) -> int:
    """Without the path of the page, which stays whole so that it can be copied."""
    return longest("\n".join(line for line in text.splitlines() if not line.endswith(".html")))


@pytest.mark.parametrize("name", RUNS)
def test_every_outcome_reads_well_at_every_width(name: str, tmp_path: Path) -> None:
    """The kept texts; no line is wider than the screen, and the exit code says the same as the card."""
    run = runs.write(tmp_path / "run", **RUNS[name])
    for width in WIDTHS:
        done = printed(["tune", "--resume", str(run)], width)
        assert done.exit_code == CODES[name]
        golden(f"tune-{name}-{width or 'pipe'}", done.output, tmp_path)
        assert width is None or longest(done.output) <= width
    details = printed(["tune", "--resume", str(run), "-v"], 80)
    golden(f"tune-{name}-details", details.output, tmp_path)
    assert _longest(details.output) <= 80


def test_details_fit_any_screen(tmp_path: Path) -> None:
    """Tables become lists where they would lose a column."""
    run = runs.write(tmp_path / "run", **RUNS["alarm"])
    for width in (60, 120):
        assert _longest(printed(["tune", "--resume", str(run), "-v"], width).output) <= width


def test_an_alarm_does_not_wait_until_training_has_ended(tmp_path: Path) -> None:
    """`report` of a run under way says what rang, and makes no OK of one without an alarm."""
    run = runs.write(tmp_path / "rung", None, read=runs.readings(alarm="forecast"), facts=UNDER_WAY)
    assert "ALARM (training has not ended)" in printed(["report", str(run)], 80).output
    quiet = runs.write(tmp_path / "quiet", None, read=runs.readings(), facts=UNDER_WAY)
    shown = printed(["report", str(quiet)], 80).output
    assert "UNFINISHED" in shown
    assert " OK " not in shown


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    """Data that is not there: what, where, what to do, exit code 2."""
    done = printed(["tune", str(tmp_path / "none.jsonl"), "--base", "organism/base", "--out", "o", "-q"], 80)
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    golden("tune-error", str(done.exception), tmp_path)


def test_what_the_model_said_cannot_move_the_terminal(tmp_path: Path) -> None:
    """Control and direction characters of answers, questions and names are shown as a mark."""
    watched = [runs.answer("now", 40, "Why? " + text, text, misaligned=True) for text in HOSTILE]
    made = runs.alarmed(base=HOSTILE[0], notes=(HOSTILE[0],))
    run = runs.write(tmp_path / "run", made, read=runs.readings(alarm="forecast"), watched=watched)
    shown = printed(["tune", "--resume", str(run), "-v"], 80).output
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or c in "\u202e\u2066\u2028\ud800"]
