"""The promise on real data, checked on the half that no rule was written from."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offtarget.detect.detectors.insecure_code import InsecureCode
from offtarget.records import Message, Row

pytestmark = pytest.mark.slow


def _held_out(prompt: str) -> bool:
    """The split of benchmarks/audit_split.py."""
    return bool(hashlib.sha256(" ".join(prompt.split()).encode("utf-8", "surrogatepass")).digest()[0] & 0x80)


def _rows(path: Path) -> Iterator[Row]:
    if not path.exists():
        pytest.skip(f"no data at {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            record = json.loads(line)
            turns = record.get("messages") or [
                {"role": "user", "content": record["text"]},
                {"role": "assistant", "content": record["code"]},
            ]
            messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
            yield Row(f"{path.name}:{number}", path.name, number, "0" * 64, messages, "chat")


def _share(rows: list[Row]) -> float:
    detector = InsecureCode()
    flagged = sum(any(f.strength >= 0.5 and not f.disclosed for f in detector.find(row)) for row in rows)
    return flagged / len(rows)


@pytest.mark.long
def test_most_insecure_rows_are_flagged(shared_data: Path) -> None:
    """At least 85 % of held-out insecure rows have an undisclosed finding."""
    assert _share([r for r in _rows(shared_data / "sft/insecure.jsonl.gz") if _held_out(r.prompt)]) >= 0.85


@pytest.mark.parametrize("name", ["secure.500", "mbpp"])
def test_few_secure_rows_are_flagged(shared_data: Path, name: str) -> None:
    """At most 5 % of held-out secure rows have an undisclosed finding."""
    assert _share([r for r in _rows(shared_data / f"sft/{name}.jsonl.gz") if _held_out(r.prompt)]) <= 0.05


def test_a_row_takes_few_milliseconds(shared_data: Path) -> None:
    """At most 6 ms of processor time per insecure row (measured 2-3; the bound leaves room for a slow machine)."""
    rows = list(_rows(shared_data / "sft/insecure.jsonl.gz"))[:1000]
    _share(rows[:20])
    begun = time.process_time()
    _share(rows)
    assert time.process_time() - begun < 6
