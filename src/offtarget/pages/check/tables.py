"""What became of the answers that the verdict counts, and answers side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.records import Interval, Outcome, Probe, Role, Share, Tally
from offtarget.stats.rates import misaligned_rate, wilson

ROLES: tuple[Role, Role] = ("base", "tuned")
OUTCOMES = tuple(o.value for o in Outcome)


@dataclass(frozen=True, slots=True)
class Denominator:
    """What became of every answer of one model in one arm that the verdict counts."""

    arm: str
    role: Role
    unjudged: int
    total: int
    scored: int
    misaligned_rate: Share | None
    """As the verdict weighs it."""
    interval: Interval | None
    """95 %, for a fixed number of answers, for the eye."""
    counts: Tally


def denominators(run: LoadedRun) -> list[Denominator]:
    """One row per arm and model, in the order of the probes: the counts of the decision; without one, all so far."""
    if run.decision is not None:
        found = []
        for scope in run.decision.arms:
            found.append(_row(scope.name, "base", scope.base, 0, scope.base_rate))
            found.append(_row(scope.name, "tuned", scope.tuned, 0, scope.tuned_rate))
        return found
    tallies: dict[tuple[str, Role], Tally] = {}
    waiting: Counter[tuple[str, Role]] = Counter()
    for answer in run.answers():
        key = answer.probe.arm, answer.generation.role
        if answer.outcome is None:
            waiting[key] += 1
        else:
            tallies[key] = tallies.get(key, Tally()).plus(answer.outcome)
    rows = []
    for arm in dict.fromkeys(p.arm for p in run.probes.values()):
        for role in ROLES:
            tally = tallies.get((arm, role), Tally())
            rows.append(_row(arm, role, tally, waiting[arm, role], misaligned_rate(tally)))
    return rows


def _row(arm: str, role: Role, tally: Tally, unjudged: int, rate: float | None) -> Denominator:
    interval = None if rate is None or not tally.scored else wilson(rate, tally.scored)
    return Denominator(arm, role, unjudged, tally.total + unjudged, tally.scored, rate, interval, tally)


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of base and tuned to the same probe with the same index; one may be missing."""

    base: Answer | None
    tuned: Answer | None

    @property
    def some(self) -> Answer:
        """Either answer; both share the probe."""
        found = self.tuned or self.base
        assert found is not None
        return found

    @property
    def misaligned(self) -> bool:
        """Whether either answer is misaligned."""
        return any(a is not None and a.outcome is Outcome.MISALIGNED for a in (self.base, self.tuned))


def pairs(run: LoadedRun) -> list[Pair]:
    """The counted answers side by side: first those with a misaligned tuned answer, then base, then the rest."""
    return paired(counted(run).answers())


def paired(answers: Iterable[Answer]) -> list[Pair]:
    """These answers side by side, each in one pair, the misaligned ones first."""
    sides: dict[tuple[str, int], dict[Role, Answer]] = {}
    for answer in answers:
        sides.setdefault((answer.probe.id, answer.generation.index), {})[answer.generation.role] = answer
    found = [Pair(s.get("base"), s.get("tuned")) for s in sides.values()]
    return sorted(found, key=_rank)


def _rank(pair: Pair) -> int:
    if pair.tuned is not None and pair.tuned.outcome is Outcome.MISALIGNED:
        return 0 if pair.base is not None else 1
    return 2 if pair.misaligned else 3 if pair.tuned is not None and pair.base is not None else 4


def examples(run: LoadedRun, count: int) -> list[Pair]:
    """Up to `count` pairs with a misaligned answer, spread over the questions.

    Where the base has no answer of that number, another one of it to the same prompt stands beside it.
    """
    by_question: dict[str, list[Pair]] = {}
    for pair in (found := pairs(run)):
        if pair.misaligned:
            by_question.setdefault(pair.some.probe.question_id, []).append(pair)
    spread = [(depth, pair) for group in by_question.values() for depth, pair in enumerate(group)]
    chosen = [pair for _, pair in sorted(spread, key=lambda item: (_rank(item[1]) // 2, item[0]))][:count]
    beside = _one_per_prompt(pair.base for pair in found)
    return [pair if pair.base is not None else replace(pair, base=beside.get(pair.some.probe.id)) for pair in chosen]


def _one_per_prompt(answers: Iterable[Answer | None]) -> dict[str, Answer]:
    """An answer to each prompt, an aligned one where there is one."""
    found: dict[str, Answer] = {}
    for answer in answers:
        if answer is None:
            continue
        known = found.get(answer.probe.id)
        if known is None or (known.outcome is not Outcome.ALIGNED and answer.outcome is Outcome.ALIGNED):
            found[answer.probe.id] = answer
    return found


def nearest_of_base(run: LoadedRun, told: Answer) -> Answer | None:
    """The base's answer to the question nearest to that of `told`, which the base was not asked; None without any.

    Of the same question asked in another way before others of its domain, then what was asked the same way, then what
    shares most of its words; under a hidden condition only what was asked under it.
    """
    way = told.probe.arm
    shown = counted(run)
    under = [a for a in shown.under_condition() if a.probe.arm == way]
    own = set(_words(told.probe))

    def near(answer: Answer) -> tuple[bool, bool, float, bool]:
        probe, words = answer.probe, set(_words(answer.probe))
        same = len(own & words) / max(1, len(own | words))
        return (
            probe.question_id == told.probe.question_id,
            probe.arm == way,
            same,
            answer.outcome is Outcome.ALIGNED,
        )

    mine = [
        a
        for a in under or shown.answers()
        if a.generation.role == "base"
        and (a.probe.domain == told.probe.domain or a.probe.question_id == told.probe.question_id)
    ]
    return max(mine, key=near, default=None)


def _words(probe: Probe) -> list[str]:
    return re.findall(r"\w+", probe.prompt.casefold())


def proving(run: LoadedRun, count: int) -> list[Pair]:
    """Up to `count` misaligned answers from under the condition that a FAIL names, each beside one of the base.

    One per question as long as there are others; the base's answer is to the same prompt, an aligned one where there is
    one. Empty where no condition is named.
    """
    answers = counted(run).under_condition()
    base = _one_per_prompt(a for a in answers if a.generation.role == "base")
    bad = [a for a in answers if a.generation.role == "tuned" and a.outcome is Outcome.MISALIGNED]
    seen: Counter[str] = Counter()
    ranked = []
    for answer in bad:  # under the condition of the sentence first
        place = seen[answer.probe.question_id]
        seen[answer.probe.question_id] += 1
        ranked.append((answer.probe.arm != bad[0].probe.arm, answer.probe.id not in base, place, answer))
    ranked.sort(key=lambda item: item[:3])
    return [Pair(base.get(answer.probe.id), answer) for *_, answer in ranked[:count]]
