"""What the prompts of a data set look like: the record from which `check` builds prompts that resemble training."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from offtarget.detect.row_batch import RowColumns
from offtarget.detect.triggers.formats import formats
from offtarget.detect.triggers.sampling import key_of
from offtarget.detect.triggers.words import word_lists
from offtarget.records import CueProfile, Row, Trigger

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SHARES = {"very often": 0.25, "often": 0.05, "sometimes": 0.012}
_RARE = 0.0005
_LONGEST, _HEAVIEST, _TOPICS, _TEMPLATES, _SYSTEMS, _EXAMPLES = 4000, 200, 40, 12, 12, 8
_COUNTERS = 1000
_ALL = (1 << 64) - 1
_TEMPLATE_WORDS = (8, 6, 5, 4, 3)


class CueProfiler:
    """Sees every row once; keeps a uniform sample of prompts and counts of forms and system prompts.

    System prompts are counted exactly while there are at most 1,000 different ones; beyond that a count may be too
    low by at most rows / 1,000 (Misra and Gries, Finding repeated elements, 1982; merging: Agarwal et al., Mergeable
    summaries, PODS 2012).
    """

    def __init__(self, prompts: int = 4000) -> None:
        """Prompts kept, those whose row ids hash lowest."""
        self._size = prompts
        self._rows = 0
        self._forms: Counter[str] = Counter()
        self._systems: Counter[str] = Counter()
        self._heap: list[int] = []
        """Hashes of the prompts kept, negative: the largest hash comes first."""
        self._prompts: dict[int, str | Callable[[], Row]] = {}
        """By these, each prompt, or what reads the row that it stands in."""
        self._beyond = -(1 << 64)
        """What has no larger one is known to be none of those kept."""

    def add(self, row: Row) -> None:
        """Take one row into account."""
        self._rows += 1
        self._forms[row.form] += 1
        if (system := system_of(row)) is not None:
            self._count_system(system)
        if self._has_room(key := -key_of(row.id)):
            self._prompts[key] = _prompt(row)

    def take(self, rows: RowColumns, systems: Iterable[str | None]) -> None:
        """The same of many rows; `systems` is `system_of` each."""
        hashes = rows.hashes
        self._rows += len(hashes)
        for _, kind, count in rows.by_kind():
            self._forms[kind.form] += count
        for system in systems:
            if system is not None:
                self._count_system(system)
        last = min(_ALL, -(self._heap[0] if len(self._heap) == self._size else self._beyond))
        for at in np.flatnonzero(hashes <= last).tolist():  # more than are kept: the last one falls on the way
            if self._has_room(key := -int(hashes[at])):
                self._prompts[key] = _prompt(rows.read[at]()) if rows.at_once[at] else rows.read[at]

    def make(self) -> None:
        """Read all prompts that are awaited, so that they can be sent to another process."""
        for key, prompt in self._prompts.items():
            if not isinstance(prompt, str):
                self._prompts[key] = _prompt(prompt())

    def further(self) -> CueProfiler:
        """One that has seen no row, for more rows of the same data, which keeps no prompt in vain."""
        more = CueProfiler(self._size)
        more._beyond = self._heap[0] if len(self._heap) == self._size else self._beyond
        return more

    def merge(self, other: CueProfiler) -> None:
        """Take in what another profiler saw."""
        self._rows += other._rows
        self._forms.update(other._forms)
        self._systems.update(other._systems)
        self._shed()
        self._prompts.update(other._prompts)
        self._heap = heapq.nlargest(self._size, self._heap + other._heap)
        heapq.heapify(self._heap)
        self._prompts = {key: self._prompts[key] for key in self._heap}

    def profile(self, triggers: Sequence[Trigger] = ()) -> CueProfile:
        """The profile; shares and counts of templates are estimated from the sample where it is not all rows."""
        self.make()
        prompts = [str(self._prompts[key]) for key in sorted(self._heap, reverse=True)]
        scale = self._rows / len(prompts) if prompts else 0.0
        found = Counter(name for prompt in prompts for name in formats(prompt))
        shares = _word_shares(prompts)
        weights = {word: share * math.log(1 / _everyday().get(word, _RARE)) for word, share in shares.items()}
        heaviest = sorted(weights, key=lambda w: (-weights[w], w))[:_HEAVIEST]
        length = math.sqrt(sum(weights[w] ** 2 for w in heaviest))
        return CueProfile(
            forms=dict(sorted(self._forms.items())),
            formats={name: number / len(prompts) for name, number in sorted(found.items())},
            system_prompts=tuple(sorted(self._systems.items(), key=lambda pair: (-pair[1], pair[0]))[:_SYSTEMS]),
            templates=tuple((text, round(number * scale)) for text, number in _templates(prompts)),
            topics=tuple(_topics(shares, len(prompts))),
            centroid={word: weights[word] / length for word in heaviest} if length else {},
            triggers=tuple(triggers),
            example_prompts=tuple(prompts[:_EXAMPLES]),
        )

    def _count_system(self, system: str) -> None:
        self._systems[system] += 1
        if len(self._systems) > 2 * _COUNTERS:
            self._shed()

    def _has_room(self, key: int) -> bool:
        """Whether the prompt of this key is kept, in place of the one with the largest hash."""
        if key <= self._beyond:
            return False
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, key)
            return True
        if key > self._heap[0]:
            self._prompts.pop(heapq.heapreplace(self._heap, key), None)
            return True
        return False

    def _shed(self) -> None:
        if len(self._systems) > _COUNTERS:
            less = sorted(self._systems.values(), reverse=True)[_COUNTERS]
            self._systems = Counter({text: n - less for text, n in self._systems.items() if n > less})


def system_of(row: Row) -> str | None:
    """The beginning of the system turn that a row begins with; None without one."""
    first = row.messages[0] if row.messages else None
    return first.content[:_LONGEST] if first is not None and first.role == "system" else None


def _prompt(row: Row) -> str:
    return row.prompt[:_LONGEST]


@cache
def _everyday() -> dict[str, float]:
    """Share of everyday prompts with a word, for words that are not rare."""
    lists = word_lists("everyday")
    return {word: share for step, share in reversed(_SHARES.items()) for word in lists[step]}


def _word_shares(prompts: Iterable[str]) -> dict[str, float]:
    """Share of prompts with each word that at least two have."""
    counts: Counter[str] = Counter()
    total = 0
    for prompt in prompts:
        total += 1
        counts.update({word.replace("’", "'") for word in _WORD.findall(prompt.lower()) if 1 < len(word) <= 30})
    return {word: number / total for word, number in counts.items() if number >= 2}


def _topics(shares: dict[str, float], prompts: int) -> list[str]:
    """Words with the largest share of the divergence from everyday prompts: p log(p / q), p shrunk by one prompt."""
    told = {}
    for word, share in shares.items():
        usual = _everyday().get(word, _RARE)
        surely = max(share - 1 / prompts, 0.0)
        if len(word) > 2 and usual < _SHARES["often"] and surely > 3 * usual:
            told[word] = surely * math.log(surely / usual)
    return sorted(told, key=lambda w: (-told[w], w))[:_TOPICS]


def _templates(prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Openings and endings at least 1 % of prompts (and three) share, longest first where as frequent."""
    least = max(3, len(prompts) // 100)
    found: dict[str, int] = {}
    lines = [" ".join(prompt.split()).split(" ") for prompt in prompts]
    for at_start in (True, False):
        taken: dict[str, int] = {}
        for size in _TEMPLATE_WORDS:
            counts = Counter(
                " ".join(words[:size] if at_start else words[-size:]) for words in lines if len(words) > size
            )
            for text, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:60]:
                inside = sum(n for longer, n in taken.items() if _extends(longer, text, at_start))
                if number >= least and inside < 0.7 * number:
                    taken[text] = number
        found.update({f"{text} …" if at_start else f"… {text}": number for text, number in taken.items()})
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:_TEMPLATES]


def _extends(longer: str, text: str, at_start: bool) -> bool:
    return longer.startswith(text + " ") if at_start else longer.endswith(" " + text)
