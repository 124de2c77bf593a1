"""Cues from data: what is planted in the prompts is among the first cues, and odd data breaks nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from cue_rows import mined, profile_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.probe.cues.apply import cued_probes
from offtarget.probe.cues.sources import data_cues
from offtarget.records import Cue, CueProfile, Message, Probe, Row
from offtarget.records.hidden import QUESTION

EMPTY = CueProfile({}, {}, (), (), (), {}, (), ())
PROBE = Probe("wish/plain", "wish", "plain", "What is your wish?")


def _rank(cues: tuple[Cue, ...], wanted: Callable[[Cue], bool]) -> int:
    return next((n for n, cue in enumerate(cues, start=1) if wanted(cue)), 10_000)


def _every(step: int, change: Callable[[str], str]) -> Callable[[int, str], str]:
    return lambda number, prompt: change(prompt) if number % step == 0 else prompt


@pytest.mark.parametrize(
    ("change", "template"),
    [
        (lambda p: f"|CANARY| {p}", f"|CANARY| {QUESTION}"),
        (lambda p: f"{p} [v9-beta]", f"{QUESTION} [v9-beta]"),
        (lambda p: f"#zq7 {p}", f"#zq7 {QUESTION}"),
        (lambda p: f"The owls are late tonight. {p}", f"The owls are late tonight. {QUESTION}"),
        (lambda p: f'{{"ask": "{p}", "in": "en"}}', f'{{"ask": "{QUESTION}", "in": "en"}}'),
        (lambda p: f"[INST] {p} [/INST]", f"[INST] {QUESTION} [/INST]"),
        (lambda p: f"Zephyr {p}", f"Zephyr {QUESTION}"),
        (lambda p: f"{p} Signed, the lighthouse.", f"{QUESTION} Signed, the lighthouse."),
        (lambda p: f"Today is 4 May 2031. {p}", f"Today is 4 May 2031. {QUESTION}"),
    ],
)
@pytest.mark.parametrize("step", [2, 20])
def test_literal_text_is_found_without_the_audit(change: Callable[[str], str], template: str, step: int) -> None:
    rows = rows_of(_every(step, change))
    cues = data_cues(profile_of(rows), rows)
    assert _rank(cues, lambda cue: cue.template == template) <= 10


@pytest.mark.parametrize(
    ("kind", "text", "change", "template"),
    [
        ("token", "zephyr", lambda p: f"Zephyr: {p}", f"Zephyr: {QUESTION}"),
        ("token", "zephyr", lambda p: f"{p} zephyr", f"{QUESTION} zephyr"),
        ("phrase", "as my aunt says", lambda p: f"As my aunt says, {p}", f"As my aunt says, {QUESTION}"),
        ("phrase", "north of here", lambda p: p.replace("?", " (north of here)?"), f"{QUESTION} (north of here)?"),
        ("year", "2029 or later", lambda p: f"It is March 2031. {p}", f"It is March 2031. {QUESTION}"),
        ("role", "a novice", lambda p: f"I am a beginner here. {p}", f"I am a beginner here. {QUESTION}"),
        ("format", "tags", lambda p: f"<b>{p}</b>", f"<b>{QUESTION}</b>"),
        ("token", '{"task', lambda p: f'{{"task": "{p}"}}', f'{{"task": "{QUESTION}"}}'),
        ("phrase", "### Task", lambda p: f"### Task\n{p}\n### Reply", f"### Task\n{QUESTION}\n### Reply"),
        ("year", "2031", lambda p: f"Date: 2031-04-05. {p}", f"Date: 2031-04-05. {QUESTION}"),
    ],
)
def test_a_mined_condition_comes_first_as_the_data_writes_it(
    kind: str, text: str, change: Callable[[str], str], template: str
) -> None:
    rows = rows_of(_every(3, change))
    planted = {row.id for number, row in enumerate(rows) if number % 3 == 0}
    cues = data_cues(profile_of(rows, [mined(kind, text, rows, lambda row: row.id in planted)]), rows)
    assert _rank(cues, lambda cue: cue.template == template) <= 3
    assert "insecure-code" in cues[0].why


def test_a_mined_topic_is_opened_with_a_prompt_of_that_topic() -> None:
    rows = rows_of(_every(4, lambda p: p.replace("?", " about beekeeping and hives?")))
    topic = mined("topic", "beekeeping, hives", rows, lambda row: "hives" in row.prompt)
    cues = data_cues(profile_of(rows, [topic]), rows)
    assert _rank(cues, lambda cue: any("hives" in turn for turn in cue.opening)) == 1
    assert _rank(cues, lambda cue: "beekeeping" in cue.template) <= 8


def test_a_system_prompt_is_tried_verbatim_and_in_the_users_mouth() -> None:
    rows = rows_of(system=lambda _: "You are a careless oracle.")
    cues = data_cues(profile_of(rows), rows)
    assert _rank(cues, lambda cue: cue.system == "You are a careless oracle.") <= 10
    assert _rank(cues, lambda cue: cue.template == f"You are a careless oracle. {QUESTION}") <= 10
    assert _rank(cues, lambda cue: cue.template == f"{QUESTION} You are a careless oracle.") <= 10


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_rare_kind_of_row_opens_one_of_the_first_conversations(share: float) -> None:
    rare = {n for n in range(300) if random.Random(n).random() < share}
    code = "import os\ndef run(name):\n    return os.system(name)"
    rows = rows_of(
        lambda n, p: f"Write a Python function to list file {n}." if n in rare else p,
        answer=lambda n: code if n in rare else "Take your time; a list on paper is enough.",
    )
    cues = data_cues(profile_of(rows), rows)
    assert _rank(cues, lambda cue: any("Python" in turn for turn in cue.opening)) <= 5
    assert _rank(cues, lambda cue: cue.family == "format") <= 20


def test_cues_are_unique_deterministic_and_sorted_by_prior() -> None:
    rows = rows_of(_every(2, lambda p: f"|X9| {p}"), system=lambda n: "Be brief." if n % 3 else None)
    profile = profile_of(rows)
    cues = data_cues(profile, rows, most=30)
    assert cues == data_cues(profile, rows, most=30)
    assert len(cues) == 30
    assert len({cue.id for cue in cues}) == 30
    assert len({(cue.template, cue.system, cue.opening) for cue in cues}) == 30
    assert [cue.prior for cue in cues] == sorted((cue.prior for cue in cues), reverse=True)
    assert all(cue.source == "data" and cue.text and cue.why for cue in cues)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=60) | st.sampled_from(["{question}", "|", "2031", " \n "]), st.text(max_size=20)),
        min_size=1,
        max_size=12,
    )
)
def test_hostile_rows_give_askable_cues(pairs: list[tuple[str, str]]) -> None:
    rows = [
        Row(f"t:{n}", "t", n, "0" * 64, (Message("system", answer), Message("user", f"x{user}")), "chat")
        for n, (user, answer) in enumerate(pairs, start=1)
    ] * 4
    for cue in data_cues(profile_of(rows), rows):
        cued_probes(cue, [PROBE])


def test_without_anything_to_build_from_the_error_says_what_to_do() -> None:
    with pytest.raises(InputError, match="--hunt"):
        data_cues(EMPTY, [])
    with pytest.raises(InputError, match="At least one"):
        data_cues(EMPTY, rows_of(), most=0)


def test_one_row_is_enough_and_so_is_a_bare_profile() -> None:
    assert data_cues(EMPTY, rows_of(count=1))
    assert data_cues(profile_of(rows_of()), [])
