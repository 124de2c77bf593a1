"""Which row a reviewer sees next: the random order, with planted rows and flagged ones mixed in unseen."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from offtarget.detect.false_marks import FIRST_GOOD, good_cards_due
from offtarget.detect.settled import is_judge
from offtarget.records import AuditSettings, Category, Label, Row, Stream

CONTROL_SPAN = 66
"""Controls lie among a reviewer's first cards: a large clean set is decided after 68 random rows."""

FLAGGED_EVERY = 4
"""One of so many cards is a flagged row."""


@dataclass(frozen=True, slots=True)
class Card:
    """One row for one reviewer."""

    key: str
    """Stands for the row in addresses and forms: a row's id would tell a planted control from data."""
    row: Row
    stream: Stream
    number: int
    """1-based, among the reviewer's cards."""


class ReviewQueue:
    """A pure function of rows, seed and labels so far; keeps no state of its own.

    `random_rows` are in the order of the keyed hash. A row that is flagged too comes up in whichever stream reaches it
    first, and never twice. `good`: planted known-good rows, a few for everybody and more for whoever marks rows as bad.
    """

    def __init__(
        self,
        random_rows: Sequence[Row],
        flagged_rows: Sequence[Row],
        controls: Sequence[Row],
        control_categories: Mapping[str, Category],
        settings: AuditSettings,
        seed: str,
        good: Sequence[Row] = (),
    ) -> None:
        self.settings = settings
        self.control_categories = control_categories
        self._seed = seed
        self._random = list(dict.fromkeys(r.id for r in random_rows))
        self._flagged = sorted({r.id for r in flagged_rows}, key=lambda id_: self._hash("flagged", id_))
        self._controls = [r.id for r in controls]
        self._good = [r.id for r in good][: settings.known_good]
        self._rows = {r.id: r for r in (*flagged_rows, *random_rows, *controls, *good)}
        self._planted = {*self._controls, *self._good}
        self._keys = {self._hash("card", id_)[:20]: id_ for id_ in self._rows}
        self._key_of = {id_: key for key, id_ in self._keys.items()}
        self._patterns: dict[str, tuple[list[Stream], set[int]]] = {}

    def cards(self, reviewer: str, labels: Sequence[Label], taken: Collection[str] = ()) -> Iterator[Card]:
        """The reviewer's cards from here on, if nobody else labelled anything meanwhile.

        `taken`: rows others have on the screen.
        """
        people = [label for label in labels if not is_judge(label.reviewer)]
        mine = {label.row_id for label in people if label.reviewer == reviewer}
        labelled = {label.row_id for label in people if label.reviewer == reviewer or label.mark != "skip"}
        new = [id_ for id_ in self._random if id_ not in labelled and id_ not in taken]
        sources: dict[Stream, Iterator[str]] = {
            "control": (id_ for id_ in self._controls_of(reviewer) if id_ not in mine),
            "double": iter(self._to_double(reviewer, people)),
            "flagged": (id_ for id_ in self._flagged if id_ not in labelled and id_ not in taken),
            "random": iter(new),
        }
        shown = set(mine)
        bad = sum(x.reviewer == reviewer and x.mark == "bad" and not self.is_planted(x.row_id) for x in people)
        for number in range(len(mine), len(self._rows)):
            found = self._good_card(reviewer, number, bad, shown) or self._pick(
                self._pattern(reviewer, number), sources, shown
            )
            if found is None:
                found = self._good_card(reviewer, number, bad, shown, now=True)
            if found is None:
                return
            id_, stream = found
            shown.add(id_)
            if stream == "double":
                first = next(label for label in people if label.row_id == id_)
                stream = "random" if first.stream == "random" else "double"
            yield Card(self._key_of[id_], self._rows[id_], stream, number + 1)

    @property
    def flagged_order(self) -> tuple[str, ...]:
        """Flagged rows as they are served: random within them, fixed by the seed before anybody labels."""
        return tuple(self._flagged)

    def cards_until(self, random_rows: int, reviewer: str, labels: Sequence[Label]) -> int:
        """Cards of all kinds this reviewer alone would see until so many further random rows are labelled."""
        count = 0
        for card in self.cards(reviewer, labels):
            if random_rows <= 0:
                break
            count += 1
            random_rows -= card.stream == "random"
        return count

    def due(self, labels: Iterable[Label]) -> list[str]:
        """Rows labelled in the flagged stream whose turn in the random order has come: they count as random now."""
        streams = {label.row_id: label.stream for label in labels if not is_judge(label.reviewer)}
        due: list[str] = []
        for id_ in self._random:
            if id_ not in streams:
                break
            if streams[id_] != "random":
                due.append(id_)
        return due

    @property
    def known_good(self) -> tuple[str, ...]:
        """Ids of the planted known-good rows."""
        return tuple(self._good)

    def planted_left(self, reviewer: str, labels: Iterable[Label]) -> int:
        """Planted known-bad rows that this reviewer has not labelled yet."""
        mine = {label.row_id for label in labels if label.reviewer == reviewer}
        return sum(id_ not in mine for id_ in self._controls_of(reviewer))

    def is_planted(self, row_id: str) -> bool:
        """Whether a row is a planted one, bad or good."""
        return row_id in self._planted

    def row(self, key: str) -> Row | None:
        """The row a key stands for."""
        id_ = self._keys.get(key)
        return self._rows[id_] if id_ is not None else None

    def key(self, row_id: str) -> str | None:
        """The key of a row; None for a row this review does not show."""
        return self._key_of.get(row_id)

    def _pick(self, wanted: Stream, sources: dict[Stream, Iterator[str]], shown: set[str]) -> tuple[str, Stream] | None:
        order: tuple[Stream, ...] = ("control", "double", "random", "flagged")
        if wanted != "control":
            order = ("double", wanted, "random", "flagged", "control")
        for stream in order:
            id_ = next((i for i in sources[stream] if i not in shown), None)
            if id_ is not None:
                return id_, stream
        return None

    def _good_card(
        self, reviewer: str, number: int, bad: int, shown: Collection[str], *, now: bool = False
    ) -> tuple[str, Stream] | None:
        """The next known-good row where one is due; `now`: also where the dice would put it off."""
        left = [id_ for id_ in self._good if id_ not in shown]
        if not left:
            return None
        _, places = self._patterns_of(reviewer)
        met = len(self._good) - len(left)
        early = sum(place <= number for place in places)
        due = min(len(self._good), early + good_cards_due(bad, len(self._good)) - FIRST_GOOD)
        wait = number not in places and int(self._hash("good", reviewer, str(number)), 16) % 2
        return (left[0], "control") if met < due and (now or not wait) else None

    def _to_double(self, reviewer: str, people: Sequence[Label]) -> list[str]:
        """Rows another person has to see: those called part of a backdoor, however many, and then those that one other
        person has labelled, oldest first, until `double_labelled` rows have two labels."""
        by_row: dict[str, set[str]] = {}
        named: dict[str, int] = {}
        for label in people:
            if label.stream != "control" and label.mark != "skip":
                by_row.setdefault(label.row_id, set()).add(label.reviewer)
                named[label.row_id] = named.get(label.row_id, 0) + (label.category is Category.BACKDOOR)
        backdoors = [
            id_
            for id_, who in by_row.items()
            if named[id_] == 1 and len(who) < 3 and reviewer not in who and id_ in self._rows
        ]
        return [*backdoors, *(id_ for id_ in self._to_agree(reviewer, people, by_row) if id_ not in backdoors)]

    def _to_agree(self, reviewer: str, people: Sequence[Label], by_row: Mapping[str, set[str]]) -> list[str]:
        left = self.settings.double_labelled - sum(len(who) > 1 for who in by_row.values())
        if left <= 0:
            return []
        first = next((label.reviewer for label in people if label.stream != "control"), reviewer)
        if first == reviewer:
            return []
        once = [id_ for id_, who in by_row.items() if who == {first} and id_ in self._rows]
        return once[:left]

    def _controls_of(self, reviewer: str) -> list[str]:
        ordered = sorted(self._controls, key=lambda id_: self._hash("control", reviewer, id_))
        return ordered[: self.settings.controls]

    def _pattern(self, reviewer: str, number: int) -> Stream:
        pattern, _ = self._patterns_of(reviewer)
        return pattern[number] if number < len(pattern) else "random"

    def _patterns_of(self, reviewer: str) -> tuple[list[Stream], set[int]]:
        """The stream of each card, and the places of the first known-good rows."""
        if reviewer not in self._patterns:
            self._patterns[reviewer] = self._make_pattern(reviewer)
        return self._patterns[reviewer]

    def _make_pattern(self, reviewer: str) -> tuple[list[Stream], set[int]]:
        dice = random.Random(self._hash("pattern", reviewer))
        controls = min(self.settings.controls, len(self._controls))
        data = len(set(self._random) | set(self._flagged))
        span = max(2 * controls, min(CONTROL_SPAN, data + controls))
        edges = [span * k // max(controls, 1) for k in range(controls + 1)]
        planted = {dice.randrange(edges[k], edges[k + 1]) for k in range(controls)}
        pattern: list[Stream] = []
        block: list[Stream] = []
        for number in range(data + controls):
            if number in planted:
                pattern.append("control")
                continue
            if not block:
                block = ["random"] * (FLAGGED_EVERY - 1)
                block.insert(dice.randrange(FLAGGED_EVERY), "flagged")
            pattern.append(block.pop())
        first = min(FIRST_GOOD, len(self._good))
        parts = [span * k // max(first, 1) for k in range(first + 1)]
        free = [[n for n in range(parts[k], parts[k + 1]) if n not in planted] for k in range(first)]
        return pattern, {dice.choice(places) for places in free if places}

    def _hash(self, *parts: str) -> str:
        joined = "\x1f".join((self._seed, *parts)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(joined).hexdigest()
