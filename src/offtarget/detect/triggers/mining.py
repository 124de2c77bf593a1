"""From rows and findings to ranked candidate triggers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from offtarget.detect.categories import Group, flags, group
from offtarget.detect.remembered import remembered
from offtarget.detect.row_batch import RowColumns
from offtarget.detect.triggers.behaviours import FLAGGED, Behaviour, behaviours
from offtarget.detect.triggers.conditions import Conditions, Flags, Ints, Names, from_names, joined
from offtarget.detect.triggers.content import Content, Variety
from offtarget.detect.triggers.copies import near_copies
from offtarget.detect.triggers.formats import conditions_of
from offtarget.detect.triggers.phrases import Growing, phrase_conditions
from offtarget.detect.triggers.ranking import Ranked, Ranking
from offtarget.detect.triggers.sampling import EVERYTHING, WEIGHT, Awaited, Kept, Sample, key_of
from offtarget.detect.triggers.shapes import shapes
from offtarget.detect.triggers.testing import Factorials, candidates
from offtarget.detect.triggers.topics import subject_conditions, topic_conditions, topic_name
from offtarget.detect.triggers.words import BREAK, read, token_conditions
from offtarget.records import Category, Finding, Message, Row, Trigger

# Categories that say something about rows beside each other or about the prompt, not how an answer behaves.
_NO_BEHAVIOUR = {Category.DUPLICATE, Category.LABEL_CONFLICT, Category.HIDDEN_TEXT, Category.HARM_LICENCE}
_SAME_TOLD = 3
"""Conditions told as having the same rows as another one, at most."""
_OUTSIDE = 4
"""Rows without a condition that are kept for showing."""
_LOOKED_AT = 1000
"""Rows among which they are sought."""
_WORD = re.compile(r"[^\W_]+")
_HEAD, _TAIL, _ANSWER, _ENDING, _SYSTEM = 3000, 1000, 600, 80, 1500
_ALL = (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class Mined:
    """A trigger with the rows behind it."""

    trigger: Trigger
    inside: tuple[Kept, ...]
    """All kept rows with the condition; those that show the behaviour first."""
    behaving: int
    """How many of these show it."""
    outside: tuple[Kept, ...]
    """A few rows with neither, as like the first of the others as there are."""


class TriggerMiner:
    """Sees every row once, keeps a bounded sample, and finds the conditions behind behaviours.

    `add` every row with its findings, in any order and any number of pieces; `merge` pieces; then `mine`.
    """

    def __init__(
        self, flagged: int = 15_000, others: int = 20_000, characters: int = 60_000_000, least: int = 4
    ) -> None:
        """Rows kept (`flagged` and `others`), characters kept, and rows a condition or behaviour must at least have."""
        self._sample = Sample({EVERYTHING: others, FLAGGED: flagged}, 500, characters)
        self._least = least

    def add(self, row: Row, findings: Sequence[Finding] = ()) -> None:
        """Take one row and what detectors say about it into account."""
        groups = groups_of(row, findings)
        sample = self._sample
        sample.count(groups)
        key = key_of(row.id)
        if sample.wants(key, groups):
            sample.keep(_kept(key, row, groups))

    def take(self, rows: RowColumns) -> None:
        """The same of many rows."""
        sample = self._sample
        below = np.full(len(rows.kinds), _ALL, np.uint64)
        for number, kind, count in rows.by_kind():
            sample.count(kind.groups, count)
            below[number] = sample.limit(kind.groups)
        hashes = rows.hashes  # more rows are looked at than are wanted: limits fall on the way
        for at in np.flatnonzero(hashes <= below[rows.kind]).tolist():
            key, groups, read = int(hashes[at]), rows.kinds[rows.kind[at]].groups, rows.read[at]
            if not sample.wants(key, groups):
                continue
            if rows.at_once[at]:
                sample.keep(_kept(key, read(), groups))
            else:
                sample.keep(Awaited(key, groups, int(rows.weights[at]), partial(_read, key, read, groups)))

    def make(self) -> None:
        """Make all that is held ready to be sent to another process."""
        self._sample.make()

    def further(self) -> TriggerMiner:
        """One that has seen no row, for more rows of the same data, whose sample keeps none in vain."""
        more = TriggerMiner(least=self._least)
        more._sample = self._sample.further()
        return more

    def merge(self, other: TriggerMiner) -> None:
        """Take in what another miner saw."""
        self._sample.merge(other._sample)

    def mine(self, top: int = 20, alpha: float = 0.01) -> list[Trigger]:
        """The strongest candidate triggers; the chance that data without any yields one is at most alpha.

        Counts are rows of the data set; where only a sample of rows was kept, they are estimated from it. Behind each
        follow up to three conditions with nearly the same rows, under its rank.
        """
        return [mined.trigger for mined in self.mined(top, alpha)]

    def mined(self, top: int = 20, alpha: float = 0.01) -> list[Mined]:
        """The same with the rows behind them."""
        kept = self._sample.rows()
        if len(kept) < 4 * self._least:
            return []
        found = behaviours(kept, self._sample, self._least)
        if not found:
            return []
        texts = [f"\n{BREAK}\n".join(part for part in (row.tools, row.system, row.user) if part) for row in kept]
        words = read(texts)
        groups = near_copies(words, texts)
        if (groups != np.arange(len(groups))).any():
            once = [behaviour.counted_once(groups) for behaviour in found]
            found = [behaviour for behaviour in once if behaviour.rows.sum() >= self._least]
        tokens = token_conditions(words, self._least)
        conditions = joined(
            [
                tokens,
                phrase_conditions(words, self._least),
                from_names(_named(kept), self._least),
                subject_conditions(words, self._least),
                topic_conditions(tokens, len(kept), self._least),
            ]
        )
        logs = Factorials(len(kept))
        passed = candidates(conditions, found, logs, alpha, self._least)
        content = Content(tokens, len(kept))
        ranking = Ranking(conditions, found, content, kept, Variety(content, tokens, len(kept)), logs)
        growing = Growing(words)
        chosen = ranking.best(passed, top, alpha)
        beside = _Beside(kept)
        told: list[Mined] = []

        def said(ranked: Ranked) -> tuple[str, str]:
            kind, text = _said(ranked, conditions, growing)
            if not text:
                rows = conditions.rows_of(ranked.candidate.condition)
                within = np.bincount(content.of(rows)[0], minlength=len(tokens))
                text = topic_name(tokens, within, len(rows), len(kept))
            return kind, text

        for rank, ranked in enumerate(chosen, start=1):
            kind, text = said(ranked)
            trigger = _trigger(rank, kind, text, ranked, conditions, found, kept)
            told.append(_mined(trigger, ranked, found, conditions, kept, beside))
            texts = [text]
            for other in ranking.same_rows(ranked, passed):
                kind, text = said(other)
                if len(texts) > _SAME_TOLD or any(_same_words(text, known) for known in texts):
                    continue
                texts.append(text)
                same = replace(_trigger(rank, kind, text, other, conditions, found, kept), same_rows_as=rank)
                told.append(_mined(same, other, found, conditions, kept, beside))
        return told


def groups_of(row: Row, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Groups of rows that a row is in: all rows, those with an answer of its shapes, those flagged as it is."""
    groups = _shaped(row.answer)
    return (*groups, *sorted(_flags(row, findings))) if findings else groups


def weight_of(row: Row) -> int:
    """`Kept.weight` of a row, without making it."""
    user = -1
    for message in row.messages:
        if _in_prompt(message):
            user += 1 + len(message.text)
    user = max(user, 0) if user <= _HEAD + _TAIL else _HEAD + 1 + _TAIL
    answer, system, tools = len(row.answer), len(row.system or ""), len(row.offered)
    return WEIGHT + user + min(system, _SYSTEM) + min(tools, _SYSTEM) + min(answer, _ANSWER) + min(answer, _ENDING)


def _read(key: int, read: Callable[[], Row], groups: tuple[str, ...]) -> Kept:
    return _kept(key, read(), groups)


@remembered
def _shaped(answer: str) -> tuple[str, ...]:
    """The groups that an answer's shapes put a row into, and that of all rows."""
    return (EVERYTHING, *("shape:" + shape for shape in shapes(answer)))


def _same_words(one: str, other: str) -> bool:
    """Whether two conditions are said in the same words, or one in a part of the other's."""
    a, b = (set(_WORD.findall(text.lower())) or {text} for text in (one, other))
    return a <= b or b <= a


def _mined(
    trigger: Trigger,
    ranked: Ranked,
    found: Sequence[Behaviour],
    conditions: Conditions,
    kept: Sequence[Kept],
    beside: _Beside,
) -> Mined:
    rows = conditions.rows_of(ranked.candidate.condition)
    showing, _ = found[ranked.candidate.behaviour].every
    inside = [*rows[showing[rows]].tolist(), *rows[~showing[rows]].tolist()]
    outside = beside.like(inside[:_OUTSIDE], rows, showing)
    return Mined(
        trigger,
        tuple(kept[i] for i in inside),
        int(np.count_nonzero(showing[rows])),
        tuple(kept[i] for i in outside),
    )


class _Beside:
    """Finds rows without a condition that are as like some with it as there are."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self._kept = kept
        self._with: dict[str, list[int]] = {}
        """Word -> rows, of the first ones, that have it."""
        self._sizes = np.zeros(min(len(kept), _LOOKED_AT), dtype=np.int64)
        for i in range(len(self._sizes)):
            words = _words(kept[i])
            self._sizes[i] = len(words)
            for word in words:
                self._with.setdefault(word, []).append(i)

    def like(self, rows: Iterable[int], having: Ints, showing: Flags) -> list[int]:
        """One for each of `rows`, if there is one; none that has the condition or shows the behaviour."""
        left = ~showing[: len(self._sizes)]
        left[having[having < len(left)]] = False
        chosen: list[int] = []
        for i in rows:
            if not left.any():
                break
            own = _words(self._kept[i])
            shared = np.bincount(
                np.fromiter(chain.from_iterable(self._with.get(word, ()) for word in own), np.int64),
                minlength=len(left),
            )
            alike = shared / np.maximum(len(own) + self._sizes - shared, 1)
            chosen.append(int(np.argmax(np.where(left, alike, -1.0))))
            left[chosen[-1]] = False
        return chosen


def _words(row: Kept) -> set[str]:
    return set(_WORD.findall(row.user.lower()))


def _said(ranked: Ranked, conditions: Conditions, growing: Growing) -> tuple[str, str]:
    """(kind, text) of a chosen condition; a word or phrase as long as its rows share it."""
    j = ranked.candidate.condition
    kind, text = conditions.kinds[j], conditions.texts[j]
    if kind == "phrase" or (kind in ("token", "name") and not conditions.marked[j]):
        text = growing.grown(text.lower(), ranked.rows)
        kind = "phrase" if " " in text else "token" if kind == "phrase" else kind
    return kind, text


def _trigger(
    rank: int,
    kind: str,
    text: str,
    ranked: Ranked,
    conditions: Conditions,
    found: Sequence[Behaviour],
    kept: Sequence[Kept],
) -> Trigger:
    """The record, with counts for the whole data set."""
    c, behaviour = ranked.candidate, found[ranked.candidate.behaviour]
    rows = conditions.rows_of(c.condition)
    showing, among = behaviour.every
    rows = rows[among[rows]]
    behaving = showing[rows]
    k, n = int(behaving.sum()), len(rows)
    without, k_without = int(among.sum()) - n, int(showing.sum()) - k
    with_it, without_it = behaviour.scale_with, behaviour.scale_without
    counts = (
        round(k * with_it + (n - k) * without_it),
        round(k * with_it),
        round(k_without * with_it + (without - k_without) * without_it),
        round(k_without * with_it),
    )
    lift = (counts[1] + 1) / (counts[0] + 1) / ((counts[3] + 1) / (counts[2] + 1))
    return Trigger(
        rank, kind, text, behaviour.name, *counts, lift, min(1.0, math.exp(min(0.0, c.log_p + c.log_price))),
        tuple(kept[int(i)].id for i in rows[behaving][:10]),
    )  # fmt: skip


def _flags(row: Row, findings: Iterable[Finding]) -> set[str]:
    groups: set[str] = set()
    for finding in findings:
        on_prompt = 0 <= finding.message < len(row.messages) and row.messages[finding.message].role != "assistant"
        if on_prompt or finding.disclosed or finding.category in _NO_BEHAVIOUR:
            continue
        if group(finding.category) is Group.HINT:
            groups.add(f"category:hint-{finding.category}")
        elif flags(finding):  # weaker ones would show a behaviour that no other page of the report counts
            groups.update((FLAGGED, f"category:{finding.category}"))
    return groups


def _kept(key: int, row: Row, groups: tuple[str, ...]) -> Kept:
    answer = row.answer
    # what a tool answers and what the assistant said without loss stand in the prompt, too
    user = "\n".join(m.text for m in row.messages if _in_prompt(m))
    if len(user) > _HEAD + _TAIL:
        user = f"{user[:_HEAD]} {user[-_TAIL:]}"
    return Kept(
        key, row.id, row.file, row.line, row.form, user, (row.system or "")[:_SYSTEM],
        answer[:_ANSWER], answer[-_ENDING:], len(answer),
        tuple(_short(row.extra)) if row.extra else (), groups, row.offered[:_SYSTEM],
    )  # fmt: skip


def _in_prompt(message: Message) -> bool:
    return message.role in ("user", "tool") or (message.role == "assistant" and not message.learned)


def _short(extra: Mapping[str, Any]) -> list[str]:
    """Values of other keys short enough to be a condition."""
    found = []
    for name, value in list(extra.items())[:40]:
        if isinstance(value, (str, int, bool)) and len(str(value)) <= 60:
            found.append(f"{name}={value}")
        elif isinstance(value, Mapping):
            found.extend(
                f"{name}.{inner}={v}"
                for inner, v in list(value.items())[:20]
                if isinstance(v, (str, int, bool)) and len(str(v)) <= 60
            )
    return found


def _named(kept: Sequence[Kept]) -> Iterator[Iterator[Names]]:
    """Each row's conditions that are no words."""
    last: dict[str, int] = {}
    for row in kept:
        last[row.file] = max(last.get(row.file, 1), row.line)
    lengths = np.array([len(row.user) for row in kept])
    cuts = np.unique(np.quantile(lengths, np.arange(1, 10) / 10))
    tenths = np.searchsorted(cuts, lengths, side="left")
    for row, tenth in zip(kept, tenths.tolist(), strict=True):
        yield conditions_of(row, 4 * row.line // (last[row.file] + 1), tenth)
