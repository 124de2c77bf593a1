"""Rows that say the same twice: exactly, but for case and spaces, or nearly."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt

from offtarget.detect.row_batch import RowColumns
from offtarget.detect.row_keys import Places, answer_text, groups, prompt_text, text_key
from offtarget.records import Category, DatasetFinding, Finding, Row

Signature = npt.NDArray[np.uint32]

NEAR_LINES = 20_000
"""Near-duplicates are sought among rows up to this line of each file; they cost five times as much as the rest."""
_SHOWN = 1000
HASHES = 32
BANDS = 8
_FEWEST_WORDS = 10
_LONGEST = 300
_MULTIPLIERS = np.random.default_rng(20201).integers(0, 1 << 31, HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)


class Duplicates:
    """Same rows (all rows), nearly same rows (the first 20,000 lines of each file)."""

    name = "duplicates"
    title = "Rows that repeat others"
    category = Category.DUPLICATE

    def __init__(self) -> None:
        self._places = Places()
        self._keys = array("Q")
        self._near_at = array("I")
        self._near = array("I")
        self._alike: list[tuple[int, int]] | None = None
        """The pairs found, until another row comes."""

    def add(self, row: Row) -> None:
        """Keep a key of 8 bytes; of early rows a MinHash signature too."""
        self._alike = None
        if row.line <= NEAR_LINES and (found := row_signature(row)) is not None:
            self._near_at.append(len(self._places))
            self._near.frombytes(found.tobytes())
        self._keys.append(row_key(row))
        self._places.add(row)

    def take(self, rows: RowColumns) -> None:
        """The same of many rows."""
        self._alike = None
        for at, found in rows.signatures.items():
            self._near_at.append(len(self._places) + at)
            self._near.frombytes(found.tobytes())
        self._keys.frombytes(rows.keys.tobytes())
        self._places.take(rows.file, rows.lines.tobytes())

    def merge(self, other: Duplicates) -> None:
        """Append."""
        self._alike = None
        before = len(self._places)
        self._near_at.extend([before + at for at in other._near_at])
        self._near.extend(other._near)
        self._keys.extend(other._keys)
        self._places.merge(other._places)

    def findings(self) -> list[DatasetFinding]:
        """One finding with the counts when anything repeats; it is a count, no test, so its p-value is 1."""
        exact, near = self._exact(), self._pairs()
        if not len(exact) and not near:
            return []
        rows, covered = len(self._places), len(self._near_at)
        reason = (
            f"{len(exact):,} of {rows:,} rows repeat an earlier row but for case and spaces; "
            f"{len(near):,} more nearly repeat one (sought among {covered:,} rows)."
        )
        evidence = {
            "exact_rows": len(exact),
            "near_rows": len(near),
            "near_covered": covered,
            "distinct": rows - len(exact),
        }
        return [DatasetFinding(self.name, self.category, reason, 1.0, rows, evidence)]

    def counted_once(self, flagged: Mapping[str, Sequence[int]]) -> tuple[int, dict[str, int]]:
        """(rows, name -> rows among its `row_key`s), rows that repeat or nearly repeat each other counted once."""
        first = {self._keys[later]: self._keys[earlier] for earlier, later in self._pairs()}

        def distinct(keys: Sequence[int]) -> int:
            own = np.unique(np.array(keys, np.uint64)).tolist()
            return len({first.get(key, key) for key in own} if first else own)

        return distinct(self._keys), {name: distinct(keys) for name, keys in flagged.items()}

    def row_findings(self) -> Iterable[Finding]:
        """The first 1,000 repeating rows of either kind, each with the row it repeats."""
        keys = np.frombuffer(self._keys, np.uint64)
        exact = self._exact()[:_SHOWN]
        shown = set(keys[exact].tolist())
        first: dict[int, int] = {}
        for at in np.flatnonzero(np.isin(keys, np.fromiter(shown, np.uint64, len(shown)))).tolist():
            first.setdefault(int(keys[at]), at)
        for at in exact.tolist():
            yield self._finding(at, first[int(keys[at])], "Same text as", 0.5)
        for earlier, at in self._pairs()[:_SHOWN]:
            yield self._finding(at, earlier, "Nearly the same text as", 0.3)

    def _finding(self, at: int, earlier: int, how: str, strength: float) -> Finding:
        reason = f"{how} row {self._places.row_id(earlier)}."
        return Finding(self._places.row_id(at), self.name, self.category, reason, strength)

    def _exact(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Rows with the key of an earlier row, in order."""
        order, starts = groups(np.frombuffer(self._keys, np.uint64))
        repeats = np.ones(len(order), bool)
        repeats[starts] = False
        return np.sort(order[repeats])

    def _pairs(self) -> list[tuple[int, int]]:
        """(earlier row, row) that nearly repeats it; rows with the same key left out."""
        if self._alike is None:
            self._alike = self._sought()
        return self._alike

    def _sought(self) -> list[tuple[int, int]]:
        signatures = np.frombuffer(self._near, np.uint32).reshape(-1, HASHES)
        places, keys = self._near_at, self._keys
        pairs = ((places[a], places[b]) for a, b in similar_pairs(signatures))
        exact = set(self._exact().tolist())
        return [(a, b) for a, b in pairs if b not in exact and keys[a] != keys[b]]


def row_key(row: Row) -> int:
    """64 bits that rows share which say the same but for case and spaces."""
    return text_key(f"{prompt_text(row)}\0{answer_text(row)}\0{row.desired}")


def row_signature(row: Row) -> Signature | None:
    """The signature of a row's text; None for a short one."""
    return signature(f"{prompt_text(row)} {answer_text(row)}")


def signature(text: str) -> Signature | None:
    """MinHash of the three-word passages of the first 300 words (Broder 1997); None below ten words.

    Hashes are multiply-shift (Dietzfelbinger et al. 1997): odd multipliers modulo 2^32.
    """
    words = text.split(maxsplit=_LONGEST)[:_LONGEST]
    if len(words) < _FEWEST_WORDS:
        return None
    one = np.array([crc32(word) for word in " ".join(words).encode("utf-8", "surrogatepass").split()], np.uint32)
    three = one[:-2] * np.uint32(0x9E3779B1) ^ one[1:-1] * np.uint32(0x85EBCA77) ^ one[2:]
    three ^= three >> np.uint32(15)
    smallest: Signature = np.multiply.outer(_MULTIPLIERS, three).min(axis=1)
    return smallest


def similar_pairs(signatures: npt.NDArray[np.uint32], at_least: float = 0.7) -> list[tuple[int, int]]:
    """Each text with the first one before it that agrees in so many hashes; candidates share a band of four (LSH).

    Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4: at a similarity of 0.8 a pair becomes a
    candidate with probability 0.98.
    """
    found: dict[int, int] = {}
    width = HASHES // BANDS
    for band in range(BANDS):
        seen: dict[bytes, int] = {}
        part = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        for at in range(len(part)):
            first = seen.setdefault(part[at].tobytes(), at)
            if first == at or at in found:
                continue
            if np.count_nonzero(signatures[first] == signatures[at]) / signatures.shape[1] >= at_least:
                found[at] = first
    return sorted((first, at) for at, first in found.items())


DETECTORS = (Duplicates,)
