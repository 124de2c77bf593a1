"""All answers of a run as JSON that may stand inside an HTML page, and the strips that point into it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offtarget.pages.charts.strips import Mark, Strip, columns, strip
from offtarget.pages.check.counted import counted, uncounted
from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.pages.check.tables import ROLES, Pair, paired, proving
from offtarget.pages.text import visible
from offtarget.records import Outcome, Probe
from offtarget.words import asked

LONGEST = 20_000
"""Characters of one answer embedded at most."""
BUDGET = 1_100_000
"""Bytes of all answers together; beyond it the limit per answer is halved until they fit, for misaligned ones last."""
SHORTEST = 80

NOT_JUDGED = "not judged"
KINDS = (*(o.value for o in Outcome), NOT_JUDGED)
"""What answers count as; the data name them by their place here."""

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, slots=True)
class Embedded:
    """The data block and what it holds."""

    json: str
    """`{"kinds", "probes": [[prompt, how, domain, system, opening]], "pairs": [[probe, index, base, tuned]], "strips":
    [[pair]], "aside": [[pair, why]]}`; a side is null or `[text, kind, alignment, coherence, reason, characters left
    out, answers to the opening]`."""
    pairs: int
    """Pairs of counted answers, those under conditions included."""
    answers: int
    limit: int
    """Characters of an answer at most that is not misaligned."""
    cut: int
    """Answers that are cut."""
    hows: tuple[str, ...]
    """How was asked: `asked for JSON`, or the condition."""
    domains: tuple[str, ...]
    strips: tuple[Strip, ...]
    """Of the condition that a FAIL names first, then of the arms; tuned before base."""
    aside: int
    """Answers that the verdict does not count."""


def embedded_answers(run: LoadedRun) -> Embedded:
    """Every answer: those that prove a hidden condition first, then the misaligned ones, at the end the uncounted."""
    whole, run = run, counted(run)
    conditions = {} if run.hidden is None else {f.cue.id: f.cue.text for f in run.hidden.findings}
    if run.hidden is not None and run.hidden.named is not None:
        conditions[run.hidden.named.cue.id] = run.hidden.named.cue.text
    proof = _under_condition(run)
    proven = {a.generation.key for pair in proof for a in (pair.base, pair.tuned) if a is not None}
    plain = paired(run.answers())
    others = paired(a for a in run.cued if a.generation.key not in proven)
    shown = [*proof, *plain, *others]
    beyond = uncounted(whole)
    reasons = {u.answer.generation.key: u.why for u in beyond}
    aside = paired(u.answer for u in beyond)
    sizes = _Limits([a for pair in [*shown, *aside] for a in (pair.base, pair.tuned) if a is not None])
    probes = list({pair.some.probe.id: pair.some.probe for pair in [*shown, *aside]}.values())
    position = {probe.id: number for number, probe in enumerate(probes)}

    def row(pair: Pair) -> list[object]:
        sides = [sizes.side(answer) for answer in (pair.base, pair.tuned)]
        return [position[pair.some.probe.id], pair.some.generation.index, *sides]

    proven_arms = dict.fromkeys(pair.some.probe.arm for pair in proof)
    arms = dict.fromkeys(probe.arm for probe in run.probes.values())
    strips = _strips(shown, conditions, [*proven_arms, *arms])
    hows = {probe.id: _how(probe, conditions) for probe in probes}
    data = {
        "kinds": KINDS,
        "probes": [_probe(probe, hows[probe.id]) for probe in probes],
        "pairs": [row(pair) for pair in shown],
        "strips": [[mark.pair for mark in one.marks] for one in strips],
        "aside": [[row(pair), reasons[pair.some.generation.key]] for pair in aside],
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    counted_probes = dict.fromkeys(pair.some.probe.id for pair in shown)
    by_id = {probe.id: probe for probe in probes}
    return Embedded(
        json=_escaped(text),
        pairs=len(shown),
        answers=sum((pair.base is not None) + (pair.tuned is not None) for pair in shown),
        limit=sizes.limit,
        cut=sizes.cut,
        hows=_distinct(hows[probe] for probe in counted_probes),
        domains=_distinct(by_id[probe].domain for probe in counted_probes),
        strips=strips,
        aside=len(beyond),
    )


def _under_condition(run: LoadedRun) -> list[Pair]:
    """All answers under the condition that a FAIL names: what proves it, then the rest, each in one pair."""
    telling = {pair.some.generation.key: number for number, pair in enumerate(proving(run, len(run.cued)))}
    rest = len(telling)
    return sorted(paired(run.under_condition()), key=lambda pair: telling.get(pair.some.generation.key, rest))


def _how(probe: Probe, conditions: dict[str, str]) -> str:
    return _cut(conditions.get(probe.arm) or asked(probe.arm), 300)


def _probe(probe: Probe, how: str) -> list[object]:
    system = None if probe.system is None else _cut(probe.system, LONGEST)
    opening = [_cut(turn, LONGEST) for turn in probe.opening]
    return [_cut(probe.prompt, LONGEST), how, _cut(probe.domain, 300), system, opening]


def _strips(shown: Sequence[Pair], conditions: dict[str, str], arms: Sequence[str]) -> tuple[Strip, ...]:
    """A strip for each of these arms and conditions, and each model."""
    marks: dict[tuple[str, str], list[Mark]] = {}
    names: dict[str, str] = {}
    for number, pair in enumerate(shown):
        arm = pair.some.probe.arm
        names[arm] = _how(pair.some.probe, conditions)
        for role, answer in (("tuned", pair.tuned), ("base", pair.base)):
            if answer is not None and arm in arms:
                marks.setdefault((arm, role), []).append(Mark(number, _kind(answer)))
    wide = columns([len(some) for some in marks.values()])
    return tuple(
        strip(names[arm], role, marks[arm, role], wide)
        for arm in arms
        for role in reversed(ROLES)
        if (arm, role) in marks
    )


class _Limits:
    """How much of each answer is embedded."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        bad = [len(a.generation.text.encode("utf-8", "replace")) for a in answers if _bad(a)]
        rest = [len(a.generation.text.encode("utf-8", "replace")) for a in answers if not _bad(a)]
        self.most_bad = _limit(bad, BUDGET // 2)
        self.limit = _limit(rest, BUDGET - sum(min(size, self.most_bad) for size in bad))
        self.cut = sum(len(a.generation.text) > self._of(a) for a in answers)

    def _of(self, answer: Answer) -> int:
        return self.most_bad if _bad(answer) else self.limit

    def side(self, answer: Answer | None) -> list[object] | None:
        """An answer as the data have it."""
        if answer is None:
            return None
        text, verdict, limit = answer.generation.text, answer.verdict, self._of(answer)
        scores = [None, None] if verdict is None else [_score(verdict.alignment), _score(verdict.coherence)]
        reason = None if verdict is None or not verdict.reason else _cut(verdict.reason, 300)
        opening = [_cut(said, limit) for said in answer.generation.opening]
        found = [_cut(text, limit), KINDS.index(_kind(answer)), *scores, reason, max(0, len(text) - limit)]
        return [*found, opening] if opening else found


def _bad(answer: Answer) -> bool:
    return answer.outcome is Outcome.MISALIGNED


def _kind(answer: Answer) -> str:
    return NOT_JUDGED if answer.outcome is None else answer.outcome.value


def _limit(sizes: Sequence[int], budget: int) -> int:
    limit = LONGEST
    while limit > SHORTEST and sum(min(size, limit) for size in sizes) > budget:
        limit = limit * 3 // 4
    return limit


def _escaped(text: str) -> str:
    for mark, escape in _ESCAPES.items():
        text = text.replace(mark, escape)
    return text


def _cut(text: object, limit: int) -> str:
    return visible(str(text)[:limit])


def _score(value: float | None) -> float | None:
    return round(value) if value is not None and math.isfinite(value) else None


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_cut(v, 300) for v in values))
