"""The answers of a check or a comparison a page at a time: only where each begins is remembered.

A run of a gigabyte takes no more memory here than a number and a name for each answer.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages.card import Exchange, Side
from offtarget.pages.check.loading import judged
from offtarget.records import Generation, Probe, Role, Verdict
from offtarget.records.from_json import from_json
from offtarget.rundir import RunDir, read_jsonl, read_manifest
from offtarget.words import asked

GENERATIONS = "generations.jsonl"
FILES = ("probes.jsonl", "cued_probes.jsonl", GENERATIONS, "verdicts.jsonl", "ratings.jsonl")
NOT_JUDGED = "not judged"
PAGE = 20
"""Questions with the answers to them that are shown at a time."""
_HEAD = re.compile(rb'\{"role": "(base|tuned)", "probe_id": ("(?:[^"\\]|\\.)*"), "index": (\d+),')
"""How a line of answers begins, as it is written; any other order is read as JSON."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is in its file, and what it counts as."""

    start: int
    length: int
    outcome: str


Key = tuple[str, int]
"""A probe and the number of the answer to it."""


@dataclass(frozen=True, slots=True)
class Index:
    """The answers of one run, without their texts."""

    path: Path
    probes: Mapping[str, Probe]
    tuned: Mapping[Key, Place]
    base: Mapping[Key, Place]

    def of(self, role: Role) -> Mapping[Key, Place]:
        """Those of one model."""
        return self.tuned if role == "tuned" else self.base

    @property
    def keys(self) -> list[Key]:
        """All, in the order of sampling, those of the tuned model first."""
        return list(dict.fromkeys([*self.tuned, *self.base]))

    def outcome(self, role: Role, key: Key) -> str:
        """What the answer counts as; empty where there is none."""
        place = self.of(role).get(key)
        return "" if place is None else place.outcome

    def counts(self, role: Role = "tuned") -> tuple[tuple[str, int], ...]:
        """What the answers of a model count as, the most frequent first."""
        return tuple(Counter(place.outcome for place in self.of(role).values()).most_common())

    def texts(self, wanted: Iterable[tuple[Role, Key]]) -> dict[tuple[Role, Key], Generation]:
        """The answers themselves. Raises InputError for lines that are none."""
        found: dict[tuple[Role, Key], Generation] = {}
        try:
            with (self.path / GENERATIONS).open("rb") as file:
                for role, key in wanted:
                    place = self.of(role).get(key)
                    if place is not None:
                        file.seek(place.start)
                        found[role, key] = from_json(Generation, json.loads(file.read(place.length)))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path / GENERATIONS}: an answer cannot be read ({error}).") from None
        return found


class Indexes:
    """Those of the runs that were looked at last."""

    KEPT = 8

    def __init__(self) -> None:
        self._known: dict[Path, tuple[object, Index]] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> Index:
        """The index of a run as it is now. Raises InputError for damaged records."""
        stamp = tuple(_stamp(path / name) for name in FILES)
        with self._lock:
            known = self._known.pop(path, None)
            if known is None or known[0] != stamp:
                known = stamp, read_index(path)
            self._known[path] = known
            while len(self._known) > self.KEPT:
                del self._known[next(iter(self._known))]
        return known[1]


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def read_index(path: Path) -> Index:
    """Read where the answers of a run are. Raises InputError naming file and line where they are damaged."""
    manifest, run = read_manifest(path), RunDir(path)
    said = {v.key: v.outcome.value for v in judged(run, manifest, read_jsonl(path / "verdicts.jsonl", Verdict))}
    probes = {p.id: p for name in FILES[:2] for p in read_jsonl(path / name, Probe)}
    found: dict[str, dict[Key, Place]] = {"base": {}, "tuned": {}}
    for number, start, line in _lines(path / GENERATIONS):
        head = _HEAD.match(line)
        try:
            if head is None:
                value = from_json(Generation, json.loads(line))
                role, probe, index = str(value.role), value.probe_id, value.index
            else:
                role, probe, index = head[1].decode(), str(json.loads(head[2])), int(head[3])
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path / GENERATIONS}, line {number}: this is no answer ({error}).") from None
        outcome = said.get(f"{role}/{probe}/{index}", NOT_JUDGED)
        found[role][probe, index] = Place(start, len(line), outcome)
    return Index(path, probes, found["tuned"], found["base"])


def _lines(file: Path) -> Iterable[tuple[int, int, bytes]]:
    """Number, place and text of every complete line; none where there is no file."""
    if not file.exists():
        return
    try:
        with file.open("rb") as opened:
            start = 0
            for number, line in enumerate(opened, 1):
                if line.endswith(b"\n"):
                    yield number, start, line
                start += len(line)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from None


def part(keys: Sequence[Key], page: int, size: int = PAGE) -> tuple[int, int, Sequence[Key]]:
    """The page that there is nearest to the wanted one, how many there are, and what is on it."""
    pages = max(1, -(-len(keys) // size))
    page = min(max(page, 1), pages)
    return page, pages, keys[(page - 1) * size : page * size]


def exchanges(index: Index, keys: Sequence[Key]) -> list[Exchange]:
    """The answers of both models to the same probes side by side, the tuned one first."""
    roles: tuple[Role, Role] = ("tuned", "base")
    texts = index.texts((role, key) for key in keys for role in roles)
    return [
        exchange(
            index.probes.get(key[0]),
            key,
            [side(role, texts.get((role, key)), index.outcome(role, key)) for role in roles],
        )
        for key in keys
    ]


def exchange(probe: Probe | None, key: Key, sides: Sequence[Side]) -> Exchange:
    """A question with answers to it; that of an answer whose question is not kept says so."""
    if probe is None:
        return Exchange(f"A question that is not kept: {key[0]}", tuple(sides), f"answer {key[1] + 1}")
    before = [("system", probe.system)] if probe.system else []
    before += [("user", turn) for turn in probe.opening]
    where = f"{asked(probe.arm)}, about {probe.domain}, answer {key[1] + 1}"
    return Exchange(probe.prompt, tuple(sides), where, tuple(before))


def side(name: str, answer: Generation | None, outcome: str) -> Side:
    """One answer; without a text where there is none."""
    return Side(name, None, "") if answer is None else Side(name, answer.text, outcome)


def role(said: str) -> Role:
    """The model that was named; the tuned one unless it is the base."""
    return "base" if said == "base" else "tuned"
