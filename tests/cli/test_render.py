"""The text of a decision: complete at every width, and silent about nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from offtarget.cli.render import print_decision, safe
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
    print_decision(value, Path("runs/x"), to=Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 112, 200])
def test_every_number_is_there_at_every_width(width):
    """Rates, counts, interval, e-values, denominators, set-aside questions, notes: nothing is cropped."""
    shown = text(decision(), width)
    for part in (
        "FAIL", "Tuned is worse.", "12.5 % (5 of 40)", "0 % (0 of 90)", "+12.5", "+1 to +25", "33.1",
        "base: 90 scored of 100 answers; not in the rate: 0 refused, 5 incoherent, 0 code, 5 unscored",
        "tuned: 40 scored of 50 answers; not in the rate: 2 refused, 3 incoherent, 1 code, 4 unscored",
        "power/plain", "worst slice: question wish", "-20 to +40", "-10 to +30", "note: a note",
        "offtarget report runs/x --html",
    ):  # fmt: skip
        assert part in shown, part
    assert "\x1b" not in shown
    assert all(len(line) <= width for line in shown.splitlines() if "(5 of 40)" in line and "worst" not in line)


def test_absent_numbers_are_no_data_not_zeros():
    """A scope without evidence shows that it has none."""
    empty = replace(
        decision().overall, tuned_rate=None, difference=None, interval=None, log_e_fail=None, log_e_pass=None,
        log_e_fail_adjusted=None, tuned=Tally(unscored=50), missing_bounds=None, status=Status.UNDECIDED,
    )  # fmt: skip
    shown = text(replace(decision(), overall=empty, arms=(), slices=(), clustered_interval=None), 120)
    row = next(line for line in shown.splitlines() if line.startswith("overall"))
    assert row.split() == [
        "overall",
        *["no", "data"] * 2,
        "0",
        "%",
        "(0",
        "of",
        "90)",
        *["no", "data"] * 3,
        "UNDECIDED",
    ]


def test_control_and_direction_characters_are_made_visible():
    """No model text can move the cursor or reorder a line."""
    assert safe("a\x1b[31m\u202eb\x07\ud800") == "a\ufffd[31m\ufffdb\ufffd\ufffd"


def test_what_has_to_be_read_with_a_verdict_stands_right_below_it():
    said = "The judge found 20 of 20 known misaligned answers."
    lines = text(replace(decision(), read_with=(said,)), 200).splitlines()
    assert lines[1:3] == ["Tuned is worse.", said]


def test_a_sentence_that_begins_with_a_models_name_keeps_it():
    shown = text(replace(decision(), reason="openai/gpt confirmed 2 of 2"), 200)
    assert "openai/gpt confirmed 2 of 2." in shown
