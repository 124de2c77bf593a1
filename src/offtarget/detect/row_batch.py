"""What the scan keeps of rows that were read and looked at, now or in an earlier audit: findings and keys, no text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offtarget.detect.row_keys import Keys
from offtarget.records import Finding, Row

Numbers = npt.NDArray[np.uint32]
Numeric = tuple[str, tuple[int, ...]]
"""The kind of an answer that is made of numbers, and its numbers."""


class RowKind(NamedTuple):
    """What very many rows share."""

    form: str
    turns: int
    desired: bool
    masked: bool
    """An example to be imitated with an assistant turn that the data marks as without loss."""
    foreign: bool
    """Its answer is plainly in another language than English."""
    comparable: bool
    """It has a prompt and a learned answer, which may contradict that of another row."""
    answer_length: int
    """Length class of the answer."""
    prompt_length: int
    """Length class of the last user turn."""
    unread: tuple[str, ...]
    groups: tuple[str, ...]
    """Groups of rows that hidden conditions are sought behind."""


class RowFacts(NamedTuple):
    """What the scan keeps of one row, its place apart; a function of what the row says."""

    kind: RowKind
    key: int
    """`row_key`: equal for rows that say the same."""
    prompt: int
    """The same for what comes before the answer."""
    system: int
    """64 bits of a hash of the system turn that it begins with; 0 without one."""
    stance: int
    weight: int
    """`Kept.weight`: characters that mining holds of it."""
    findings: tuple[Finding, ...]
    numeric: Numeric | None


@dataclass(slots=True)
class RowColumns:
    """Rows of one file in their order, column by column."""

    file: str
    lines: Numbers
    ids: Sequence[str]
    bodies: Sequence[bytes]
    """What each row's sha256 speaks of."""
    hashes: Keys
    """`key_of` their ids."""
    read: Sequence[Callable[[], Row]]
    """What reads each row."""
    at_once: npt.NDArray[np.bool_]
    """Rows that are read already, or so long that their bytes are not held back for later."""
    kinds: Sequence[RowKind]
    """Kinds that `kind` numbers."""
    kind: Numbers
    keys: Keys
    prompts: Keys
    systems: Keys
    stances: Numbers
    weights: Numbers
    findings: Mapping[int, tuple[Finding, ...]]
    """Position -> findings, where there are any, in order."""
    numeric: Mapping[int, Numeric]
    """Position -> numbers of an answer that is made of numbers, in order."""
    signatures: Mapping[int, Numbers]
    """Position -> signature of the text, of rows among which near-duplicates are sought and that are long enough."""

    def of_kind(self, values: Sequence[bool]) -> npt.NDArray[np.bool_]:
        """For each row the value of its kind."""
        return np.array(values, np.bool_)[self.kind]

    def by_kind(self) -> list[tuple[int, RowKind, int]]:
        """Each kind with its number and its rows, in order of its first row."""
        numbers, first, rows = np.unique(self.kind, return_index=True, return_counts=True)
        order = np.argsort(first)
        counted = zip(numbers[order].tolist(), rows[order].tolist(), strict=True)
        return [(number, self.kinds[number], count) for number, count in counted]
