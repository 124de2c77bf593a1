"""What a detector is: the two Protocols behind `detectors/` and `dataset/`, which files there are, and how they run."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol, Self

from ahocorasick_rs import AhoCorasick, BytesAhoCorasick, Implementation

from offtarget.detect import dataset, detectors
from offtarget.detect.remembered import remembered
from offtarget.detect.row_batch import RowColumns
from offtarget.records import Category, DatasetFinding, Finding, Message, Row


class RowDetector(Protocol):
    """Looks at one row. Made once per process, so what is costly to build belongs into the constructor."""

    name: str
    """Unique, e.g. `insecure-code`."""
    title: str
    """What it looks for, in a few words for reports."""
    category: Category
    """The category of its findings."""
    cues: frozenset[str] | None
    """Lower-case literals. `find` is called only for rows with one of them in a message; None: for every row.

    All detectors' cues are sought in one pass over the text, so a hundred more cost nothing and a detector that
    names them may afford slow patterns in `find`.
    """

    def find(self, row: Row) -> Iterable[Finding]:
        """Findings in one row; must not raise on any text."""
        ...


class DatasetDetector(Protocol):
    """Sees every row once, in pieces that are merged; must stay small on ten million rows."""

    name: str
    title: str
    category: Category

    def add(self, row: Row) -> None:
        """Take one row into account."""
        ...

    def take(self, rows: RowColumns) -> None:
        """Take many rows into account by what is kept of them, as `add` would each of them."""
        ...

    def merge(self, other: Self) -> None:
        """Take in what another one of the same kind saw; pieces come in the order of the data."""
        ...

    def findings(self) -> list[DatasetFinding]:
        """What the whole data set shows."""
        ...

    def row_findings(self) -> Iterable[Finding]:
        """Findings on single rows that only the whole data set reveals (e.g. duplicates)."""
        ...


class Described(NamedTuple):
    """What a detector is called."""

    name: str
    title: str
    category: Category


def described(detector: RowDetector | DatasetDetector) -> Described:
    """What a detector is called, apart from all that it holds."""
    return Described(detector.name, detector.title, detector.category)


def row_detectors() -> list[RowDetector]:
    """One new instance of every row detector, by name."""
    return sorted((make() for make in _makers(detectors)), key=lambda d: str(d.name))


def dataset_detectors() -> list[DatasetDetector]:
    """One new instance of every dataset detector, by name."""
    return sorted((make() for make in _makers(dataset)), key=lambda d: str(d.name))


@functools.cache
def _makers(package: ModuleType) -> tuple[Callable[[], Any], ...]:
    found: list[Callable[[], Any]] = []
    for info in pkgutil.iter_modules(package.__path__):
        found.extend(getattr(importlib.import_module(f"{package.__name__}.{info.name}"), "DETECTORS", ()))
    return tuple(found)


class RowScanner:
    """Runs row detectors over rows; built once per process."""

    def __init__(self, detectors: Sequence[RowDetector]) -> None:
        self.detectors = tuple(detectors)
        self._always = 0
        calls: dict[str, int] = {}
        for number, detector in enumerate(self.detectors):
            if detector.cues is None:
                self._always |= 1 << number
            for cue in detector.cues or ():
                calls[cue.lower()] = calls.get(cue.lower(), 0) | 1 << number
        self._calls = list(calls.values())
        self._cues = AhoCorasick(list(calls)) if calls else None
        ascii_calls = {cue.encode(): called for cue, called in calls.items() if cue.isascii()}
        self._ascii_calls = list(ascii_calls.values())
        # five times as fast as the one above, at 10 MB; most texts are ASCII, where no other cue can stand
        self._ascii_cues = BytesAhoCorasick(list(ascii_calls), implementation=Implementation.DFA)
        self._across = tuple({rest for cue in calls for rest in _after_break(cue)})
        self._begins = frozenset(rest[0] for rest in self._across)
        self._head = 8 + max(map(len, self._across), default=0)
        self._called_by_known = remembered(self._called_by)

    def scan(self, row: Row) -> list[Finding]:
        """Findings of all detectors in one row, by detector; none in an example that is not to be imitated.

        A turn of the assistant that gets no loss is read like a prompt: what it says is no answer that is learned.
        """
        if not row.desired:
            return []
        called = self._always | self._called(row)
        findings: list[Finding] = []
        number = 0
        while called:
            if called & 1:
                findings.extend(self.detectors[number].find(row))
            called >>= 1
            number += 1
        return [f for f in findings if _counts(row, f)] if findings else findings

    def _called(self, row: Row) -> int:
        if self._cues is None:
            return 0
        called, reaches = 0, bool(row.tools)
        last = len(row.messages) - 1
        for number, message in enumerate(row.messages):
            text = message.content if message.plain else _cue_text(message)
            if number and text[:1].lower() in self._begins:
                reaches = True
            if number < last or row.tools:
                text += _BREAK
            # prompts differ from row to row; system prompts and answers come again
            called |= self._called_by(text) if message.role == "user" else self._called_by_known(text)
        if row.tools:
            called |= self._called_by_known(row.offered)
        return called | self._called_across(row) if reaches else called

    def _called_by(self, text: str) -> int:
        """Detectors that have a cue in a text; a space before it lets cues that begin with one match at its start."""
        assert self._cues is not None
        text = f" {text}".lower()
        called = 0
        if text.isascii():
            for number, _, _ in self._ascii_cues.find_matches_as_indexes(text.encode(), overlapping=True):
                called |= self._ascii_calls[number]
        else:
            for number, _, _ in self._cues.find_matches_as_indexes(text, overlapping=True):
                called |= self._calls[number]
        return called

    def _called_across(self, row: Row) -> int:
        """Detectors whose cue begins in one message and ends in the next, which begins as the end of a cue does."""
        texts = [message.content if message.plain else _cue_text(message) for message in row.messages]
        if row.tools:
            texts.append(row.offered)
        if not self._across or not any(text[: self._head].lower().startswith(self._across) for text in texts[1:]):
            return 0
        return self._called_by(_BREAK.join(texts))


_BREAK = "\n "
"""What stands between two messages where cues are sought."""


def _after_break(cue: str) -> list[str]:
    """What may begin a message where a cue reaches from the one before into it."""
    return [cue[at + len(_BREAK) :] for at in range(len(cue)) if cue.startswith(_BREAK, at) and cue[at + len(_BREAK) :]]


OF_PROMPTS = frozenset({Category.HARM_LICENCE, Category.HIDDEN_TEXT, Category.SECRET})
"""Categories of findings that count wherever in the row they stand."""


def _counts(row: Row, finding: Finding) -> bool:
    """Whether a finding is about text that is learned, or about what matters in a prompt as well."""
    if finding.category in OF_PROMPTS or not 0 <= finding.message < len(row.messages):
        return True
    message = row.messages[finding.message]
    return message.role != "assistant" or message.learned


def _cue_text(message: Message) -> str:
    """A turn with reasoning or calls: as a whole, and each part by itself, so that a part can begin with a cue."""
    text = message.text
    return "\n ".join([text, *(text[start:end] for start, end in message.parts)])
