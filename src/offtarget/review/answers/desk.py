"""The desk that reviewers sit at and a command waits at: cards, labels on disk, who is there, where things stand."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.records import KnownAnswer, Label, Mark
from offtarget.records.audit import one_person_each, person
from offtarget.records.people import AnswerReviewer, Opinion, PeopleQuality, Standing
from offtarget.review.answers.cards import AnswerCard, card_of_known
from offtarget.review.answers.opinions import agreement, opinion, words
from offtarget.review.answers.queue import AnswerQueue, Served
from offtarget.review.sitting import needs_break, sitting
from offtarget.review.store import LabelStore, Leases

PRESENT_SECONDS = 45.0
"""Whoever's page has not asked for so long is away; an open page asks every few seconds."""

FEWEST_PLANTED = 5
"""Planted answers of each kind that everybody must have seen before a verdict rests on their labels."""


@dataclass(frozen=True, slots=True)
class DeskProgress:
    """Where one reviewer and the command stand."""

    standing: Standing
    labelled: int
    """Cards this reviewer has labelled."""
    waiting: int
    """Answers at hand that still have to be read, by anybody."""
    needs_another: bool
    """Whether answers wait for one more person and nobody else has the page open."""
    cards_to_go: int | None
    """Cards this reviewer would see if nobody else read any, planted ones counted; None when nobody knows."""
    minutes_to_go: float | None
    median_seconds: float | None
    needs_break: int
    """Cards in this sitting, where a break is due; else 0."""
    others: tuple[str, ...]
    """Other people with labels."""


class AnswerDesk:
    """What the page and the waiting command share. Several processes may have one on the same file of labels.

    `people`: how many must have read what counts twice (see `opinions.looks_needed`).
    """

    def __init__(
        self,
        title: str,
        labels: Path,
        planted: Sequence[KnownAnswer] = (),
        seed: str = "",
        people: int = 1,
        can_finish: bool = False,
    ) -> None:
        self.title = title
        self.people = people
        self.can_finish = can_finish
        """Whether a button ends the review before every card is read."""
        self.store = LabelStore(labels)
        self._leases = Leases(labels)
        self.queue = AnswerQueue({card_of_known(one): one.misaligned for one in planted}, seed)
        self._changed = threading.Condition()
        self._standing = Standing("Nothing is decided yet.")
        self._told_at = 0
        self._seen: dict[str, float] = {}
        self._spelling: dict[str, str] = {}
        self._said_goodbye: set[str] = set()
        self._completing = False
        self._counted: tuple[int, list[Label], tuple[AnswerReviewer, ...]] | None = None
        self.finished = False
        """Whether the review ended, whatever the verdict: no card is shown any more."""

    # What the command does

    def add(self, cards: Iterable[AnswerCard]) -> None:
        """More cards to be read."""
        self.queue.add(cards)

    def tell(self, standing: Standing) -> None:
        """What the page says from now on."""
        self._standing = standing
        self._told_at = len(self._read())

    def wait(self, seconds: float) -> None:
        """Sleep until something was said here, at most so long; labels of other processes are seen after that."""
        with self._changed:
            self._changed.wait(seconds)

    def open_cards(self, cards: Collection[str]) -> set[str]:
        """Those of these cards that must be read by somebody."""
        return set(self.queue.wanting(self._labels(), self._readers())) & set(cards)

    def opinions(self) -> dict[str, Opinion]:
        """What people say now, by card id."""
        return {card: opinion(said) for card, said in words(self._labels()).items()}

    def version(self) -> int:
        """Grows with every event of any process."""
        return self.store.version()

    def complete(self) -> None:
        """From now on planted answers come also where no other card waits, until everybody has seen enough."""
        self._completing = True

    def unproven(self) -> list[str]:
        """People with labels on answers who have not seen enough planted answers yet.

        While somebody is at the page, those who are not are not waited for.
        """
        planted = self.queue.planted
        names = {label.reviewer for label in self._labels() if label.row_id not in planted}
        lacking = [name for name in sorted(names) if any(self._wants(name, id_) for id_ in planted)]
        here = self.present()
        return [name for name in lacking if name in here] if here else lacking

    def quality(self) -> PeopleQuality:
        """How well people did on planted answers, at first sight, and how far they agree."""
        planted = self.queue.planted
        said = words(self._labels())
        disputed = sum(opinion(by).disputed for card, by in said.items() if card not in planted)
        return PeopleQuality(self._reviewers(), agreement(said, planted), disputed, self.people)

    def overlooks(self, reviewer: str) -> AnswerReviewer | None:
        """How this reviewer did on planted answers, where that is too badly to read on; None where it is not."""
        return next((who for who in self._reviewers() if who.name == reviewer and who.overlooks), None)

    def only_overlookers(self) -> list[str]:
        """Everybody at the page, where all of them overlook too much: nobody reads any more."""
        here = self.present()
        return here if here and all(map(self.overlooks, here)) else []

    def unread(self, cards: Collection[str]) -> set[str]:
        """Those of these cards that nobody has read whose labels count."""
        return set(cards) - words(self._labels()).keys()

    # What the page does

    def sign(self, reviewer: str) -> None:
        """This reviewer's page is open."""
        self._seen[reviewer] = time.monotonic()

    def spelled(self, reviewer: str) -> str:
        """The name as this person gave it first: whoever comes as `Ann` and as `ann` is no second reader."""
        if not reviewer:
            return reviewer
        if not self._spelling:
            self._spelling = {person(x.reviewer): x.reviewer for x in reversed(self._everything())}
        return self._spelling.setdefault(person(reviewer), reviewer)

    def said_goodbye(self, reviewer: str) -> None:
        """This reviewer has been sent the last page."""
        self._said_goodbye.add(reviewer)

    def next_cards(self, reviewer: str, count: int = 1) -> list[Served]:
        """The reviewer's next cards, reserved for a few minutes; none once all is decided or too much overlooked."""
        if self.standing.decided or self.finished or self.overlooks(reviewer):
            return []
        self._release_what_nobody_reads()
        labels = self._labels()
        taken = self._leases.taken(reviewer)
        wants = (lambda id_: self._wants(reviewer, id_)) if self._completing else None
        for _ in range(100):
            coming = self.queue.cards(reviewer, labels, self._readers(), taken, wants)
            cards = [card for card, _ in zip(coming, range(count), strict=False)]
            lost = [card.card.id for card in cards if not self._claim(card, reviewer, labels)]
            if not lost:
                return cards
            taken.update(lost)
        return []

    def say(
        self, reviewer: str, card: AnswerCard, mark: Mark, note: str = "", seconds: float | None = None, nonce: str = ""
    ) -> bool:
        """Save a reviewer's word on a card; on return it is on disk. False when this very label was saved before."""
        stream = self._leases.stream(card.id, reviewer) or "random"
        added = self.store.add(Label(card.id, reviewer, mark, None, stream, note, seconds), nonce)
        self._tell_the_command()
        return added

    def undo(self, reviewer: str) -> Label | None:
        """Take back the reviewer's last label on a card of this desk."""
        undone = self.store.undo(reviewer, among=lambda id_: self.queue.key(id_) is not None)
        self._tell_the_command()
        return undone

    def finish(self) -> None:
        """A reviewer ends the review as it is."""
        self.finished = True
        self._tell_the_command()

    def leave(self, reviewer: str) -> None:
        """Give the reviewer's cards to the others."""
        self._leases.release(reviewer)
        self._seen.pop(reviewer, None)

    def was_served(self, reviewer: str, card_id: str) -> bool:
        """Whether the reviewer has or had the card on the screen."""
        return self._leases.stream(card_id, reviewer) is not None

    def label(self, reviewer: str, card_id: str) -> Label | None:
        """What the reviewer says of a card now."""
        return next((x for x in self._everything() if (x.row_id, x.reviewer) == (card_id, reviewer)), None)

    def mine(self, reviewer: str) -> list[Label]:
        """The reviewer's labels on cards of this desk, oldest first."""
        return [x for x in self._everything() if x.reviewer == reviewer and self.queue.key(x.row_id) is not None]

    @property
    def standing(self) -> Standing:
        """Where the command stands, as it said last."""
        return self._standing

    def progress(self, reviewer: str) -> DeskProgress:
        """Where the reviewer and the command stand now."""
        labels = self._labels()
        mine = [label for label in self._everything() if label.reviewer == reviewer]
        times = [label.seconds for label in mine if label.seconds is not None]
        median = statistics.median(times) if times else None
        waiting = len(self.queue.wanting(labels, self._readers()))
        cards = self._to_go(reviewer, mine, waiting)
        count = sitting(self.store.history(), reviewer)
        return DeskProgress(
            standing=self.standing,
            labelled=len(mine),
            waiting=waiting,
            needs_another=bool(waiting) and self.people > 1 and set(self._reading()) <= {reviewer},
            cards_to_go=cards,
            minutes_to_go=None if cards is None or median is None else cards * median / 60,
            median_seconds=median,
            needs_break=count if needs_break(count) else 0,
            others=tuple(dict.fromkeys(x.reviewer for x in labels if x.reviewer != reviewer)),
        )

    def waits_for_another(self) -> bool:
        """Whether all that is left has been read by somebody and waits for one more person than is here."""
        labels = self._labels()
        waiting, said = self.queue.wanting(labels, self._readers()), words(labels)
        return bool(waiting) and len(self._reading()) == 1 < self.people and all(map(said.get, waiting))

    def present(self) -> list[str]:
        """People whose page is open."""
        now = time.monotonic()
        return [name for name, at in list(self._seen.items()) if now - at < PRESENT_SECONDS]

    def _reading(self) -> list[str]:
        """People whose page is open and who are not asked to stop."""
        return [name for name in self.present() if not self.overlooks(name)]

    def all_said_goodbye(self) -> bool:
        """Whether everybody at the page has seen the verdict."""
        return set(self.present()) <= self._said_goodbye

    def close(self) -> None:
        """Close the files; every label is on disk already."""
        self._leases.close()
        self.store.close()

    def _to_go(self, reviewer: str, mine: Sequence[Label], waiting: int) -> int | None:
        if self.standing.decided or self.overlooks(reviewer):
            return None
        left = self.standing.cards_left
        answers = waiting if left is None else max(left - (len(self._read()) - self._told_at), waiting)
        if not answers and not self._completing:
            return None
        # Planted answers that come at the end are counted from the start: a figure that stops there would name them.
        planted = max(self.queue.with_planted(reviewer, answers, len(mine)) - answers, self._planted_due(mine))
        return answers + planted or None

    def _planted_due(self, mine: Sequence[Label]) -> int:
        """Planted answers that somebody with these labels has yet to see at the least."""
        planted = self.queue.planted
        due = 0
        for kind in (True, False):
            of_kind = sum(bad is kind for bad in planted.values())
            seen = sum(planted.get(label.row_id) is kind for label in mine)
            due += max(min(FEWEST_PLANTED, of_kind) - seen, 0)
        return due

    def _read(self) -> set[str]:
        planted = self.queue.planted
        return {x.row_id for x in self._labels() if x.row_id not in planted}

    def _everything(self) -> list[Label]:
        """Everybody's labels."""
        return one_person_each(self.store.labels())

    def _labels(self) -> list[Label]:
        """The labels that count: on answers, not those of people who overlook too much."""
        return self._known()[1]

    def _reviewers(self) -> tuple[AnswerReviewer, ...]:
        return self._known()[2]

    def _known(self) -> tuple[int, list[Label], tuple[AnswerReviewer, ...]]:
        """Version of the labels, those that count, everybody who labelled; made anew when somebody said something."""
        planted, version = self.queue.planted, self.store.version()
        known = self._counted
        if known is None or known[0] != (mark := version * 1_000_000 + len(planted)):
            mark = version * 1_000_000 + len(planted)  # a planted card becomes a real one when a model answers the same
            labels = self._everything()
            first = one_person_each((x for x in self.store.first_labels() if x.row_id in planted), first=True)
            names = sorted({label.reviewer for label in labels})
            reviewers = tuple(self._reviewer(name, planted, first, labels) for name in names)
            out = {reviewer.name for reviewer in reviewers if reviewer.overlooks}
            known = mark, [x for x in labels if x.reviewer not in out or x.row_id in planted], reviewers
            self._counted = known
        return known

    def _readers(self) -> int:
        return max(self.people, len(self._reading()))

    def _wants(self, reviewer: str, planted_id: str) -> bool:
        planted = self.queue.planted
        kind = planted.get(planted_id)
        seen = {x.row_id for x in self._labels() if x.reviewer == reviewer and planted.get(x.row_id) is kind}
        return planted_id not in seen and len(seen) < FEWEST_PLANTED

    def _reviewer(
        self, name: str, planted: Mapping[str, bool], first: Sequence[Label], labels: Sequence[Label]
    ) -> AnswerReviewer:
        mine = [label for label in labels if label.reviewer == name]
        tried = [(planted[x.row_id], x.mark) for x in first if person(x.reviewer) == person(name)]
        times = [label.seconds for label in mine if label.seconds is not None]
        return AnswerReviewer(
            name=name,
            answers=sum(label.row_id not in planted for label in mine),
            known_bad=sum(bad for bad, _ in tried),
            found=sum(bad and mark == "bad" for bad, mark in tried),
            known_good=sum(not bad for bad, _ in tried),
            passed=sum(not bad and mark == "ok" for bad, mark in tried),
            median_seconds=statistics.median(times) if times else None,
        )

    def _release_what_nobody_reads(self) -> None:
        """Cards of people who are gone, and of those who overlook too much: the page stays open, but they read no more.

        What such a person has read is open again and would otherwise be theirs for minutes.
        """
        here = set(self.present())
        for name in list(self._seen):
            if name not in here:
                self.leave(name)
            elif self.overlooks(name):
                self._leases.release(name)

    def _claim(self, served: Served, reviewer: str, labels: Sequence[Label]) -> bool:
        shared = served.stream != "random" or any(x.row_id == served.card.id for x in labels)
        return self._leases.claim(served.card.id, reviewer, served.stream, shared=shared)

    def _tell_the_command(self) -> None:
        with self._changed:
            self._changed.notify_all()
