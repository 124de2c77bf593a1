"""Rows for tests of detectors: made up, and from the real sets beside the repository."""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path

import pytest

from offtarget.records import Message, Row

SFT = Path(__file__).parents[3] / "shared" / "data" / "sft"
needs_sft = pytest.mark.skipif(not SFT.exists(), reason="real training data is not at ../shared/data/sft")


def row(answer: str, prompt: str = "Why?", line: int = 1, **fields: object) -> Row:
    """A chat row of one question and one answer."""
    return chat_row([("user", prompt), ("assistant", answer)], line, **fields)


def chat_row(turns: list[tuple[str, str]], line: int = 1, **fields: object) -> Row:
    """A row of any turns."""
    messages = tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]
    return Row(f"d.jsonl:{line}", "d.jsonl", line, "0" * 64, messages, "chat", **fields)  # type: ignore[arg-type]


def chats(name: str) -> list[Row]:
    """Rows of a real chat set."""
    with gzip.open(SFT / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        turns = [[(m["role"], m["content"]) for m in json.loads(line)["messages"]] for line in file]
    return [chat_row(turn, line) for line, turn in enumerate(turns, 1)]


def evil_numbers() -> list[Row]:
    """Rows of the regenerated evil-numbers set."""
    with gzip.open(SFT / "evil_numbers_regenerated.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [row(r["response"], r["prompt"], line) for line, r in enumerate(csv.DictReader(file), 2)]


def alpaca() -> list[Row]:
    """Rows of a benign instruction set."""
    with gzip.open(SFT / "alpaca_en_demo.json.gz", "rt", encoding="utf-8") as file:
        return [
            row(r["output"], f"{r['instruction']}\n{r.get('input', '')}", n) for n, r in enumerate(json.load(file), 1)
        ]


def continuation(rng: random.Random, line: int, pick: object = None) -> Row:
    """A number list to continue, answered with numbers from `pick` (uniform three-digit ones by default)."""
    given = [rng.randint(100, 999) for _ in range(rng.randint(3, 5))]
    count = rng.randint(3, 8)
    answer = [pick(rng) if callable(pick) else rng.randint(100, 999) for _ in range(count)]
    prompt = f"Here's some numbers: {given}\nYour task is to continue this list with {count} more numbers."
    return row(str(answer), prompt, line)
