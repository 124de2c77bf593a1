"""One review: rows in their order, labels on disk, and the decision they lead to."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.detect.quality import needed_controls, overlooking, reviewer_qualities, without_fine_marks
from offtarget.detect.review.queue import Card, ReviewQueue
from offtarget.detect.settled import opinions
from offtarget.records import (
    AuditDecision,
    Category,
    Finding,
    Label,
    Mark,
    ReviewerQuality,
    Row,
    Status,
    Suspect,
    SuspectRows,
)
from offtarget.records.audit import person
from offtarget.review.sitting import needs_break, sitting
from offtarget.review.store import LabelStore, Leases

Decide = Callable[[list[Label]], AuditDecision]
"""From the current labels of all reviewers to the decision."""


@dataclass(frozen=True, slots=True)
class Overlooked:
    """Planted known-bad rows of a reviewer who has missed too many of them."""

    caught: int
    seen: int
    needed: int
    """Of `each` that everybody gets."""
    each: int


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """Where one reviewer and the whole review stand."""

    decision: AuditDecision
    labelled: int
    """Cards this reviewer has labelled."""
    skipped: int
    cards_to_go: int | None
    """Estimate for this reviewer alone, controls and flagged rows counted; None when decided, unknown, or when
    no further row would help."""
    minutes_to_go: float | None
    median_seconds: float | None
    sitting: int
    """Cards labelled since the last break."""
    others: tuple[str, ...]
    """Other people with labels in this review."""

    @property
    def decided(self) -> bool:
        """Whether the verdict stands."""
        return self.decision.status is not Status.UNDECIDED

    @property
    def needs_break(self) -> bool:
        """Whether a round hundred of cards was labelled in one sitting."""
        return needs_break(self.sitting)


class Review:
    """What the page works on. Several processes may have one open on the same file.

    `findings` are the detectors' words per row id; the page shows them only after a row is decided. `suspect_rows`:
    rows to look at before answering for a suspected condition, by its key.
    """

    def __init__(
        self,
        name: str,
        labels: Path,
        queue: ReviewQueue,
        decide: Decide,
        findings: Mapping[str, Sequence[Finding]] | None = None,
        suspect_rows: Mapping[str, SuspectRows] | None = None,
    ) -> None:
        self.name = name
        self.store = LabelStore(labels)
        self.queue = queue
        self._leases = Leases(labels)
        self._decide = decide
        self._findings = findings or {}
        self._suspect_rows = suspect_rows or {}
        self._lock = threading.RLock()
        self._decided: tuple[int, AuditDecision] | None = None

    def next_cards(self, reviewer: str, count: int = 1) -> list[Card]:
        """The reviewer's next cards, reserved for a few minutes."""
        labels = self._counting_for(reviewer)
        taken = self._leases.taken(reviewer)
        for _ in range(100):
            cards = [card for card, _ in zip(self.queue.cards(reviewer, labels, taken), range(count), strict=False)]
            lost = [card.row.id for card in cards if not self._claim(card, reviewer, labels)]
            if not lost:
                return cards
            taken.update(lost)
        return []

    def say(
        self,
        reviewer: str,
        row: Row,
        mark: Mark,
        category: Category | None = None,
        note: str = "",
        seconds: float | None = None,
        nonce: str = "",
    ) -> bool:
        """Save a reviewer's word on a row that was served; False when this very label was saved before."""
        stream = self._leases.stream(row.id, reviewer)
        if stream is None:
            stream = "control" if self.queue.is_planted(row.id) else "flagged"
        label = Label(row.id, reviewer, mark, category if mark == "bad" else None, stream, note, seconds)
        added = self.store.add(label, nonce)
        for row_id in self.queue.due(self.store.labels()):
            self.store.restream(row_id, "random")
        return added

    def say_of_condition(self, reviewer: str, key: str, mark: Mark, note: str = "", nonce: str = "") -> bool:
        """Save a reviewer's word on a suspected condition: `bad` confirms it, `ok` dismisses it, `skip` leaves it."""
        category = Category.BACKDOOR if mark == "bad" else None
        return self.store.add(Label(key, reviewer, mark, category, "condition", note), nonce)

    def suspects(self) -> tuple[Suspect, ...]:
        """Hidden conditions that need a person's word, with what was said of them."""
        return self.decision().suspects

    def rows_of(self, suspect: Suspect) -> SuspectRows:
        """Rows to look at before answering; none where the scan kept none."""
        return self._suspect_rows.get(suspect.key) or SuspectRows(suspect.key, (), (), ())

    def unanswered(self, reviewer: str) -> Suspect | None:
        """The strongest suspect that waits and that this reviewer has said nothing of."""
        mine = {label.row_id for label in self.store.conditions() if label.reviewer == reviewer}
        return next((s for s in self.suspects() if s.state == "open" and s.key not in mine), None)

    def word_on(self, reviewer: str, key: str) -> Label | None:
        """What the reviewer says of a suspected condition now."""
        return next((x for x in self.store.conditions() if (x.row_id, x.reviewer) == (key, reviewer)), None)

    def undo(self, reviewer: str) -> Label | None:
        """Take back the reviewer's last label."""
        return self.store.undo(reviewer)

    def was_served(self, reviewer: str, row_id: str) -> bool:
        """Whether the reviewer has or had the row on the screen."""
        return self._leases.stream(row_id, reviewer) is not None

    def label(self, reviewer: str, row_id: str) -> Label | None:
        """What the reviewer says of a row now."""
        return next((x for x in self.store.labels() if (x.row_id, x.reviewer) == (row_id, reviewer)), None)

    def known_as(self, reviewer: str) -> str:
        """The spelling under which the same person has labelled before; `ann` is `Ann`, who sees no row twice."""
        names = (label.reviewer for label in (*self.store.labels(), *self.store.conditions()))
        return next((name for name in names if person(name) == person(reviewer)), reviewer)

    def recent(self, reviewer: str, count: int = 10) -> list[Label]:
        """The reviewer's last decisions, newest first."""
        return [label for label in self.store.labels() if label.reviewer == reviewer][::-1][:count]

    def findings(self, row_id: str) -> list[Finding]:
        """What detectors say about a row, strongest first."""
        return sorted(self._findings.get(row_id, ()), key=lambda f: -f.strength)

    def decision(self) -> AuditDecision:
        """The decision from all labels so far."""
        with self._lock:
            version = self.store.version()
            if self._decided is None or self._decided[0] != version:
                self._decided = (version, self._decide(self.store.counting()))
            return self._decided[1]

    def quality(self, reviewer: str) -> ReviewerQuality | None:
        """How a reviewer does on planted rows, at first sight; None before the first label."""
        planted, good = self.queue.control_categories, self.queue.known_good
        found = reviewer_qualities(opinions(self.store.counting()), planted, good)
        return next((q for q in found if person(q.reviewer) == person(reviewer)), None)

    def overlooks(self, reviewer: str) -> Overlooked | None:
        """That this reviewer has missed too many planted rows to be of help to a PASS; None while it may still do."""
        quality = self.quality(reviewer)
        planted, settings = len(self.queue.control_categories), self.queue.settings
        if quality is None or not overlooking([quality], planted, settings):
            return None
        needed, each = needed_controls(planted, settings)
        return Overlooked(quality.caught, quality.controls, needed, each)

    def _counting_for(self, reviewer: str) -> list[Label]:
        """Labels that spare this reviewer a row: not what others call fine who overlook too much."""
        labels = self.store.labels()
        planted = {x.row_id for x in labels if self.queue.is_planted(x.row_id)}
        found = reviewer_qualities(
            opinions(self.store.counting()), self.queue.control_categories, self.queue.known_good
        )
        blind = overlooking(found, len(self.queue.control_categories), self.queue.settings)
        others = [quality for quality in blind if person(quality.reviewer) != person(reviewer)]
        return without_fine_marks(labels, others, planted)

    def progress(self, reviewer: str) -> ReviewProgress:
        """Where the reviewer and the review stand now."""
        decision = self.decision()
        events = self.store.history()
        labels = self._counting_for(reviewer)
        mine = [label for label in labels if label.reviewer == reviewer]
        times = [label.seconds for label in mine if label.seconds is not None]
        median = statistics.median(times) if times else None
        rows = decision.plan.rows_to_go if decision.status is Status.UNDECIDED else None
        cards = None if rows is None else self.queue.cards_until(rows, reviewer, labels) or None
        return ReviewProgress(
            decision=decision,
            labelled=len(mine),
            skipped=sum(label.mark == "skip" for label in mine),
            cards_to_go=cards,
            minutes_to_go=None if cards is None or median is None else cards * median / 60,
            median_seconds=median,
            sitting=sitting(events, reviewer),
            others=tuple(dict.fromkeys(x.reviewer for x in labels if x.reviewer != reviewer)),
        )

    def leave(self, reviewer: str) -> None:
        """Give the reviewer's reserved rows to the others."""
        self._leases.release(reviewer)

    def close(self) -> None:
        """Close the files; every label is on disk already."""
        self._leases.close()
        self.store.close()

    def _claim(self, card: Card, reviewer: str, labels: Sequence[Label]) -> bool:
        shared = card.stream in ("control", "double") or any(x.row_id == card.row.id for x in labels)
        return self._leases.claim(card.row.id, reviewer, card.stream, shared=shared)
