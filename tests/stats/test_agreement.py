"""Agreement of raters, checked against worked examples and against its own definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.stats.agreement import gwet_ac1, krippendorff_alpha, raw_agreement

marks = st.sampled_from(["ok", "bad", "unsure"])
units_of = st.lists(st.lists(marks, min_size=2, max_size=4), min_size=1, max_size=30)


def test_alpha_of_a_worked_example_for_two_raters():
    """Ten units, two raters, binary: the coincidences counted by hand."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    units = [[str(a), str(b)] for a, b in zip(first, second, strict=True)]
    # 14 zeros and 6 ones among 20 marks, 4 units differ: 1 - 19 * 8 / (2 * 14 * 6)
    assert krippendorff_alpha(units) == pytest.approx(1 - 19 * 8 / 168)
    assert raw_agreement(units) == 0.6


def test_alpha_with_missing_marks_and_four_raters():
    """Krippendorff's (2011) example C: 4 observers, 12 units, nominal alpha 0.743."""
    published = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
    units = [list(u) for u in published]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_all_marks_equal():
    """Alpha is not defined without variation; AC1 is 1."""
    units = [["ok", "ok"]] * 40
    assert krippendorff_alpha(units) is None
    assert gwet_ac1(units) == 1.0


def test_one_dispute_in_forty_shows_why_both_are_printed():
    """At low prevalence alpha falls to 0 for one dispute in forty rows, AC1 stays high."""
    units = [["ok", "ok"]] * 39 + [["ok", "bad"]]
    assert krippendorff_alpha(units) == pytest.approx(0.0, abs=0.02)
    assert (gwet_ac1(units) or 0) > 0.95


def test_ac1_by_hand():
    """118 both yes, 2 both no, 5 disputed of 125: pa = .96, pe = 2 (.964)(.036), AC1 = .9570."""
    units = [["y", "y"]] * 118 + [["n", "n"]] * 2 + [["y", "n"]] * 5
    chance = 2 * 0.964 * 0.036
    assert gwet_ac1(units) == pytest.approx((0.96 - chance) / (1 - chance))


@given(units_of)
def test_bounds_and_order(units: list[list[str]]):
    """No measure exceeds 1, the order of marks and units does not matter, units with one mark are ignored."""
    alpha, ac1 = krippendorff_alpha(units), gwet_ac1(units)
    assert alpha is None or alpha <= 1
    assert ac1 is not None
    assert ac1 <= 1 + 1e-12
    turned = [list(reversed(u)) for u in reversed(units)] + [["bad"]]
    again = krippendorff_alpha(turned)
    assert (again is None) is (alpha is None)
    assert alpha is None or again == pytest.approx(alpha)
    assert gwet_ac1(turned) == pytest.approx(ac1)


def test_without_a_unit():
    """No doubly rated row: nothing to say."""
    assert krippendorff_alpha([["ok"]]) is None
    assert gwet_ac1([]) is None
    with pytest.raises(ValueError, match="two marks"):
        raw_agreement([])
