"""Which rows are kept for mining: of every group, the rows with the smallest hashes.

One hash orders all rows, and a group keeps its k first ones (bottom-k sampling; coordinated over groups: Cohen and
Kaplan, Summarizing data using bottom-k sketches, PODC 2007). So a sample of a group is uniform, it does not depend
on how the data was cut into pieces, and two samples merge into the sample of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from offtarget.detect.row_keys import Keys

EVERYTHING = "rows"
WEIGHT = 400
"""Characters that a row which is kept counts as besides its texts."""
_TOP = 1 << 64


@dataclass(frozen=True, slots=True)
class Kept:
    """What mining needs of one row."""

    key: int
    """Its place in the order of the hash, 64 bits."""
    id: str
    file: str
    line: int
    form: str
    user: str
    """All user turns, cut in the middle when very long."""
    system: str
    answer: str
    """The answer's beginning."""
    ending: str
    """The answer's last characters."""
    size: int
    """Characters of the answer."""
    extra: tuple[str, ...]
    """Short values of the row's other keys as `key=value`."""
    groups: tuple[str, ...]
    """Groups the row is in: `flagged`, `category:...`, `shape:...`."""
    tools: str = ""
    """The beginning of what the descriptions of the row's tools say."""

    @property
    def weight(self) -> int:
        """Characters held."""
        return WEIGHT + len(self.user) + len(self.system) + len(self.tools) + len(self.answer) + len(self.ending)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A row that is made into `Kept` only if it is still in the sample in the end."""

    key: int
    groups: tuple[str, ...]
    weight: int
    make: Callable[[], Kept]


@lru_cache(1)  # the miner and the profile of prompts ask for it one after the other
def key_of(row_id: str) -> int:
    """The row's place in the hash order, the same in every process."""
    return int.from_bytes(blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def keys_of(row_ids: Iterable[str]) -> Keys:
    """`key_of` many rows."""
    found = b"".join([blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in row_ids])
    return np.frombuffer(found, ">u8").astype(np.uint64)


class Sample:
    """Rows kept, by group; `sizes` says how many rows each group may keep, `other` holds for groups not named."""

    def __init__(self, sizes: dict[str, int], other: int, characters: int) -> None:
        self._sizes, self._other, self._characters = sizes, other, characters
        self.counts: dict[str, int] = {}
        """Rows seen per group."""
        self.limits: dict[str, int] = {}
        """Per group the hash below which all its rows are kept; absent while it keeps all."""
        self._rows: dict[int, Kept | Awaited] = {}
        self._weight = 0
        self._prune_at = self._room()

    def count(self, groups: Iterable[str], rows: int = 1) -> None:
        """Count rows in each of their groups."""
        counts = self.counts
        for group in groups:
            counts[group] = counts.get(group, 0) + rows

    def wants(self, key: int, groups: Iterable[str]) -> bool:
        """Whether a row with this hash in these groups belongs into the sample."""
        limits = self.limits
        if not limits:
            return True
        for group in groups:  # noqa: SIM110 - twice as fast as any(), and every row passes here
            if key < limits.get(group, _TOP):
                return True
        return False

    def limit(self, groups: Iterable[str]) -> int:
        """No row in these groups with a larger hash is wanted, now or later."""
        return min(_TOP - 1, max((self.limits.get(group, _TOP) for group in groups), default=0))

    def keep(self, row: Kept | Awaited) -> None:
        """Take a row that was wanted."""
        if row.key in self._rows:
            return
        self._rows[row.key] = row
        self._weight += row.weight
        if len(self._rows) >= self._prune_at or self._weight > self._characters * 1.25:
            self._prune()

    def further(self) -> Sample:
        """An empty sample for more rows of the same whole, which keeps none that this one shows to be beyond it."""
        more = Sample(self._sizes, self._other, self._characters)
        more.limits = dict(self.limits)
        return more

    def merge(self, other: Sample) -> None:
        """Take in another sample of the same kind."""
        for group, number in other.counts.items():
            self.counts[group] = self.counts.get(group, 0) + number
        for group, limit in other.limits.items():
            self.limits[group] = min(limit, self.limits.get(group, _TOP))
        for row in other._rows.values():
            if row.key not in self._rows:
                self._rows[row.key] = row
                self._weight += row.weight
        self._prune()

    def rows(self) -> list[Kept]:
        """The rows kept, in the order of the hash."""
        self._prune()
        return [_made(self._rows[key]) for key in sorted(self._rows)]

    def make(self) -> None:
        """Make all rows that are awaited, so that the sample can be sent to another process."""
        for key, row in self._rows.items():
            self._rows[key] = _made(row)

    def _room(self) -> int:
        return int(1.25 * sum(self._sizes.values())) + 1

    def _prune(self) -> None:
        self._tighten(1.0)
        share = 1.0
        while self._weight > self._characters and share > 0.01:
            share *= self._characters / self._weight * 0.95
            self._tighten(share)
        self._prune_at = max(self._room(), int(1.25 * len(self._rows)))

    def _tighten(self, share: float) -> None:
        members: dict[str, list[int]] = {}
        for key, row in self._rows.items():
            for group in row.groups:
                if key < self.limits.get(group, _TOP):
                    members.setdefault(group, []).append(key)
        for group, keys in members.items():
            size = max(int(share * self._sizes.get(group, self._other)), 50)
            if len(keys) > size:
                self.limits[group] = sorted(keys)[size]
        if not self.limits:
            return
        self._rows = {key: row for key, row in self._rows.items() if self.wants(key, row.groups)}
        self._weight = sum(row.weight for row in self._rows.values())


def _made(row: Kept | Awaited) -> Kept:
    return row.make() if isinstance(row, Awaited) else row
