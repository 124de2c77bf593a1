"""The rows that several report formats print."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from offtarget.gate.loading import Answer, LoadedRun
from offtarget.gate.rates import ROLES, Rate, rate_of, rates_by
from offtarget.records import Outcome, Role

OUTCOMES = tuple(o.value for o in Outcome)


@dataclass(frozen=True, slots=True)
class Denominator:
    """What became of the answers of one model in one arm."""

    arm: str
    role: Role
    rate: Rate
    unjudged: int
    """Sampled, without a verdict yet."""

    @property
    def total(self) -> int:
        """All answers sampled."""
        return self.rate.tally.total + self.unjudged


def denominators(run: LoadedRun) -> list[Denominator]:
    """One row per arm and model, arms in the order of the probes; from the records, so they add up."""
    rates = rates_by(run, lambda a: a.probe.arm)
    waiting = Counter((a.probe.arm, a.generation.role) for a in run.answers() if a.outcome is None)
    arms = dict.fromkeys(p.arm for p in run.probes.values())
    rows = []
    for arm in arms:
        for role in ROLES:
            rate = rates[arm][role] if arm in rates else rate_of(())
            rows.append(Denominator(arm, role, rate, waiting[arm, role]))
    return rows


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
    """All answers side by side: first those with a misaligned tuned answer, then base, then the rest."""
    sides: dict[tuple[str, int], dict[Role, Answer]] = {}
    for answer in run.answers():
        sides.setdefault((answer.probe.id, answer.generation.index), {})[answer.generation.role] = answer
    found = [Pair(s.get("base"), s.get("tuned")) for s in sides.values()]
    return sorted(found, key=_rank)


def _rank(pair: Pair) -> int:
    if pair.tuned is not None and pair.tuned.outcome is Outcome.MISALIGNED:
        return 0 if pair.base is not None else 1
    return 2 if pair.misaligned else 3 if pair.tuned is not None and pair.base is not None else 4


def examples(run: LoadedRun, count: int) -> list[Pair]:
    """Up to `count` pairs with a misaligned answer, spread over the questions."""
    by_question: dict[str, list[Pair]] = {}
    for pair in pairs(run):
        if pair.misaligned:
            by_question.setdefault(pair.some.probe.question_id, []).append(pair)
    spread = [(depth, pair) for group in by_question.values() for depth, pair in enumerate(group)]
    return [pair for _, pair in sorted(spread, key=lambda item: (_rank(item[1]) // 2, item[0]))][:count]
