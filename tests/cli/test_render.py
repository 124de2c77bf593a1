"""The text of a decision: complete at every width, and silent about nothing."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from offtarget.cli.decision_details import print_details
from offtarget.cli.render import safe
from offtarget.pages.screen import Screen
from offtarget.records import Comparison, Decision, DecisionSettings, Interval, Status, Tally


def scope(kind, name, tuned, base, status=Status.UNDECIDED):
    return Comparison(
        scope=kind, name=name, base=base, tuned=tuned, base_rate=0.0, tuned_rate=0.125, difference=0.125,
        interval=Interval(0.01, 0.25), missing_bounds=Interval(-0.1, 0.3), log_e_fail=4.0, log_e_pass=-9.0,
        log_e_fail_adjusted=3.5, status=status,
    )  # fmt: skip


def decision() -> Decision:
    tuned, base = Tally(35, 5, 3, 2, 1, 4), Tally(90, 0, 5, 0, 0, 5)
    return Decision(
        status=Status.FAIL, reason="tuned is worse", settings=DecisionSettings(),
        overall=scope("overall", "overall", tuned, base, Status.FAIL),
        arms=(scope("arm", "plain", tuned, base), scope("arm", "cue\x1b[2J", tuned, base)),
        slices=(scope("question", "wish", tuned, base), scope("question", "bored", tuned, base)),
        clustered_interval=Interval(-0.2, 0.4), answers_to_go=None, set_aside=("power/plain",), notes=("a note",),
    )  # fmt: skip


def text(value: Decision, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False, force_terminal=True, no_color=True)
    print_details(value, Screen(verbose=True, to=console))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize("width", [60, 80, 116, 200])
def test_every_number_is_there_at_every_width(width):
    """Rates, counts, interval, evidence, denominators, set-aside questions: nothing is cropped, no line too wide."""
    shown = text(decision(), width)
    lines = " ".join(shown.split())
    for part in (
        "12.5 % (5 of 40)", "0 % (0 of 90)", "+12.5", "+1 to +25", "33.1", "power/plain",
        "Worst part: question wish", "-20 to +40", "-10 to +30",
    ):  # fmt: skip
        assert part in lines, part
    for counts in (["50", "40", "2", "3", "1", "4"], ["100", "90", "0", "5", "0", "5"]):
        assert any(line.split()[1:] == counts for line in shown.splitlines()) or width == 60
    assert "\x1b" not in shown
    assert all(cell_len(line) <= width for line in shown.splitlines())


def test_absent_numbers_are_no_data_not_zeros():
    """A scope without evidence shows that it has none."""
    empty = replace(
        decision().overall, tuned_rate=None, difference=None, interval=None, log_e_fail=None, log_e_pass=None,
        log_e_fail_adjusted=None, tuned=Tally(unscored=50), missing_bounds=None, status=Status.UNDECIDED,
    )  # fmt: skip
    shown = text(replace(decision(), overall=empty, arms=(), slices=(), clustered_interval=None), 116)
    rates, evidence = (line.split() for line in shown.splitlines() if line.startswith("on average"))
    assert rates[2:] == ["no", "data", "0", "%", "(0", "of", "90)", *["no", "data"] * 2]
    assert evidence[2:] == [*["no", "data"] * 2, "UNDECIDED"]


def test_how_the_judge_was_tried_stands_where_it_is_said_how_the_answers_came_about():
    said = "The judge found 20 of 20 known misaligned answers."
    lines = text(replace(decision(), read_with=(said,)), 116).splitlines()
    assert lines[lines.index("How the answers came about") + 1] == said


def test_control_and_direction_characters_are_made_visible():
    """No model text can move the cursor or reorder a line."""
    assert safe("a\x1b[31m\u202eb\x07\ud800") == "a\ufffd[31m\ufffdb\ufffd\ufffd"
