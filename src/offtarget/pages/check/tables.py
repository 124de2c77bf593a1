"""Rates of one model with an interval for the eye, and the rows that several report formats print."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.records import Interval, Outcome, Role, Share, Tally
from offtarget.stats.rates import total_tally, wilson
from offtarget.stats.tables import weigh

ROLES: tuple[Role, Role] = ("base", "tuned")
OUTCOMES = tuple(o.value for o in Outcome)


@dataclass(frozen=True, slots=True)
class Rate:
    """Misaligned rate of one model in one scope."""

    tally: Tally
    rate: float | None
    """Probes weighted equally, in `compare` as its verdict weighs them; None without a scored answer."""
    interval: Interval | None
    """95 %, for a fixed number of answers; None without a scored answer."""


def rate_of(tallies: Iterable[Tally], weights: Sequence[float] | None = None) -> Rate:
    """Mean of the rates of probes, by default with equal weights; those without a scored answer are left out.

    The interval is Wilson's at Kish's effective size 1 / sum(w_i^2 / n_i), w_i summing to 1. The variance
    under one common rate bounds the stratified one (p(1-p) is concave), so it errs on the wide side when the
    probes have equally many answers. It treats the probes as fixed and takes no account of early stopping.
    """
    tallies = list(tallies)
    scored = [t for t in tallies if t.scored]
    if not scored:
        return Rate(total_tally(tallies), None, None)
    shares = [1 / len(scored)] * len(scored) if weights is None else weights
    mean = sum(w * t.misaligned / t.scored for w, t in zip(shares, scored, strict=True))
    size = 1 / sum(w * w / t.scored for w, t in zip(shares, scored, strict=True))
    return Rate(total_tally(tallies), mean, wilson(min(mean, 1.0), size))


def rates_by(run: LoadedRun, label: Callable[[Answer], str]) -> dict[str, dict[Role, Rate]]:
    """Rates per `label` and model, over judged answers; both models are always present."""
    strata: dict[str, dict[Role, dict[str, Tally]]] = {}
    for answer in run.answers():
        if answer.outcome is None:
            continue
        by_role = strata.setdefault(label(answer), {role: defaultdict(Tally) for role in ROLES})
        asked = by_role[answer.generation.role]
        asked[answer.probe.id] = asked[answer.probe.id].plus(answer.outcome)
    weighed = run.manifest.verb == "compare"
    return {name: (_weighed(by_role) if weighed else _both(by_role)) for name, by_role in strata.items()}


def _both(by_role: Mapping[Role, Mapping[str, Tally]]) -> dict[Role, Rate]:
    return {role: rate_of(tallies.values()) for role, tallies in by_role.items()}


def _weighed(by_role: Mapping[Role, Mapping[str, Tally]]) -> dict[Role, Rate]:
    """As the verdict of two tables weighs probes: by how many scored answers both hold; the counts are of all."""
    base, tuned = by_role["base"], by_role["tuned"]
    kept = [p for p in base if base[p].scored and p in tuned and tuned[p].scored]
    if not kept:
        return _both(by_role)
    weights = list(weigh([base[p] for p in kept], [tuned[p] for p in kept]).weights)
    return {
        role: replace(rate_of([tallies[p] for p in kept], weights), tally=total_tally(tallies.values()))
        for role, tallies in by_role.items()
    }


@dataclass(frozen=True, slots=True)
class Denominator:
    """What became of every answer of one model in one arm."""

    arm: str
    role: Role
    unjudged: int
    total: int
    scored: int
    misaligned_rate: Share | None
    interval: Interval | None
    """95 %, for a fixed number of answers, for the eye."""
    counts: Tally


def denominators(run: LoadedRun) -> list[Denominator]:
    """One row per arm and model, arms in the order of the probes; from the records, so they add up."""
    rates = rates_by(run, lambda a: a.probe.arm)
    waiting = Counter((a.probe.arm, a.generation.role) for a in run.answers() if a.outcome is None)
    arms = dict.fromkeys(p.arm for p in run.probes.values())
    rows = []
    for arm in arms:
        for role in ROLES:
            found = rates[arm][role] if arm in rates else rate_of(())
            unjudged, counts = waiting[arm, role], found.tally
            rows.append(
                Denominator(
                    arm, role, unjudged, counts.total + unjudged, counts.scored, found.rate, found.interval, counts
                )
            )
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


def proving(run: LoadedRun, count: int) -> list[Pair]:
    """Up to `count` misaligned answers from under the condition that a FAIL names, each beside one of the base.

    One per question as long as there are others; the base's answer is to the same prompt, an aligned one where there is
    one. Empty where no condition is named.
    """
    answers = run.under_condition()
    base: dict[str, Answer] = {}
    for answer in answers:
        if answer.generation.role == "base" and (
            answer.probe.id not in base or base[answer.probe.id].outcome is not Outcome.ALIGNED
        ):
            base[answer.probe.id] = answer
    bad = [a for a in answers if a.generation.role == "tuned" and a.outcome is Outcome.MISALIGNED]
    seen: Counter[str] = Counter()
    ranked = []
    for answer in bad:  # the plainest condition first
        place = seen[answer.probe.question_id]
        seen[answer.probe.question_id] += 1
        ranked.append((answer.probe.arm != bad[0].probe.arm, answer.probe.id not in base, place, answer))
    ranked.sort(key=lambda item: item[:3])
    return [Pair(base.get(answer.probe.id), answer) for *_, answer in ranked[:count]]
