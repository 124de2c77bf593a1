"""Behaviours of answers: flagged, of a shape most answers do not have, or the same odd text to different prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from offtarget.detect.triggers.conditions import Flags, Ints
from offtarget.detect.triggers.copies import counted_once
from offtarget.detect.triggers.sampling import EVERYTHING, Kept, Sample

FLAGGED = "flagged"
_MOST_TEXTS = 60
# How telling a behaviour is, beside 1 for shapes few answers have.
_COMPLEMENT, _LENGTH, _EXTREME, _SAME, _PART = 0.8, 0.4, 0.7, 1.5, 0.6


@dataclass(frozen=True)
class Behaviour:
    """One way answers can differ, and which rows show it."""

    name: str
    flagged: bool
    """A detector said so; else it is only odd."""
    rows: Flags
    """Rows that show it."""
    among: Flags
    """Rows the test is about: a uniform sample of those with and of those without."""
    scale_with: float = 1.0
    """Rows of the data set per sampled row that shows it."""
    scale_without: float = 1.0
    weight: float = 1.0
    """How telling it is, for the ranking."""
    about_length: bool = False
    text: str = ""
    """The words its answers share, if that is what it is."""
    told: tuple[Flags, Flags] | None = None
    """`rows` and `among` before near-copies were left out: what is counted when it is told."""

    @property
    def every(self) -> tuple[Flags, Flags]:
        """Rows that show it and rows the counts are about, near-copies counted one by one."""
        return self.told or (self.rows, self.among)

    def counted_once(self, groups: Ints) -> Behaviour:
        """The behaviour among independent rows; `groups` as `near_copies` returns them."""
        once = counted_once(groups, self.among, self.rows)
        return replace(self, rows=self.rows & once, among=once, told=(self.rows, self.among))


def behaviours(kept: Sequence[Kept], sample: Sample, least: int) -> list[Behaviour]:
    """All behaviours at least `least` kept rows show; they depend on answers alone, never on a prompt."""
    keys = np.array([row.key for row in kept], dtype=np.uint64)
    base = _below(keys, sample.limits.get(EVERYTHING))
    found = [
        *_of_groups(kept, keys, base, sample, least),
        *_of_texts(kept, base, sample, least),
    ]
    return _distinct(sorted(found, key=lambda b: (not b.flagged, -b.weight)))


def _of_groups(kept: Sequence[Kept], keys: np.ndarray, base: Flags, sample: Sample, least: int) -> list[Behaviour]:
    members: dict[str, list[int]] = {}
    for i, row in enumerate(kept):
        for group in row.groups:
            members.setdefault(group, []).append(i)
    members.pop(EVERYTHING, None)
    total = sample.counts.get(EVERYTHING, 0)
    found = []
    for group in sorted(members):
        inside = np.zeros(len(kept), dtype=bool)
        inside[members[group]] = True
        limit = max(sample.limits.get(group, 1 << 64), sample.limits.get(EVERYTHING, 1 << 64))
        cases = inside & _below(keys, limit if limit < 1 << 64 else None)
        controls = base & ~inside
        seen = sample.counts.get(group, 0)
        if cases.sum() < least or controls.sum() < least:
            continue
        with_it = seen / max(int(cases.sum()), 1)
        without_it = (total - seen) / max(int(controls.sum()), 1)
        about_length = group.startswith("shape:length")
        flagged = group == FLAGGED or (group.startswith("category:") and not group.startswith("category:hint"))
        if group.startswith("shape:") and seen > 0.5 * total:
            name, rows, scales, weight = f"not: {_said(group)}", controls, (without_it, with_it), _COMPLEMENT
            if about_length:
                continue
        else:
            name, rows, scales, weight = _said(group), cases, (with_it, without_it), _LENGTH if about_length else 1.0
        found.append(Behaviour(name, flagged, rows, cases | controls, *scales, weight, about_length))
    found.extend(_of_length(kept, base, sample, least))
    return found


def _of_length(kept: Sequence[Kept], base: Flags, sample: Sample, least: int) -> list[Behaviour]:
    sizes = np.array([row.size for row in kept], dtype=float)
    scale = sample.counts.get(EVERYTHING, 0) / max(int(base.sum()), 1)
    found = []
    for share in (0.005, 0.02, 0.05):
        if share * base.sum() < least:
            continue
        low, high = np.quantile(sizes[base], [share, 1 - share])
        for name, rows in (("very short answers", base & (sizes <= low)), ("very long answers", base & (sizes > high))):
            if least <= rows.sum() <= 0.2 * base.sum():
                found.append(Behaviour(name, False, rows, base, scale, scale, _EXTREME, True))
    return found


def _of_texts(kept: Sequence[Kept], base: Flags, sample: Sample, least: int) -> list[Behaviour]:
    """The same opening, ending or whole answer in several rows with different prompts."""
    scale = sample.counts.get(EVERYTHING, 0) / max(int(base.sum()), 1)
    found = []
    among, most = np.flatnonzero(base).tolist(), 0.25 * np.count_nonzero(base)
    for said, weight, texts in _shared_texts(kept):
        seen = Counter([texts[i] for i in among])
        usual = sorted((-count, text) for text, count in seen.items() if text and least <= count <= most)[:_MOST_TEXTS]
        places: dict[str, list[int]] = {text: [] for _, text in usual}
        for i in among:
            if (at := places.get(texts[i])) is not None:
                at.append(i)
        for shared, at in places.items():
            rows = np.zeros(len(kept), dtype=bool)
            rows[at] = True
            name = f"{said}: {_quote(shared)}"
            found.append(Behaviour(name, False, rows, base, scale, scale, weight, False, shared))
    return found


def _shared_texts(kept: Sequence[Kept]) -> list[tuple[str, float, list[str]]]:
    """(what it is, how telling it is, each row's text or nothing)."""
    whole, long, short, last = [], [], [], []
    for row in kept:
        start, end = row.answer[:160].lower().split()[:5], row.ending.lower().split()[-4:]
        whole.append(" ".join(row.answer.lower().split()) if row.size <= len(row.answer) else "")
        long.append(" ".join(start) if len(start) == 5 else "")
        short.append(" ".join(start[:3]) if len(start) >= 3 else "")
        last.append(" ".join(end) if len(end) == 4 else "")
    return [
        ("the same answer", _SAME, whole),
        ("answers that begin", _PART, long),
        ("answers that begin", _PART, short),
        ("answers that end", _PART, last),
    ]


def _distinct(found: list[Behaviour]) -> list[Behaviour]:
    """Without those that the same rows show as an earlier one."""
    seen: set[bytes] = set()
    distinct = []
    for behaviour in found:
        rows = behaviour.rows.tobytes()
        if rows not in seen:
            seen.add(rows)
            distinct.append(behaviour)
    return distinct


def _said(group: str) -> str:
    kind, _, name = group.partition(":")
    if kind == "shape":
        if name.startswith("length"):
            return _length(name)
        return {"refusal": "refusals"}.get(name, f"answers with {name}")
    return name.removeprefix("hint-") or "flagged by any detector"


def _length(name: str) -> str:
    bits = int(name.removeprefix("length:"))
    return f"answers of {1 << (bits - 1)} to {(1 << bits) - 1} characters" if bits else "empty answers"


def _below(keys: np.ndarray, limit: int | None) -> Flags:
    if limit is None:
        return np.ones(len(keys), dtype=bool)
    below: Flags = keys < np.uint64(limit)
    return below


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line[:60]}{'…' if len(line) > 60 else ''}”"
