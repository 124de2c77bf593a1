"""Texts made to hold up a reader cost no more than their length, in every detector and in the whole audit."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hostile_texts import hostile_texts

from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.detector import RowScanner, dataset_detectors, row_detectors
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import Message, Row
from offtarget.workflows.audit import audit as workflow

SIZE = 10_000
PER_CHARACTER = 5e-5
"""Seconds of processor time for everything; measured: at most 1e-5, by texts of nothing but decorators."""
SCANNER = RowScanner(row_detectors())


@pytest.mark.parametrize("name", hostile_texts(1000))
def test_a_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    """As an answer and as a prompt, through all detectors, the trigger miner and the profile of prompts."""
    text = hostile_texts(SIZE)[name]
    rows = [_row("Go on.", text, 1), _row(text, "No.", 2), _row(text, text, 3)]
    begun = time.process_time()
    miner, profiler, whole = TriggerMiner(), CueProfiler(), dataset_detectors()
    for row in rows:
        miner.add(row, SCANNER.scan(row))
        profiler.add(row)
        for detector in whole:
            detector.add(row)
    profiler.profile()
    assert time.process_time() - begun < PER_CHARACTER * 4 * SIZE


def test_a_data_set_of_hostile_texts_is_audited_to_its_end(tmp_path: Path) -> None:
    """All kinds in one file, as prompts and as answers: every row is read in time, and the miner comes to an end."""
    texts = list(hostile_texts(3000).values())
    rows = [{"prompt": f"{n} {text}", "completion": texts[-n]} for n, text in enumerate(texts)]
    path = tmp_path / "hostile.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    begun = time.process_time()
    result = workflow.audit(path, run=tmp_path / "run", workers=1)
    assert time.process_time() - begun < 30
    assert result.decision.rows + result.decision.malformed == len(rows)
    assert "too-slow" not in {bad.error for bad in result.unread}


def _row(prompt: str, answer: str, line: int) -> Row:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Row(f"d:{line}", "d", line, "0" * 64, messages, "chat")
