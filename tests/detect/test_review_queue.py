"""Which row comes next."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_rows import controls, queue, review, row, rows

from offtarget.detect.review.queue import Card, ReviewQueue
from offtarget.detect.review.review import Review
from offtarget.records import AuditSettings, Label, Mark


def work(order: ReviewQueue, reviewer: str, labels: list[Label], count: int, mark: Mark = "ok") -> list[Card]:
    cards = []
    for _ in range(count):
        card = next(order.cards(reviewer, labels), None)
        if card is None:
            break
        cards.append(card)
        labels.append(Label(card.row.id, reviewer, mark, None, card.stream))
    return cards


def test_random_rows_keep_the_order_of_the_key() -> None:
    """The random stream is served in the order given, whatever is mixed in; the order is the same every time."""
    cards = work(queue(), "Ada", [], 120)
    random = [c.row.id for c in cards if c.stream == "random"]
    assert random == [r.id for r in rows(200)][: len(random)]
    assert cards == work(queue(), "Ada", [], 120)
    assert [c.row.id for c in cards] != [c.row.id for c in work(queue(), "Ben", [], 120)]


def test_controls_come_early_and_flagged_rows_every_fourth_card() -> None:
    """All 14 controls lie within the first 66 cards, spread out; a quarter of the other cards are flagged rows."""
    cards = work(queue(), "Ada", [], 110)
    planted = [c.number for c in cards if c.stream == "control"]
    assert len(planted) == 14
    assert planted[-1] <= 66
    assert max(b - a for a, b in pairwise(planted)) <= 10
    counts = Counter(c.stream for c in cards)
    assert counts["flagged"] == pytest.approx(96 / 4, abs=1)
    assert counts["random"] >= 70


@given(st.integers(0, 60), st.integers(0, 30), st.integers(0, 14), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_every_row_once(random_count: int, flagged_count: int, control_count: int, shift: int) -> None:
    """Whatever the sizes and the overlap, each row is served exactly once and nothing is left over."""
    planted = controls(control_count)
    flagged = [row(n) for n in range(shift, shift + flagged_count)]
    order = ReviewQueue(rows(random_count), flagged, planted, {}, AuditSettings(), "s")
    served = [c.row.id for c in work(order, "Ada", [], 500)]
    assert sorted(served) == sorted({r.id for r in (*rows(random_count), *flagged, *planted)})


def test_undo_brings_the_same_card_again() -> None:
    """Without its last label the queue gives the same row in the same stream."""
    labels: list[Label] = []
    cards = work(queue(), "Ada", labels, 30)
    labels.pop()
    assert next(queue().cards("Ada", labels), None) == cards[-1]


def test_second_reviewer_sees_first_reviewers_rows_then_new_ones() -> None:
    """The second person gets the first rows of the first person, flagged ones as `double`, then new rows."""
    labels: list[Label] = []
    first = work(queue(), "Ada", labels, 80)
    second = work(queue(), "Ben", labels, 90)
    seen = [c.row.id for c in first if c.stream != "control"]
    shared = [c for c in second if c.row.id in seen]
    assert [c.row.id for c in shared] == seen[:40]
    assert {c.stream for c in shared} == {"random", "double"}
    assert sum(c.stream == "double" for c in shared) >= 8
    assert sum(c.stream == "control" for c in second) == 14
    new = [c.row.id for c in second if c.row.id not in seen and c.stream != "control"]
    assert len(new) == 90 - 40 - 14


def test_a_judge_takes_no_row_from_people() -> None:
    """Rows that only a model labelled still come to people, and are no first word to be doubled."""
    labels = [Label(r.id, "judge:m", "ok", None, "random") for r in rows(50)]
    assert work(queue(), "Ada", labels, 20) == work(queue(), "Ada", [], 20)


def test_flagged_row_counts_as_random_when_its_turn_comes(tmp_path: Path) -> None:
    """A row labelled as flagged moves to the random stream once all rows before it are labelled."""
    flagged = [row(n) for n in (3, 6, 9)]
    desk = review(tmp_path, order=queue(rows(12), flagged, AuditSettings(controls=0)))
    served = []
    while cards := desk.next_cards("Ada"):
        served.append(cards[0])
        desk.say("Ada", cards[0].row, "ok")
        streams = {x.row_id: x.stream for x in desk.store.labels()}
        prefix = next((i for i, r in enumerate(rows(12)) if r.id not in streams), 12)
        assert all((streams[r.id] == "random") == (i < prefix) for i, r in enumerate(rows(12)) if r.id in streams)
    assert len(served) == len({c.row.id for c in served}) == 12
    assert {c.stream for c in served} == {"random", "flagged"}


def test_two_people_never_have_one_new_row_at_once(tmp_path: Path) -> None:
    """Cards held ready for one reviewer are not given to another, in another process either."""
    here = review(tmp_path)
    there = Review("train.jsonl", tmp_path / "labels.sqlite", queue(), lambda labels: None)  # type: ignore[arg-type, return-value]
    ada = {c.row.id for c in here.next_cards("Ada", 5) if c.stream != "control"}
    ben = {c.row.id for c in there.next_cards("Ben", 5) if c.stream != "control"}
    assert ada
    assert ben
    assert not ada & ben


def test_cards_to_go_counts_controls_and_flagged_rows() -> None:
    """The estimate in cards is the number of cards until so many random rows have been served."""
    order = queue()
    expected = next(c.number for c in order.cards("Ada", []) if _random_so_far(order, c) == 73)
    assert order.cards_until(73, "Ada", []) == expected > 73


def _random_so_far(order: ReviewQueue, card: Card) -> int:
    served = [c for c in order.cards("Ada", []) if c.number <= card.number]
    return sum(c.stream == "random" for c in served)
