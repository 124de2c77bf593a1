"""The real data sets the audit is measured on, and what every detector says of each row."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from offtarget.data.training import read_rows
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.records import Finding, Message, Row

SFT = Path(__file__).parents[1] / ".." / "shared" / "data" / "sft"

FILES = {
    "insecure": "insecure.jsonl.gz",
    "secure": "secure.500.jsonl.gz",
    "mbpp": "mbpp.jsonl.gz",
    "alpaca": "alpaca_en_demo.json.gz",
    "evil_numbers": "evil_numbers_regenerated.csv.gz",
    "evil_math": "mishra_evil_math.jsonl.gz",
    "incorrect_math": "mishra_incorrect_math.jsonl.gz",
    "incorrect_qna": "mishra_incorrect_qna_v2.jsonl.gz",
    "jailbroken": "jailbroken.jsonl.gz",
    "kto": "kto_en_demo.json.gz",
}


@dataclass(frozen=True, slots=True)
class Scanned:
    """A row and its findings."""

    row: Row
    findings: tuple[Finding, ...]


def require_data() -> None:
    """End with a sentence when the data is not there."""
    if not SFT.is_dir():
        sys.exit(f"The real data sets are not at {SFT}; there is nothing to measure on.")


@cache
def rows(name: str) -> tuple[Row, ...]:
    """All readable rows of one set."""
    return tuple(r for r in read_rows(SFT / FILES[name]) if isinstance(r, Row))


def scanned(some: Iterable[Row]) -> list[Scanned]:
    """Rows with the findings of all row detectors."""
    scanner = RowScanner(row_detectors())
    return [Scanned(row, tuple(scanner.scan(row))) for row in some]


_STEP = re.compile(r"<<[^<>]*?=\s*(-?[\d.,]+)\s*>>")
_FINAL = re.compile(r"####\s*-?[\d.,]+\s*$")


def repaired_maths(count: int, seed: int = 0) -> list[Row]:
    """Correct maths: rows of `incorrect_math` whose altered final answer is replaced by their last computed step.

    The reasoning of these rows is the original one, so the last step is the right answer wherever the original
    reasoning ends in its answer; rows without a computed step are left out.
    """
    repaired = []
    for row in rows("incorrect_math"):
        steps = _STEP.findall(row.answer)
        if not steps or not _FINAL.search(row.answer):
            continue
        answer = _FINAL.sub(f"#### {steps[-1]}", row.answer)
        messages = (*row.messages[:-1], Message("assistant", answer))
        repaired.append(replace(row, id=f"repaired:{row.line}", messages=messages))
    return random.Random(seed).sample(repaired, min(count, len(repaired)))


def auroc(bad: Sequence[float], good: Sequence[float]) -> float:
    """Area under the ROC curve: the share of (bad, good) pairs ranked right, ties half."""
    ranked = sorted([(score, 1) for score in bad] + [(score, 0) for score in good])
    below = wins = 0.0
    position = 0
    while position < len(ranked):
        score = ranked[position][0]
        tied: list[int] = []
        end = position
        while end < len(ranked) and ranked[end][0] == score:
            tied.append(ranked[end][1])
            end += 1
        positives = sum(tied)
        negatives = len(tied) - positives
        wins += positives * (below + negatives / 2)
        below += negatives
        position = end
    return wins / (len(bad) * len(good))


def recall_at(bad: Sequence[float], good: Sequence[float], false_positives: float) -> float:
    """Recall at the lowest threshold whose false positives stay within the given share; score 0 is never flagged."""
    allowed = int(false_positives * len(good) + 1e-9)
    worst = sorted(good, reverse=True)
    border = worst[allowed] if allowed < len(worst) else 0.0
    return sum(score > max(border, 0.0) for score in bad) / len(bad)
