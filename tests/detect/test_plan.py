"""The plan of a review: true at the start, and after each label."""

from __future__ import annotations

from dataclasses import replace

import pytest
from labelled import SETTINGS, ids, labels, verdict

from offtarget.detect.plan import nothing_labelled, review_plan
from offtarget.records import Category, Status


@pytest.mark.parametrize(("rows", "floor"), [(500, 54), (6000, 58), (10**6, 59)])
def test_floor_and_price_of_looking_after_every_row(rows: int, floor: int):
    """No plan is below the floor; free stopping costs at most 10 rows more at the clean end."""
    plan = review_plan(rows, SETTINGS)
    assert plan.floor_rows == floor
    assert floor <= plan.clean_rows <= floor + 10
    assert plan.rows_to_go == plan.clean_rows
    assert plan.clean_rows_spreading <= rows


def test_rows_to_go_counts_down_with_clean_rows():
    """With every fine row one less is to go, until none is."""
    order = ids(6000)
    start = verdict([]).plan.clean_rows
    for n in (1, 10, 50, start - 1):
        assert verdict(labels(order, ["ok"] * n)).plan.rows_to_go == start - n
    assert verdict(labels(order, ["ok"] * start)).plan.rows_to_go is None


def test_projection_turns_towards_fail():
    """Half of the rows bad, but too few yet: the projection ends in a FAIL within a few rows."""
    order = ids(6000)
    open_case = verdict(labels(order, [Category.OTHER, "ok", "ok", Category.OTHER]))
    assert open_case.status is Status.UNDECIDED
    assert open_case.plan.rows_to_go is not None
    assert 1 <= open_case.plan.rows_to_go <= 10


def test_flagged_rows_to_fail_shrink_with_the_share_flagged():
    """More flagged, fewer to confirm; no number where flags cannot exceed the limit."""
    needed = []
    for flagged in (120, 300, 1200, 5000):
        counts = nothing_labelled(6000, {"noise": flagged, "spreading": flagged})
        needed.append(review_plan(6000, SETTINGS, counts).flagged_rows_to_fail)
    assert all(n is not None for n in needed)
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] <= 3
    none = nothing_labelled(6000, {"noise": 60, "spreading": 60})
    assert review_plan(6000, SETTINGS, none).flagged_rows_to_fail is None


@pytest.mark.parametrize(("controls", "fixed"), [(14, 95), (20, 87), (29, 82)])
def test_adjusting_for_the_reviewer_costs_rows(controls: int, fixed: int):
    """With all planted rows found the fixed plan needs 95, 87, 82 rows: alpha split between rows and reviewer."""
    plan = review_plan(10**6, replace(SETTINGS, adjust_for_sensitivity=True, controls=controls))
    assert plan.floor_rows == fixed
    assert plan.clean_rows >= fixed


def test_empty_sets_and_single_rows_have_plans():
    """Nothing to review in an empty set; one row in a set of one."""
    assert review_plan(0, SETTINGS).rows_to_go is None
    assert review_plan(1, SETTINGS).clean_rows == 1
