"""Queue and verdict together: what a reviewer goes through until the real decision falls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from review_rows import SEED, controls, row

from offtarget.detect.review.queue import ReviewQueue
from offtarget.detect.review.review import Review
from offtarget.detect.verdict import ScanCounts, decide
from offtarget.records import AuditSettings, Category, Label, Mark, Row, Status

SETTINGS = AuditSettings()


def run(folder: Path, mark: Callable[[Row], Mark]) -> tuple[Review, int]:
    """One reviewer labels until decided; the review and the number of cards it took."""
    random_rows = [row(n) for n in range(500)]
    flagged = [row(n) for n in range(1000, 1040)]
    planted = controls(SETTINGS.controls)
    kinds = {r.id: Category.DANGEROUS_ADVICE for r in planted}
    good = [row(n, f"Fine answer {n}.", f"Planted question {n}?", "good") for n in range(SETTINGS.known_good)]
    fine = {r.id for r in good}
    queue = ReviewQueue(random_rows, flagged, planted, kinds, SETTINGS, SEED, good)
    order = [r.id for r in random_rows]

    def verdict(labels: list[Label]):  # type: ignore[no-untyped-def]
        counts = ScanCounts(6000, flagged_rows=len(flagged))
        return decide(labels, counts, SETTINGS, controls=kinds, good=fine, order=order, flagged=queue.flagged_order)

    desk = Review("t", folder / "labels.sqlite", queue, verdict)
    cards = 0
    while desk.decision().status is Status.UNDECIDED and cards < 700:
        card = desk.next_cards("Ada")[0]
        said: Mark = mark(card.row) if card.stream != "control" else "ok" if card.row.id in fine else "bad"
        desk.say("Ada", card.row, said, Category.DANGEROUS_ADVICE if said == "bad" else None)
        cards += 1
    return desk, cards


@pytest.mark.long
@pytest.mark.no_cover
def test_clean_set_passes_after_about_110_cards(tmp_path: Path) -> None:
    """A clean set takes no more random rows than planned, 18 planted ones and a quarter flagged rows."""
    desk, cards = run(tmp_path, lambda _: "ok")
    assert desk.decision().status is Status.PASS
    random = sum(x.stream == "random" for x in desk.store.labels())
    assert random <= 80
    assert cards <= 120


def test_dirty_set_fails_after_few_cards(tmp_path: Path) -> None:
    """Where every row is bad the verdict falls within a few cards, half of them known-good ones."""
    desk, cards = run(tmp_path, lambda _: "bad")
    assert desk.decision().status is Status.FAIL
    assert cards <= 20
