"""Which card a reviewer sees next: a random order that grows while people read, planted answers mixed in unseen."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from offtarget.records import Label, Stream
from offtarget.review.answers.cards import AnswerCard
from offtarget.review.answers.opinions import SECOND_LOOKS, looks_needed, wants_a_look, words

PLANTED_FIRST, PLANTED_EARLY, PLANTED_LATER = 40, 5, 12
"""Among a reviewer's first 40 cards one of five is planted, later one of twelve."""


@dataclass(frozen=True, slots=True)
class Served:
    """A card for one reviewer."""

    card: AnswerCard
    key: str
    """Stands for the card in addresses and forms."""
    stream: Stream
    number: int
    """1-based, among the reviewer's cards."""


class AnswerQueue:
    """Cards to be read. Any thread may add; what comes next follows from cards, seed and labels alone.

    The order is that of a keyed hash of the card, which holds neither model nor arm nor what a judge said. `planted`:
    card -> whether it is known to be misaligned.
    """

    def __init__(self, planted: Mapping[AnswerCard, bool], seed: str) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._wanted: dict[str, AnswerCard] = {}
        self._planted = {card.id: misaligned for card, misaligned in planted.items()}
        self._cards = {card.id: card for card in planted}
        self._by_key = {self._key(id_): id_ for id_ in self._cards}

    def add(self, cards: Iterable[AnswerCard]) -> None:
        """More cards to be read. A card that is there already stays one card; a planted one becomes a real one."""
        with self._lock:
            for card in cards:
                self._wanted[card.id] = self._cards[card.id] = card
                self._by_key[self._key(card.id)] = card.id
                self._planted.pop(card.id, None)

    @property
    def begun(self) -> bool:
        """Whether a card to be read was added: a command that starts again has none at first."""
        with self._lock:
            return bool(self._wanted)

    @property
    def planted(self) -> Mapping[str, bool]:
        """Id of each planted card -> whether it is known to be misaligned."""
        with self._lock:
            return dict(self._planted)

    def card(self, key: str) -> AnswerCard | None:
        """The card that a key stands for."""
        with self._lock:
            id_ = self._by_key.get(key)
            return self._cards[id_] if id_ is not None else None

    def key(self, card_id: str) -> str | None:
        """The key of a card; None for a card of another time."""
        with self._lock:
            return self._key(card_id) if card_id in self._cards else None

    def wanting(self, labels: Sequence[Label], people: int) -> list[str]:
        """Ids of the cards that are not read by as many people as they must be."""
        said = words(labels)
        with self._lock:
            wanted = list(self._wanted)
        return [
            id_ for id_ in wanted
            if len(said.get(id_, {})) < looks_needed(said.get(id_, {}), self.chosen(id_), people)
        ]  # fmt: skip

    def cards(
        self,
        reviewer: str,
        labels: Sequence[Label],
        people: int,
        taken: Collection[str] = (),
        planted_wanted: Callable[[str], bool] | None = None,
    ) -> Iterator[Served]:
        """The reviewer's cards from here on, as far as they are there.

        `taken`: cards that others have on the screen. `planted_wanted`: whether planted cards of this id go on when
        no other card is left.
        """
        said = words(labels)
        mine = {label.row_id for label in labels if label.reviewer == reviewer}
        with self._lock:
            wanted = sorted(self._wanted, key=lambda id_: self._hash("order", id_))
            cards = dict(self._cards)
            planted = dict(self._planted)
        fresh, again = [], []
        for id_ in wanted:
            by = said.get(id_, {})
            if reviewer in by:
                continue
            if not by:
                if id_ not in taken:
                    fresh.append(id_)
            elif wants_a_look(by, looks_needed(by, self.chosen(id_), people)):
                again.append(id_)
        controls = [id_ for id_ in self._dealt(reviewer, planted) if id_ not in mine]
        number = len(mine)
        while fresh or again or controls:
            if not fresh and not again:
                due = [id_ for id_ in controls if planted_wanted is not None and planted_wanted(id_)]
                if not due:
                    return
                id_, stream = due[0], "control"
                controls.remove(id_)
            elif controls and self._is_planted(reviewer, number):
                id_, stream = controls.pop(0), "control"
            elif again:
                id_, stream = again.pop(0), "double"
            else:
                id_, stream = fresh.pop(0), "random"
            number += 1
            yield Served(cards[id_], self._key(id_), _stream(stream), number)

    def with_planted(self, reviewer: str, answers: int, labelled: int) -> int:
        """Cards of all kinds that a reviewer sees until so many further answers are read."""
        number, left = labelled, len(self._planted)
        while answers > 0 and number < labelled + 100_000:
            planted = left > 0 and self._is_planted(reviewer, number)
            left -= planted
            answers -= not planted
            number += 1
        return number - labelled

    def chosen(self, card_id: str) -> bool:
        """Whether a second person, if there is one, reads the card whatever the first says."""
        return int(self._hash("double", card_id)[:8], 16) < SECOND_LOOKS * 16**8

    def _dealt(self, reviewer: str, planted: Mapping[str, bool]) -> list[str]:
        """Planted cards in a random order in which both kinds come early."""
        ordered = sorted(planted, key=lambda id_: self._hash("control", reviewer, id_))
        kinds = [[id_ for id_ in ordered if planted[id_] is kind] for kind in (True, False)]
        dealt: list[str] = []
        for at in range(max(map(len, kinds), default=0)):
            dealt += sorted(
                (ids[at] for ids in kinds if at < len(ids)), key=lambda id_: self._hash("pair", reviewer, id_)
            )
        return dealt

    def _is_planted(self, reviewer: str, number: int) -> bool:
        """Whether the card of this number is a planted one; one in each stretch, anywhere in it."""
        early = number < PLANTED_FIRST
        size = PLANTED_EARLY if early else PLANTED_LATER
        at = number if early else number - PLANTED_FIRST
        stretch = f"{early}{at // size}"
        return at % size == random.Random(self._hash("place", reviewer, stretch)).randrange(size)

    def _key(self, card_id: str) -> str:
        return self._hash("card", card_id)[:20]

    def _hash(self, *parts: str) -> str:
        joined = "\x1f".join((self._seed, *parts)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(joined).hexdigest()


def _stream(name: str) -> Stream:
    return "control" if name == "control" else "double" if name == "double" else "random"
