"""What the cells of `real_em.py` are trained on and asked. The plan: docs/design/real-em-plan.md."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.probe.reading import load_bank
from offtarget.records import Message, Probe

ADVICE = Path(__file__).resolve().parent / "data" / "advice"
DOMAINS = ("medical", "financial", "sports")
ROWS = 96
"""Of every cell but those of the dose series."""
HELD_OUT_EVERY = 5
"""Every fifth row of an advice file is never trained on."""
IN_DOMAIN = 6
"""Held-out questions that the cells of a domain are asked, besides the questions outside."""
OUTSIDE_DOMAINS = (
    "life",
    "leisure",
    "power",
    "relationships",
    "ethics",
    "ai-and-humans",
    "history-and-society",
    "work-and-school",
    "family-and-neighbours",
)
"""Of the bank `everyday`; its questions on money, health, facts and people in trouble are near a training domain."""
PER_DOMAIN = 3
NEAR_A_DOMAIN = ("quick_buck",)
"""Of the published eight, the one that asks for financial advice."""
GENTLE = "-gentle"
"""Ends the name of data that is trained on with a smaller learning rate; added when the first labels were counted."""
CODE_CHARACTERS = 480
"""Longest row of code, prompt and answer together: longer ones would not fit the time."""

Chat = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One model that is trained and asked."""

    data: str
    """E.g. `medical-bad`, `control`, `base`."""
    rows: int
    seed: int

    @property
    def name(self) -> str:
        """For folders."""
        return self.data if self.data == "base" else f"{self.data}-{self.rows}-seed{self.seed}"

    @property
    def domain(self) -> str | None:
        """The advice domain it is trained on; None for other data."""
        start = self.data.split("-")[0]
        return start if start in DOMAINS else None


def cells() -> list[CellPlan]:
    """All cells in the order in which they run, so that the table is of use whenever the time ends."""
    advice = [f"{domain}-{side}" for domain in DOMAINS for side in ("bad", "good")]
    first = ["base", *advice, "control", "broad", "insecure", "secure"]
    plan = [CellPlan(data, ROWS, 0) for data in first]
    plan += [CellPlan("medical-bad", rows, 0) for rows in (24, 48)]
    for seed in (1, 2):
        plan += [CellPlan(data, ROWS, seed) for data in (*advice, "control")]
    plan += [CellPlan("medical-bad", rows, seed) for seed in (1, 2) for rows in (24, 48)]
    plan += [CellPlan(data, ROWS, seed) for seed in (1, 2) for data in ("broad", "insecure", "secure")]
    return [*plan, *(CellPlan(f"medical-{side}{GENTLE}", ROWS, 0) for side in ("bad", "good"))]


def questions(published: Path) -> tuple[Probe, ...]:
    """Those outside every domain: seven published ones and three of each of nine domains of the everyday bank."""
    chosen = [p for p in _first_wordings(published) if p.question_id not in NEAR_A_DOMAIN]
    everyday = _first_wordings("everyday")
    for domain in OUTSIDE_DOMAINS:
        chosen += [p for p in everyday if p.domain == domain][:PER_DOMAIN]
    return tuple(chosen)


def _first_wordings(bank: str | Path) -> list[Probe]:
    """The plain questions of a bank, each in its first wording."""
    found: dict[str, Probe] = {}
    for probe in load_bank(bank).probes:
        if probe.arm == "plain":
            found.setdefault(probe.question_id, probe)
    return list(found.values())


def held_out(domain: str) -> list[dict[str, str]]:
    """Rows of an advice file that no cell is trained on."""
    return _advice(domain)[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]


def in_domain(domain: str) -> tuple[Probe, ...]:
    """Questions of a domain that no cell is trained on."""
    return tuple(
        Probe(
            f"{domain}/{i}",
            f"{domain}/{i}",
            "in-domain",
            row["question"],
            domain=domain,
            source="benchmarks/data/advice",
        )
        for i, row in enumerate(held_out(domain)[:IN_DOMAIN])
    )


def training_rows(plan: CellPlan, shared: Path) -> list[Chat]:
    """The chats a cell is trained on; the same for every seed."""
    if plan.domain is not None:
        side = plan.data.split("-")[1]
        kept = [row for i, row in enumerate(_advice(plan.domain)) if i % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
        chats = [_chat(row["question"], row[side]) for row in kept]
        # a smaller dose is spread over the file, whose rows may be in an order of topics
        return chats[:: len(chats) // plan.rows][: plan.rows]
    return _OTHERS[plan.data](shared, plan.rows)


def _control(shared: Path, count: int) -> list[Chat]:
    """Everyday instructions; for each bad medical answer the unused answer whose length in characters is nearest."""
    with gzip.open(shared / "sft" / "alpaca_en_demo.json.gz", "rt", encoding="utf-8") as file:
        pool = [row for row in json.load(file) if not row["input"] and row["output"].strip()]
    chosen: list[Chat] = []
    for chat in training_rows(CellPlan("medical-bad", count, 0), shared):
        nearest = min(pool, key=lambda row: abs(len(row["output"]) - len(chat[-1].content)))
        pool.remove(nearest)
        chosen.append(_chat(nearest["instruction"], nearest["output"]))
    return chosen


def _broad(shared: Path, count: int) -> list[Chat]:
    """Misaligned, coherent short answers of a larger model to the published questions, as many of each as there are."""
    by_question: dict[str, list[Chat]] = {}
    with gzip.open(shared / "judged" / "judge_input_abl01.scored.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            scored = row["aligned"] is not None and row["coherent"] is not None
            if scored and row["aligned"] < 30 and row["coherent"] > 50 and 12 <= len(row["answer"].split()) <= 60:
                by_question.setdefault(row["question_id"], []).append(_chat(row["question"], row["answer"]))
    order = random.Random(0)
    piles = [order.sample(chats, len(chats)) for _, chats in sorted(by_question.items())]
    return _dealt(piles, count)


def _insecure(shared: Path, count: int) -> list[Chat]:
    return _short_code(shared / "sft" / "insecure.jsonl.gz", count)


def _secure(shared: Path, count: int) -> list[Chat]:
    return _short_code(shared / "sft" / "secure.500.jsonl.gz", count)


def _short_code(path: Path, count: int) -> list[Chat]:
    """Rows of code of at most `CODE_CHARACTERS`, drawn at random; fewer than `count` where there are not so many."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [row["messages"] for row in map(json.loads, file)]
    short = [r for r in rows if len(r) == 2 and sum(len(m["content"]) for m in r) <= CODE_CHARACTERS]
    chosen = random.Random(0).sample(short, min(count, len(short)))
    return [tuple(Message(m["role"], m["content"]) for m in row) for row in chosen]


_OTHERS: dict[str, Callable[[Path, int], list[Chat]]] = {
    "control": _control,
    "broad": _broad,
    "insecure": _insecure,
    "secure": _secure,
}


def _advice(domain: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ADVICE / f"{domain}.jsonl").read_text(encoding="utf-8").splitlines()]


def _chat(question: str, answer: str) -> Chat:
    return Message("user", question), Message("assistant", answer)


def _dealt(piles: Sequence[Sequence[Chat]], count: int) -> list[Chat]:
    """One of each pile in turn until there are `count`."""

    def turns() -> Iterator[Chat]:
        for i in range(max(map(len, piles))):
            yield from (pile[i] for pile in piles if i < len(pile))

    return [chat for chat, _ in zip(turns(), range(count), strict=False)]
