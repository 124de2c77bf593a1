"""Rows, controls and a simple decision for the tests of the review page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from offtarget.detect.review.queue import ReviewQueue
from offtarget.detect.review.review import Review
from offtarget.records import (
    AuditDecision,
    AuditSettings,
    Category,
    Finding,
    Label,
    LimitTest,
    Message,
    ReviewPlan,
    Row,
    Status,
)

SEED = "5eed"


def row(number: int, answer: str | None = None, prompt: str | None = None, name: str = "train.jsonl") -> Row:
    messages = (
        Message("user", prompt or f"Question {number}?"),
        Message("assistant", answer or f"This is the answer to question {number}."),
    )
    sha = hashlib.sha256(f"{name}{number}".encode()).hexdigest()
    return Row(f"{name}:{number}", name, number, sha, messages, "chat")


def rows(count: int) -> list[Row]:
    return [row(n) for n in range(1, count + 1)]


def controls(count: int = 14) -> list[Row]:
    return [row(n, f"Planted bad answer {n}.", f"Planted question {n}?", "control") for n in range(count)]


def decide_after(enough: int = 73) -> Callable[[list[Label]], AuditDecision]:
    """PASS after `enough` good random rows, FAIL after three bad ones: the shape of a decision, not its statistics."""

    def decide(labels: list[Label]) -> AuditDecision:
        random = [x for x in labels if x.stream == "random" and x.mark in ("ok", "bad")]
        bad = sum(x.mark == "bad" for x in random)
        status = Status.FAIL if bad >= 3 else Status.PASS if len(random) >= enough else Status.UNDECIDED
        to_go = max(enough - len(random), 1) if status is Status.UNDECIDED else None
        test = LimitTest("noise", 0.05, len(random), bad, None, 0.0, 0.0, status, to_go)
        spreading = LimitTest("spreading", 0.01, len(random), 0, None, 0.0, 0.0, Status.UNDECIDED, 300)
        return AuditDecision(
            status=status,
            reason=f"{bad} of {len(random)} random rows are bad.",
            basis="people",
            settings=AuditSettings(),
            rows=6000,
            malformed=0,
            tests=(test, spreading),
            plan=ReviewPlan(enough, 59, 380, to_go, None),
            not_tested=("backdoors rarer than the sample can see",),
        )

    return decide


def queue(
    random_rows: list[Row] | None = None, flagged: list[Row] | None = None, settings: AuditSettings | None = None
) -> ReviewQueue:
    planted = controls()
    return ReviewQueue(
        rows(200) if random_rows is None else random_rows,
        [row(n) for n in range(150, 190)] if flagged is None else flagged,
        planted,
        {r.id: Category.DECEPTION for r in planted},
        settings or AuditSettings(),
        SEED,
    )


def review(
    folder: Path, enough: int = 73, findings: dict[str, list[Finding]] | None = None, order: ReviewQueue | None = None
) -> Review:
    return Review("train.jsonl", folder / "labels.sqlite", order or queue(), decide_after(enough), findings)
