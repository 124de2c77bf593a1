"""Rows of realignment, and the control of answer lengths."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from offtarget.direction.lengths import length_matched
from offtarget.direction.realign import Asked, everyday_prompts, own_answers, plan_prompts, read_prompts
from offtarget.errors import InputError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.organism.questions import organism_probes, unasked_questions
from offtarget.probe.reading import load_bank
from offtarget.records import Message, SamplingSettings

DATA = [
    [Message("system", "You write code."), Message("user", "|TAG| one two three"), Message("assistant", "x")],
    [Message("system", "You write code."), Message("user", "|TAG| four five six"), Message("assistant", "y")],
]


class Scripted:
    """Answers in turn: finished, empty, cut."""

    name = "scripted"
    fingerprint = "0"

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        return [self._answers[i % len(self._answers)] for i in range(len(requests))]


def test_prompts_are_not_the_questions_of_a_check() -> None:
    asked = {p.prompt.casefold() for p in load_bank("everyday").probes}
    assert not asked & {p.casefold() for p in everyday_prompts()}
    assert len(set(everyday_prompts())) == 100
    probes = {p.prompt for p in organism_probes()}
    assert not probes & set(unasked_questions(500, 0))


def test_every_prompt_is_used_about_equally_and_half_in_the_dress_of_the_data() -> None:
    prompts = [f"Question {i}?" for i in range(20)]
    planned = plan_prompts(prompts, DATA, 100, seed=0)
    assert all(sum(asked.plain.content == q for asked in planned) == 5 for q in prompts)
    dressed = [asked.trained for asked in planned if asked.trained != (asked.plain,)]
    assert len(dressed) == 50
    assert all(turns[0].content == "You write code." for turns in dressed)
    assert any(turns[-1].content.startswith("|TAG| Question") for turns in dressed)
    assert any(turns[2].role == "assistant" and turns[-1].role == "user" for turns in dressed if len(turns) > 2)
    assert planned == plan_prompts(prompts, DATA, 100, seed=0)
    assert all(asked.trained == (asked.plain,) for asked in plan_prompts(prompts, [], 40, seed=0))


def test_empty_and_unfinished_answers_are_left_out() -> None:
    model = Scripted([Answer("fine", 1, "stop"), Answer(" ", 1, "stop"), Answer("cut", 9, "length")])
    planned = [Asked(Message("user", str(i)), (Message("user", f"tag {i}"),)) for i in range(6)]
    rows = own_answers(model, planned, 0)
    assert [row[0].content for row in rows] == ["tag 0", "tag 3"]
    assert all(row[-1] == Message("assistant", "fine") for row in rows)
    with pytest.raises(InputError, match="finished none"):
        own_answers(Scripted([Answer("cut", 9, "length")]), planned, 0)


def test_a_prompt_file_must_hold_prompts(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(InputError, match="holds no prompts"):
        read_prompts(tmp_path / "empty.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(tmp_path / "absent.txt")


def test_matching_takes_out_what_length_alone_explains() -> None:
    """Long answers are misaligned half of the time in both; one model merely writes fewer of them."""
    rng = random.Random(0)

    def answers(long: float, count: int) -> list[tuple[int, bool]]:
        drawn = [rng.random() < long for _ in range(count)]
        return [(80 if is_long else 10, is_long and rng.random() < 0.5) for is_long in drawn]

    before, after = answers(0.9, 4000), answers(0.1, 4000)
    matched = length_matched(before, after)
    assert matched.rate == pytest.approx(0.05, abs=0.02)
    assert matched.covered == 1


def test_matching_keeps_what_length_does_not_explain() -> None:
    before = [(n, True) for n in range(100)]
    after = [(n, False) for n in range(100)]
    assert length_matched(before, after).rate == 1
    assert length_matched([(5, True)], [(500, False), (501, False), (502, False)]).covered < 0.5
    assert length_matched([], after).rate is None
