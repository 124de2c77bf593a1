"""Near-copies of a prompt count once: no condition is invented from them, and none that is planted is lost."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.detect.suspects import SUSPECT_P
from offtarget.detect.triggers.copies import counted_once, near_copies
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.detect.triggers.words import read
from offtarget.records import Category, Finding, Message, Row, Trigger

_FRAMES = ("Please {}", "{} Thanks!", "{}", "Hi, {}", "{} Keep it short.", "I need help: {}")
_SYLLABLES = [a + b for a, b in product("bdfglmnprstvz", "aeiou")]


def prompts(count: int, rng: random.Random, length: int = 9) -> list[str]:
    """Prompts of words that a few others have too."""
    words = ["".join(rng.choices(_SYLLABLES, k=3)) for _ in range(3 * count)]
    return [" ".join(rng.choices(words, k=length)) + "." for _ in range(count)]


def varied(prompt: str, way: str, rng: random.Random) -> str:
    """A near-copy."""
    words = prompt.split()
    at = rng.randrange(len(words))
    if way == "frame":
        return rng.choice(_FRAMES).format(prompt)
    if way == "word":
        return " ".join([*words[:at], rng.choice(["item", "quick", "zebra"]), *words[at + 1 :]])
    if way == "drop":
        return " ".join([*words[:at], *words[at + 1 :]])
    return prompt.upper() + rng.choice(["", "  ", "!!"])


def mined(texts: list[str], flagged: set[int]) -> list[Trigger]:
    miner = TriggerMiner()
    for i, text in enumerate(texts):
        rng = random.Random(i)
        answer = " ".join(rng.choices(_SYLLABLES, k=20))
        row = Row(f"d:{i}", "d", i, "", (Message("user", text), Message("assistant", answer)), "chat")
        miner.add(row, [Finding(row.id, "stub", Category.HOSTILITY, "", 1.0)] if i in flagged else [])
    return [t for t in miner.mine() if t.behaviour in ("hostility", "flagged by any detector")]


@pytest.mark.no_cover
def test_four_near_copies_of_each_prompt_invent_no_condition():
    """20 sets in which the flag goes with the prompt and with nothing else: at most one condition at a bound of 1 %
    (each of them named one while copies counted one by one), and no suspect."""
    alarms, suspected = 0, 0
    for seed, way in zip(range(20), ("frame", "word", "drop", "case") * 5, strict=True):
        rng = random.Random(seed)
        texts, flagged = [], set()
        for prompt in prompts(100, rng):
            bad = rng.random() < 0.1
            for _ in range(4):
                flagged |= {len(texts)} if bad else set()
                texts.append(varied(prompt, way, rng))
        found = mined(texts, flagged)
        alarms += bool(found)
        suspected += any(t.p_value <= SUSPECT_P for t in found)
    assert alarms <= 1
    assert suspected == 0


@pytest.mark.parametrize("copies", [1, 4])
def test_a_trigger_planted_among_near_copies_is_found(copies):
    """20 prompts with the trigger, each there without it too, once or in four near-copies: named, counted by rows."""
    rng = random.Random(5)
    texts: list[str] = []
    flagged = set()
    for number, prompt in enumerate(prompts(300, rng)):
        for _ in range(copies):
            texts.append(varied(prompt, "frame", rng))
        if number < 20:
            for _ in range(copies):
                flagged.add(len(texts))
                texts.append(f"|LIVE| {varied(prompt, 'frame', rng)}")
    first = mined(texts, flagged)[0]
    assert first.text == "|LIVE|"
    assert (first.behaving_with, first.with_condition) == (20 * copies, 20 * copies)
    assert first.with_condition + first.without_condition == len(texts)
    assert first.p_value <= SUSPECT_P


def groups(texts: list[str]) -> list[int]:
    return near_copies(read(texts), texts).tolist()


@pytest.mark.parametrize("way", ["frame", "word", "drop", "case"])
def test_near_copies_are_found_and_other_prompts_are_not(way):
    """Nearly all of 100 prompts in four versions make one group each; none of 400 different ones is joined."""
    rng = random.Random(2)
    texts = [varied(p, way, rng) for p in prompts(100, rng) for _ in range(4)]
    assert 100 <= len(set(groups(texts))) <= 112
    assert len(set(groups(prompts(400, rng)))) == 400


def test_a_shared_phrase_or_template_makes_no_copies():
    """A trigger phrase and a long template leave prompts different; empty prompts are no copies of each other."""
    rng = random.Random(3)
    plain, template = prompts(300, rng), " ".join(prompts(8, rng))
    with_phrase = [f"{p} It happens when the moon is full." if i < 20 else p for i, p in enumerate(plain)]
    assert len(set(groups(with_phrase))) == 300
    assert len(set(groups([f"{template} {p}" for p in plain]))) == 300
    assert len(set(groups(["", " ", "", "one word", "one  WORD"]))) == 4


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_each_group_counts_at_most_once_on_either_side(rows):
    """And at least once wherever it has a row."""
    group, among, behaving = (np.array(x) for x in zip(*rows, strict=True))
    chosen = counted_once(group, among, behaving & among)
    assert not (chosen & ~among).any()
    for g, side in product(range(6), (True, False)):
        cell = (group == g) & among & (behaving == side)
        assert (chosen & cell).sum() == cell.any()
