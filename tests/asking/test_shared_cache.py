"""Base answers that another process keeps meanwhile are found without opening the cache again."""

from __future__ import annotations

from pathlib import Path

from offtarget.asking.cache import BaseCache
from offtarget.records import Generation, Probe, SamplingSettings


def test_what_another_process_keeps_is_taken_in_and_a_torn_line_waits(tmp_path: Path) -> None:
    mine, other = (BaseCache("model", SamplingSettings(), 0, tmp_path) for _ in range(2))
    probe = Probe("a", "a", "plain", "How?")
    answers = [
        Generation(role="base", probe_id="a", index=index, seed=0, text="So.", tokens=2, finish="stop")
        for index in (0, 1)
    ]
    other.put([(probe, answers[0])])
    assert not mine.holds(probe, 0)
    mine.refresh()
    assert mine.holds(probe, 0)
    (file,) = (tmp_path / "base").glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"probe": "half')
    mine.refresh()
    other.put([(probe, answers[1])])
    mine.refresh()
    assert mine.holds(probe, 1)
