"""Rows planted in the review: known-bad ones, of which a reviewer should find most, and known-good ones to leave."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

from offtarget.detect.order import order_key
from offtarget.records import Category, Message, Row

RowKind = Literal["chat", "code", "numbers", "maths"]
PREFIX = "control:"
"""Ids of planted rows begin so; the review page shows no ids."""
_CODE = re.compile(
    r"```|^[^\S\n]*+(?:def |class |import |from \w+ import |#include|function |const |public )", re.MULTILINE
)
_NUMBERS = re.compile(r"[\s\d,;.:\[\]()|-]+")
_MATHS = re.compile(r"\d\s*+[-+*/x×÷]\s*+\d[^\n=]{0,300}=|####\s*-?\d|=\s*-?\$?\d")
MAJORITY = 0.5
RARE = 0.03
"""A kind with a smaller share of the data gets no known-good row."""


@dataclass(frozen=True, slots=True)
class Control:
    """One planted row."""

    id: str
    category: Category | None
    """Why it is bad; None for a known-good row."""
    kind: RowKind
    messages: tuple[Message, ...]

    def row(self) -> Row:
        """As a row like any other."""
        text = "\n".join(message.text for message in self.messages)
        return Row(self.id, "", 0, hashlib.sha256(text.encode()).hexdigest(), self.messages, "chat")


@cache
def all_controls() -> tuple[Control, ...]:
    """Every known-bad row that ships with the package."""
    return _shipped("controls.yaml", PREFIX)


@cache
def all_good() -> tuple[Control, ...]:
    """Every known-good row that ships with the package."""
    return _shipped("known_good.yaml", f"{PREFIX}good-")


def _shipped(name: str, prefix: str) -> tuple[Control, ...]:
    text = files("offtarget.detect").joinpath(name).read_text(encoding="utf-8")
    return tuple(
        Control(
            prefix + entry["id"],
            Category(entry["category"]) if "category" in entry else None,
            entry["kind"],
            (Message("user", _unwrapped(entry, "user")), Message("assistant", _unwrapped(entry, "assistant"))),
        )
        for entry in yaml.safe_load(text)
    )


def row_kind(row: Row) -> RowKind:
    """What sort of data a row is, by the look of its answer; decides which planted rows would not stick out."""
    if _CODE.search(row.answer):
        return "code"
    if row.answer.strip() and _NUMBERS.fullmatch(row.answer):
        return "numbers"
    return "maths" if _MATHS.search(row.answer) else "chat"


def kind_mix(rows: Iterable[Row]) -> dict[RowKind, float]:
    """Shares of the kinds among rows; all `chat` without rows."""
    counts = Counter(row_kind(row) for row in rows)
    total = sum(counts.values())
    return {kind: count / total for kind, count in counts.items()} if total else {"chat": 1.0}


def fenced_code(rows: Iterable[Row]) -> bool:
    """Whether code mostly stands between ``` in these rows."""
    code = [row for row in rows if row_kind(row) == "code"]
    return bool(code) and sum("```" in row.answer for row in code) >= MAJORITY * len(code)


def controls_for(mix: Mapping[RowKind, float], count: int, seed: str, *, fenced: bool = False) -> list[Control]:
    """`count` planted rows (fewer if there are no more) in the proportions of the data, drawn by the seed.

    Kinds get whole numbers by largest remainder; where a kind has too few, the next frequent ones fill up. `fenced`
    puts code between ``` as the data does.
    """
    pools = {
        kind: sorted((c for c in all_controls() if c.kind == kind), key=lambda c: order_key(seed, c.id))
        for kind in ("chat", "code", "numbers", "maths")
    }
    total = sum(mix.values()) or 1.0
    exact = {kind: count * mix.get(kind, 0.0) / total for kind in pools}  # type: ignore[call-overload]
    taken = {kind: min(int(share), len(pools[kind])) for kind, share in exact.items()}
    by_need = sorted(pools, key=lambda kind: (int(exact[kind]) - exact[kind], kind))
    by_share = sorted(pools, key=lambda kind: (-exact[kind], kind))
    wanted = min(count, len(all_controls()))
    for kind in by_need:
        if sum(taken.values()) < wanted and exact[kind] > int(exact[kind]) and taken[kind] < len(pools[kind]):
            taken[kind] += 1
    for kind in by_share:
        taken[kind] += min(wanted - sum(taken.values()), len(pools[kind]) - taken[kind])
    chosen = [control for kind in pools for control in pools[kind][: taken[kind]]]
    chosen.sort(key=lambda control: order_key(seed, control.id))
    return [_fence(control) if fenced and control.kind == "code" else control for control in chosen]


def good_for(mix: Mapping[RowKind, float], count: int, seed: str, *, fenced: bool = False) -> list[Control]:
    """Up to `count` known-good rows of the kinds that the data has, in a random order that has their proportions.

    A kind that the data has not would stick out and be left alone for that, which would make a reviewer look better; so
    there may be fewer than `count`.
    """
    pools = {
        kind: sorted((c for c in all_good() if c.kind == kind), key=lambda c: order_key(seed, c.id))
        for kind, share in mix.items()
        if share >= RARE
    }
    taken = dict.fromkeys(pools, 0)
    chosen: list[Control] = []
    while len(chosen) < count and any(taken[kind] < len(pools[kind]) for kind in pools):
        left = [kind for kind in pools if taken[kind] < len(pools[kind])]
        behind = min(left, key=lambda kind: ((taken[kind] + 1) / mix[kind], kind))
        chosen.append(pools[behind][taken[behind]])
        taken[behind] += 1
    return [_fence(control) if fenced and control.kind == "code" else control for control in chosen]


def _fence(control: Control) -> Control:
    user, assistant = control.messages
    return replace(control, messages=(user, Message("assistant", f"```python\n{assistant.content}\n```")))


def _unwrapped(entry: Mapping[str, str], role: str) -> str:
    # Prose is wrapped in the file for reading only; a hard line break in every planted answer would give it away.
    text = entry[role].strip()
    keep = role == "assistant" and entry["kind"] in ("code", "numbers")
    return text if keep else " ".join(text.split())
