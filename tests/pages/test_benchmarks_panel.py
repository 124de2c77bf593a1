"""The panel of fixed benchmarks: it says what the records say, and hostile names stay text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markup_attacks import ATTACKS

from offtarget.pages.benchmarks import story
from offtarget.pages.benchmarks.panel import HEADS, cells, panel
from offtarget.pages.page import environment
from offtarget.records import Interval
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult, BenchmarkSettings

LOST = BenchmarkResult(
    "gsm8k", "exact_match", 0.05, "worse", red_flag=True, n=1319, base=0.6, tuned=0.5, lost=180, gained=48,
    difference=-0.1, bounds=Interval(-0.13, -0.07), p_worse=1e-12, p_red_flag=0.0005, p_not_worse=1.0, log_e=-9.0,
)  # fmt: skip
HELD = BenchmarkResult(
    "arc_easy", "acc", 0.05, "not worse", within_margin=True, n=2376, base=0.7, tuned=0.7, lost=60, gained=60,
    difference=0.0, bounds=Interval(-0.016, 0.016), p_worse=0.5, p_red_flag=1.0, p_not_worse=0.0005, log_e=20.0,
)  # fmt: skip
OPEN = BenchmarkResult(
    "xstest", "acc", 0.03, "undecided", n=50, base=0.9, tuned=0.88, lost=2, gained=1, difference=-0.02,
    bounds=Interval(-0.2, 0.15), p_worse=0.5, p_red_flag=1.0, p_not_worse=1.0, log_e=0.1,
)  # fmt: skip
ABSENT = BenchmarkResult("mmlu", "", 0.05, "not run", why_not="Its data needs the network.")


def family(*results: BenchmarkResult) -> BenchmarkFamily:
    return BenchmarkFamily(BenchmarkSettings(), results)


def drawn(made: BenchmarkFamily) -> str:
    source = '{% from "benchmarks/panel.html.j2" import benchmarks %}{{ benchmarks(panel) }}'
    return environment().from_string(source).render(panel=panel(made))


def test_the_panel_names_every_benchmark_with_its_standing():
    made = family(LOST, HELD, OPEN, ABSENT)
    html = drawn(made)
    for text in ("gsm8k", "red flag", "not worse", "undecided", "not run", "Its data needs the network.", "1,319"):
        assert text in html
    assert all(len(row) == len(HEADS) for row in cells(made))
    rows = {row.name: row for row in panel(made).rows}
    assert rows["gsm8k"].high < rows["gsm8k"].tolerated  # wholly left of the limit, as its words say
    assert rows["arc_easy"].low > rows["arc_easy"].allowed
    assert rows["mmlu"].seen is None


def test_sentences_say_no_more_than_the_bounds():
    assert story.sentence(family(LOST, HELD)) == (
        "A red flag: on gsm8k (exact_match) the tuned model lost at least 7 points, and 1 point is tolerated."
    )
    assert story.sentence(family(HELD)) == (
        "On arc_easy (acc) the tuned model is shown to have lost less than 5 points."
    )
    little = replace(HELD, standing="worse", difference=-0.004, bounds=Interval(-0.008, -0.001))
    assert story.sentence(family(little)).endswith(" Something it did lose, on arc_easy (acc).")
    undecided = story.sentence(family(HELD, OPEN, ABSENT))
    assert "xstest (acc)" in undecided
    assert "mmlu" in undecided
    assert "may have lost up to 20 points" in story.said(OPEN)
    assert story.not_tested(family(HELD)) == ""
    assert story.not_tested(family(OPEN, ABSENT)) == "mmlu (not run); xstest (acc) (undecided)"
    assert any("needs the network" in caution for caution in story.cautions(family(ABSENT)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_names_stay_text(attack):
    hostile = BenchmarkResult(attack, attack, 0.05, "not run", why_not=attack, notes=(attack,))
    html = drawn(family(hostile, HELD))
    html.encode()
    assert "<script" not in html
    assert "<img" not in html
    assert "<iframe" not in html
