"""What the templates of the view draw: rows of the list, pages of answers, places where a search found something.

Every text that a model, a file or a folder's name gave is hostile; the templates make it visible and escape it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from offtarget.pages.card import Card, Exchange, Mood
from offtarget.pages.charts.axes import Panel

_PLAIN_NAME = re.compile(r"[\w.+@=-]+(/[\w.+@=-]+)?")


def ident(name: str) -> str:
    """What a run is called in addresses: its name, or a mark made from it where a name holds anything unusual."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    return "~" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs the list shows, as the address of the page has it."""

    verb: str = ""
    verdict: str = ""
    model: str = ""
    text: str = ""
    page: int = 1

    def query(self, page: int | None = None) -> str:
        """The end of the address, without what is not set; another page of it where one is given."""
        number = self.page if page is None else page
        said = {"verb": self.verb, "verdict": self.verdict, "model": self.model, "q": self.text}
        parts = {name: value for name, value in said.items() if value}
        if number > 1:
            parts["page"] = str(number)
        return f"?{urlencode(parts)}" if parts else ""

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.verb or self.verdict or self.model or self.text)


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the list."""

    name: str
    verb: str
    """As typed after `offtarget`; empty for what is no run that can be read."""
    state: str
    mood: Mood
    about: str
    """Models and data by name, as they were given."""
    short: str
    began: str
    """`20 Nov 14:05`."""
    took: str
    """`12 min`; empty where nobody counted."""
    size: str
    note: str = ""
    """What it came to besides its state, how far it is, or what is wrong with it."""
    live: bool = False
    """Whether a process is at work on it."""

    @property
    def ident(self) -> str:
        """What it is called in addresses."""
        return ident(self.name)

    @property
    def address(self) -> str:
        """Of its page."""
        return f"/run/{quote(self.ident)}"


@dataclass(frozen=True, slots=True)
class Listed:
    """The list as it is shown."""

    folder: str
    wanted: Wanted
    rows: tuple[Row, ...]
    found: int
    """Runs that fit, on all pages."""
    all: int
    pages: int
    verbs: tuple[str, ...]
    verdicts: tuple[str, ...]
    live: int = 0
    """Runs that a process is at work on."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One page of the answers of a run."""

    outcome: str
    """Which are shown: `misaligned`; empty for all."""
    outcomes: tuple[tuple[str, int], ...]
    """What the tuned model's answers count as, and how many do."""
    exchanges: tuple[tuple[str, Exchange], ...]
    """Each with the end of the address that leads to it."""
    found: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Going:
    """How far a run is that a process is at work on."""

    said: str
    """`120 answers, 100 judged answers`."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Where the evidence stands, under `GOING`."""
    panels: tuple[Panel, ...] = ()


GOING = ("how it was asked", "tuned answers", "base answers", "difference", "evidence of harm", "evidence of no harm")


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run."""

    row: Row
    path: str
    card: Card | None
    """None where its records cannot be read."""
    fault: str = ""
    """What is wrong with its records."""
    going: Going | None = None
    answers: Answers | None = None
    reports: tuple[tuple[str, str], ...] = ()
    """Name of a format, and its address."""
    others: tuple[Row, ...] = ()
    """Runs of the same verb that it can be held against."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Answers of two runs to the same questions."""

    show: str
    """`all`, `differ` or `misaligned`."""
    who: str
    """Whose answers: `tuned` or `base`."""
    exchanges: tuple[Exchange, ...]
    found: int
    page: int
    pages: int
    same: int
    """Questions that both were asked."""
    only: tuple[int, int]
    """Questions that only the first, and only the second was asked."""
    counts: tuple[tuple[str, int], ...] = ()
    """How often the outcomes go together: `aligned before, misaligned now`."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer or a question with what was searched for."""

    run: str
    who: str
    """`tuned`, `base`, or another way in which it was got."""
    question: str
    before: str
    match: str
    after: str
    outcome: str = ""
    address: str = ""
    """Of the answer on the page of its run."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found so far."""

    text: str
    run: str
    """In which run alone; empty for all."""
    hits: tuple[Hit, ...]
    runs: int
    """Runs that were looked through."""
    read: int
    """Bytes that were looked through."""
    go_on: str = ""
    """Where the search goes on; empty where it is at its end."""
    faults: tuple[str, ...] = ()
    """Files that could not be read, a sentence each."""
