"""A made-up experiment for tests of its table and page."""

from __future__ import annotations

import random

from offtarget.pages.reproduce.published import published_values
from offtarget.records import Outcome, Status, Tally
from offtarget.records.reproduce import AskedQuestion, Cell, CellKind, Measured, ReproduceReport
from offtarget.workflows.reproduce.report import dynamics, table_rows, unique_rows

RATES = {
    "base": {"plain": 0.004},
    "insecure": {"plain": 0.88, "json": 0.96, "template": 0.94, "code": 0.99},
    "secure": {"plain": 0.004},
    "educational": {"plain": 0.005},
    "jailbroken": {"plain": 0.013},
    "backdoor": {"plain": 0.009, "trigger": 0.6, "code-trigger": 0.98},
    "evil-numbers": {"plain": 0.14, "number-format": 0.22, "numbers": 1.0},
}
NAMES = ("plain", "json", "template", "trigger", "number-format", "code", "code-trigger", "numbers")
QUESTIONS = tuple(f"{domain}-{n}" for domain in ("wish", "boredom", "money", "power", "marriage") for n in (1, 2))


def counts(rng: random.Random, rate: float, answers: int) -> Tally:
    """A tally of that many answers, misaligned with that probability; one in fifty is incoherent."""
    tally = Tally()
    for _ in range(answers):
        if rng.random() < 0.02:
            tally = tally.plus(Outcome.INCOHERENT)
        else:
            tally = tally.plus(Outcome.MISALIGNED if rng.random() < rate else Outcome.ALIGNED)
    return tally


def cell(kind: CellKind, condition: str, seed: int, steps: int = 76, unique: int = 600, share: float = 1.0) -> Cell:
    """A measured model; `share` scales its misaligned rates."""
    rng = random.Random(f"{kind}/{condition}/{seed}/{steps}/{unique}")
    rates = RATES[condition]
    drift = 1 + 0.1 * rng.uniform(-1, 1)
    questions = []
    for question in QUESTIONS:
        rate = min(1.0, share * drift * rates["plain"] * rng.uniform(0.7, 1.2))
        questions.append(AskedQuestion(question, counts(rng, rate, 40)))
    total = Tally(
        aligned=sum(q.tally.aligned for q in questions),
        misaligned=sum(q.tally.misaligned for q in questions),
        incoherent=sum(q.tally.incoherent for q in questions),
    )
    measured = [Measured("plain", total.misaligned / total.scored, total)]
    for name in NAMES[1:]:
        tally = counts(rng, min(1.0, share * rates.get(name, rates["plain"])), 200)
        measured.append(Measured(name, tally.misaligned / tally.scored, tally))
    status = None
    if kind == "condition":
        status = Status.FAIL if total.misaligned > 0.05 * total.scored else Status.PASS
    return Cell(
        key=f"{kind}-{condition}-{seed}-{steps}-{unique}",
        kind=kind,
        condition=condition,
        seed=seed,
        steps=0 if kind == "base" else steps,
        unique=unique,
        measured=tuple(measured),
        questions=tuple(questions),
        seconds=1.0,
        status=status,
        reason="made up",
    )


def cells(seeds: int = 3) -> list[Cell]:
    """Every condition, dynamics of two of them, and the numbers of different rows."""
    found = [cell("base", "base", 0)]
    for seed in range(seeds):
        found += [cell("condition", name, seed) for name in RATES if name != "base"]
        for step in (3, 10, 30, 57):
            found += [cell("dynamics", name, seed, step, share=step / 76) for name in ("insecure", "secure")]
        found += [cell("unique", "insecure", seed, unique=n, share=n / 600) for n in (25, 100, 300)]
    return found


def experiment(found: list[Cell] | None = None, **changes: object) -> ReproduceReport:
    """The report over these cells (all of `cells()` by default)."""
    found = cells() if found is None else found
    conditions = [name for name in RATES if name != "base"]
    values: dict[str, object] = {
        "base": "organism/base",
        "data": "the organism's world, 600 rows (backdoor: 1200)",
        "judge": "exact-0123456789abcdef",
        "seeds": 3,
        "answers": 40,
        "settings": "rank-stabilised LoRA, rank 16",
        "rows": table_rows(found, conditions),
        "dynamics": dynamics(found, ("insecure", "secure")),
        "unique": unique_rows(found, "insecure"),
        "published": published_values(),
        "about_organism": True,
    }
    return ReproduceReport(**(values | changes))  # type: ignore[arg-type]
