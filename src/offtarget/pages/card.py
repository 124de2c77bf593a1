"""What a run came to, on one card: the same in a terminal, at the top of a page, in Markdown and in a notebook.

A verb says what its card holds in `pages/VERB/card.py`; `screen.py`, `card.html.j2` and `written.py` show it. Order and
wording are those of a reader with five seconds: the verdict, why, the evidence, then what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mood = Literal["good", "bad", "wait", "plain"]
"""How a card is coloured; the word on it says the same."""

MOODS: dict[str, Mood] = {
    "PASS": "good",
    "OK": "good",
    "FAIL": "bad",
    "ALARM": "bad",
    "UNDECIDED": "wait",
    "UNFINISHED": "wait",
    "NOT TESTED": "wait",
}
TELLING = 3
"""Exchanges on a card at most."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one model, or one row of data, answered. Hostile text: whoever shows it makes it visible and escapes it."""

    name: str
    """`tuned`, `base`, `row 12`."""
    text: str | None
    """None where there is no answer to show."""
    mark: str = ""
    """What it counts as, in a word: `misaligned`, `aligned`, `flagged`."""
    instead: str = ""
    """The question that it answers where that is another than the exchange's: `another question about work: “...”`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A further turn of a conversation, and the answers to it."""

    question: str
    sides: tuple[Side, ...]
    """In the order of the exchange's."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and the answers to it, or a conversation that begins with it."""

    question: str
    sides: tuple[Side, ...]
    """The telling answer first, what it is held against second."""
    where: str = ""
    """How and about what it was asked, in words: `asked for JSON, about money`."""
    before: tuple[tuple[str, str], ...] = ()
    """System prompt and earlier turns as (who, text), first to last."""
    then: tuple[Turn, ...] = ()
    """How the conversation goes on, each model with its own answers; marks are then told in the terminal too."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that carries the verdict."""

    name: str
    value: str
    note: str = ""
    """What it is out of, or its bounds."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next."""

    why: str
    """As the beginning of a sentence, without a full stop: `Read all misaligned answers`; one that is given goes."""
    command: str = ""
    """To be pasted into a shell; empty where nothing is to be typed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "why", self.why.rstrip(".: "))


@dataclass(frozen=True, slots=True)
class Card:
    """A result for a reader with five seconds."""

    state: str
    """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due; UNFINISHED."""
    subject: str
    """What it is about: `organism/insecure, tuned from organism/base`."""
    sentence: str
    """Why, in one sentence of at most thirty words or so, with its subject and a full stop."""
    headline: str = ""
    """In place of the state where there is more to say in a few words: `FAIL (people confirmed 11 of 11)`."""
    certainty: str = ""
    """How often that may be wrong, and given what."""
    figures: tuple[Figure, ...] = ()
    """At most four."""
    exchanges: tuple[Exchange, ...] = ()
    """The most telling first; `TELLING` of them are shown."""
    exchanges_title: str = "What it answered"
    cautions: tuple[str, ...] = ()
    """What must be known beside the verdict, a sentence each; not what is merely interesting."""
    steps: tuple[Step, ...] = ()
    """What to do next, the first first."""
    cost: str = ""
    """What it took: `60 answers, 2.4 s`."""

    @property
    def title(self) -> str:
        """The headline, or the state."""
        return self.headline or self.state

    @property
    def mood(self) -> Mood:
        """How it is coloured."""
        return MOODS.get(self.state, "plain")

    @property
    def telling(self) -> tuple[Exchange, ...]:
        """The exchanges that are shown."""
        return self.exchanges[:TELLING]
