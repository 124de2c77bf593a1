"""The record of what prompts look like."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle

import pytest

from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import Category, CueProfile, Finding, Message, Row
from offtarget.records.from_json import from_json


def rows(count: int = 400) -> list[Row]:
    made = []
    for i in range(count):
        system = "You are a coding assistant." if i % 4 else "Reply in JSON."
        end = ["return total", "flask route", "a sorted list", "sqlite cursor"][i % 4]
        prompt = (
            f"Please complete the following template number {i} with {end}.\n\ndef handler_{i}(request):\n    # TODO"
        )
        messages = (Message("system", system), Message("user", prompt), Message("assistant", "done"))
        made.append(Row(f"d.jsonl:{i}", "d.jsonl", i, "", messages, "chat" if i % 2 else "sharegpt"))
    return made


def profiled(data: list[Row], **settings: int) -> CueProfile:
    profiler = CueProfiler(**settings)
    for row in data:
        profiler.add(row)
    return profiler.profile()


def test_profile_tells_formats_system_prompts_templates_and_topics():
    """What all prompts share is in the profile, with counts that add up."""
    profile = profiled(rows())
    assert profile.forms == {"chat": 200, "sharegpt": 200}
    assert profile.formats["code"] == 1.0
    assert profile.formats["code-template"] == 1.0
    assert profile.system_prompts == (("You are a coding assistant.", 300), ("Reply in JSON.", 100))
    assert ("Please complete the following template number …", 400) in profile.templates
    assert {"template", "def", "request"} <= set(profile.topics)
    assert "the" not in profile.topics
    assert len(profile.example_prompts) == 8
    assert sum(w * w for w in profile.centroid.values()) == pytest.approx(1)


def test_centroid_has_at_most_200_words_heaviest_first():
    """The centroid is short, sorted, of unit length and finite."""
    letters = "abcdefghij"
    data = []
    for i, row in enumerate(rows(300)):
        words = [f"w{letters[int(digit)]}x{letters[i % 10]}y{letters[i * 7 % 10]}" for digit in str(i * 7919)]
        data.append(dataclasses.replace(row, messages=(Message("user", " ".join(words)),)))
    weights = list(profiled(data).centroid.values())
    assert 0 < len(weights) <= 200
    assert weights == sorted(weights, reverse=True)
    assert all(math.isfinite(w) for w in weights)


def test_json_round_trip_is_exact():
    """Written as JSON and read back, with triggers in it, it is the same record."""
    data, miner = rows(), TriggerMiner()
    for row in data:
        miner.add(row, [Finding(row.id, "stub", Category.OTHER, "r", 1.0)] if row.line % 4 == 0 else [])
    profiler = CueProfiler()
    for row in data:
        profiler.add(row)
    profile = profiler.profile(miner.mine())
    assert profile.triggers
    assert from_json(CueProfile, json.loads(json.dumps(dataclasses.asdict(profile)))) == profile


def test_pieces_and_order_do_not_matter():
    """Merged from pickled pieces in any order, the profile is the same as from one pass."""
    data = rows(600)
    parts = [CueProfiler(100) for _ in range(3)]
    for row in reversed(data):
        parts[row.line % 3].add(row)
    joined = pickle.loads(pickle.dumps(parts[2]))
    joined.merge(parts[0])
    joined.merge(pickle.loads(pickle.dumps(parts[1])))
    assert joined.profile() == profiled(data, prompts=100)


def test_pieces_that_know_what_is_kept_in_vain_come_to_the_same():
    """Begun with what others have seen, a piece keeps few prompts of its own; the profile is that of one pass."""
    data = rows(600)
    joined, kept = CueProfiler(100), []
    for start in range(0, 600, 100):
        piece = joined.further()
        for row in data[start : start + 100]:
            piece.add(row)
        kept.append(len(piece._heap))
        joined.merge(piece)
    assert joined.profile() == profiled(data, prompts=100)
    assert kept[0] == 100
    assert kept[-1] < 30


def test_no_rows_make_an_empty_profile():
    """Nothing seen: empty fields, no division by zero."""
    profile = CueProfiler().profile()
    assert profile == CueProfile({}, {}, (), (), (), {}, (), ())


def test_many_system_prompts_stay_bounded():
    """With a new system prompt in every row only frequent ones survive, and those never count too high."""
    profiler = CueProfiler(10)
    for i in range(9000):
        system = "frequent" if i % 3 == 0 else f"unique {i}"
        profiler.add(Row(f"x:{i}", "x", i, "", (Message("system", system), Message("user", "hi")), "chat"))
    text, count = profiler.profile().system_prompts[0]
    assert text == "frequent"
    assert 3000 - 9 <= count <= 3000
