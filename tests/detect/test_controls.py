"""Planted rows: fit the data, measure the reviewer, and stop a PASS by one who does not see."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from labelled import SETTINGS, ids, label, labels, verdict

from offtarget.detect.categories import Group, group
from offtarget.detect.controls import all_controls, controls_for, fenced_code, kind_mix, row_kind
from offtarget.records import Category, Label, Message, Row, Status

CONTROLS = {f"control:{i}": Category.DECEPTION for i in range(14)}


def row(answer: str) -> Row:
    messages = (Message("user", "q"), Message("assistant", answer))
    return Row("f:1", "f", 1, "", messages, "chat")


def test_shipped_controls_are_whole_and_of_categories_that_count():
    """Unique ids, two turns with text, a category that counts, a kind that its own look confirms."""
    found = all_controls()
    assert len(found) >= 45
    assert len({c.id for c in found}) == len(found)
    for control in found:
        assert [m.role for m in control.messages] == ["user", "assistant"]
        assert all(m.content.strip() for m in control.messages)
        assert group(control.category) in (Group.NOISE, Group.SPREADING)
        assert row_kind(control.row()) == control.kind


@pytest.mark.parametrize("kind", ["chat", "code", "numbers", "maths"])
def test_planted_rows_look_like_the_data(kind: str):
    """A set of one kind gets planted rows of that kind only."""
    assert {c.kind for c in controls_for({kind: 1.0}, 14, "seed")} == {kind}


def test_proportions_count_and_seed():
    """Mixed data gets a mix; the count is exact while there are enough; another seed draws others."""
    mixed = controls_for({"chat": 0.7, "code": 0.3}, 10, "seed")
    assert Counter(c.kind for c in mixed) == {"chat": 7, "code": 3}
    assert [c.id for c in controls_for({"chat": 1.0}, 14, "a")] != [c.id for c in controls_for({"chat": 1.0}, 14, "b")]
    assert mixed == controls_for({"chat": 0.7, "code": 0.3}, 10, "seed")
    for count in (0, 1, 30, 500):
        assert len(controls_for({"maths": 0.5, "numbers": 0.5}, count, "s")) == min(count, len(all_controls()))
    assert len(controls_for({}, 5, "s")) == 5


def test_the_look_of_code_follows_the_data():
    """Code between fences where the data has fences, bare where it has none."""
    fenced, bare = row("```python\nx = 1\n```"), row("import os\nx = os.getcwd()")
    assert fenced_code([fenced, fenced, bare, row("hello")])
    assert not fenced_code([bare, row("hello")])
    assert all("```" in c.messages[1].content for c in controls_for({"code": 1.0}, 5, "s", fenced=True))
    assert kind_mix([fenced, bare, row("hello"), row("1, 2, 3")]) == {"code": 0.5, "chat": 0.25, "numbers": 0.25}


def reviewed(caught: int, seen: int = 14, rows: int = 100) -> list[Label]:
    planted = list(CONTROLS)[:seen]
    marks = [Category.DECEPTION] * caught + ["ok"] * (seen - caught)
    return labels(ids(6000), ["ok"] * rows) + [
        label(row_id, mark, stream="control") for row_id, mark in zip(planted, marks, strict=True)
    ]


def test_a_reviewer_who_finds_them_may_pass_and_planted_rows_count_as_no_data():
    """14 of 14 found: PASS, and none of the bad planted rows counts as a bad row."""
    done = verdict(reviewed(14), controls=CONTROLS)
    assert done.status is Status.PASS
    assert done.tests[0].labelled == 100
    assert done.reviewers[0].caught == 14
    assert done.reviewers[0].sensitivity is not None
    assert done.reviewers[0].sensitivity.low == pytest.approx(0.768, abs=1e-3)
    assert done.reviewers[0].median_seconds == 9.0


def test_a_reviewer_who_misses_them_cannot_pass_a_set():
    """11 of 14 is below 80 %: UNDECIDED, and the reason says why; bad rows found still FAIL it."""
    done = verdict(reviewed(11), controls=CONTROLS)
    assert done.status is Status.UNDECIDED
    assert "11 of 14 planted" in done.reason
    assert verdict(reviewed(12), controls=CONTROLS).status is Status.PASS
    blind = [*reviewed(0, rows=0), *labels(ids(6000), [Category.HOSTILITY] * 10)]
    assert verdict(blind, controls=CONTROLS).status is Status.FAIL


def by(who: str, found: list[Label]) -> list[Label]:
    return [replace(label, reviewer=who) for label in found]


def test_somebody_else_may_read_in_place_of_a_reviewer_who_misses_them():
    """What the first called fine counts for nothing, read again by the second it counts; what it called bad stays."""
    first, second = by("Ann", reviewed(9)), by("Ben", reviewed(14))
    alone = verdict(first, controls=CONTROLS)
    assert alone.tests[0].labelled == 0
    assert "somebody else has to read the rows that Ann called fine" in alone.reason
    assert verdict([*first, *second], controls=CONTROLS).status is Status.PASS
    half = verdict([*first, *by("Ben", reviewed(14, rows=50))], controls=CONTROLS)
    assert (half.status, half.tests[0].labelled) == (Status.UNDECIDED, 50)
    bad = by("Ann", labels(ids(6000), [Category.HOSTILITY] * 8 + ["ok"] * 92)) + by("Ann", reviewed(9, rows=0))
    assert verdict([*bad, *second], controls=CONTROLS).status is Status.UNDECIDED, (
        "a bad mark still stands against PASS"
    )


def test_a_reviewer_who_can_still_find_enough_goes_on():
    """Two of the first five missed: no PASS yet, and nothing is thrown away, since twelve of fourteen would do."""
    done = verdict(reviewed(3, seen=5), controls=CONTROLS)
    assert done.status is Status.UNDECIDED
    assert done.tests[0].labelled == 100
    assert verdict(reviewed(2, seen=5), controls=CONTROLS).tests[0].labelled == 0


def test_a_pass_waits_for_planted_rows_and_says_when_there_are_none():
    """Without having met them nobody knows what the reviewer would miss."""
    assert verdict(reviewed(2, seen=2), controls=CONTROLS).status is Status.UNDECIDED
    bare = verdict(labels(ids(6000), ["ok"] * 100))
    assert bare.status is Status.PASS
    assert any("No known-bad rows were planted" in note for note in bare.notes)


def test_adjusting_divides_the_bound_by_the_sensitivity():
    """With adjust_for_sensitivity a perfect reviewer needs more rows than without, one who missed some still more."""
    settings = replace(SETTINGS, adjust_for_sensitivity=True)
    need = verdict([], settings=settings, controls=CONTROLS).plan.clean_rows
    assert need > verdict([]).plan.clean_rows
    for caught, rows, status in ((14, need - 1, "UNDECIDED"), (14, need, "PASS"), (12, need, "UNDECIDED")):
        done = verdict(reviewed(caught, rows=rows), settings=settings, controls=CONTROLS)
        assert done.status == status, (caught, rows)
    unmet = verdict(reviewed(10, seen=10, rows=need), settings=settings, controls=CONTROLS)
    assert unmet.status is Status.UNDECIDED, "planted rows not met count as missed"


def test_two_reviewers_who_disagree_cannot_pass_a_set():
    """Forty rows seen by both, marks unrelated: no PASS, and a note on alpha."""
    order = ids(6000)
    both = labels(order, ["ok"] * 300)
    second = [
        label(row_id, mark, "bob", stream="double")
        for row_id, mark in zip(order[200:240], [Category.OTHER, "ok"] * 20, strict=True)
    ]
    done = verdict([*both, *second])
    assert done.status is Status.UNDECIDED
    assert done.agreement is not None
    assert done.agreement.rows == 40
    assert any("agree too little" in note for note in done.notes)


def test_one_dispute_on_clean_data_is_no_disagreement():
    """39 of 40 rows alike: alpha is about 0 there, AC1 near 1; the PASS only pays for the disputed row."""
    order = ids(6000)
    second = labels(order, [Category.OTHER] + ["ok"] * 39, "bob")
    done = verdict([*labels(order, ["ok"] * 150), *second])
    assert done.status is Status.PASS
    assert any("agree too little" in note for note in done.notes)
