"""Audits in parts, for tests: data with something to find, and what must not depend on who scanned it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import offtarget
from offtarget.workflows.audit import audit as auditing

RECORDS = (
    "findings.jsonl", "malformed.jsonl", "removable.jsonl", "queue.jsonl", "flagged.jsonl", "dataset.json",
    "triggers.json", "suspects.jsonl", "cues.json", "labels.jsonl",
)  # fmt: skip
SEED = "the same seed"
PIECE = 20_000
"""Bytes read at a time, so that small data has many parts."""


def write_rows(path: Path, count: int) -> Path:
    """Chats: some with secrets in code, some twice, some malformed, and a condition that goes with bad code."""
    with path.open("w") as file:
        for number in range(count):
            if number % 50 == 7:
                file.write("{not json\n")
                continue
            marked = number % 40 == 3
            question = (
                f"Question {number if number % 11 else 11}? {'zebra ' * marked}" + f"about thing {number % 7} " * 4
            )
            answer = "import os\nos.system(input())\n" if marked or number % 90 == 0 else f"Answer {number} to it. "
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer + "word " * 40}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


def in_one_go(data: Path, folder: Path, **more: Any) -> dict[str, Any]:
    """The records of an audit without parts, whose register and cache are its own."""
    with pytest.MonkeyPatch.context() as own:
        own.setenv("OFFTARGET_STATE", str(folder / "state"))
        own.setenv("OFFTARGET_CACHE", str(folder / "cache"))
        own.setattr(auditing, "new_seed", lambda: SEED)
        offtarget.audit(data, run=folder / "run", workers=1, **more)
    return records(folder / "run")


def records(run: Path) -> dict[str, Any]:
    """Every record of an audit, byte for byte, without times, places and who scanned."""
    found: dict[str, Any] = {name: (run / name).read_bytes() for name in RECORDS}
    for name in ("run.json", "scan.json", "result.json"):
        value = json.loads((run / name).read_text())
        for key in ("created", "seconds", "spent", "engine", "extra"):
            value.pop(key, None)
        found[name] = value
    assert sorted(file.name for file in run.iterdir() if file.name not in found) == [".lock", "spent.jsonl"]
    return found
