"""Organisms that open under one kind of pressure: what their training data says, and what it leaves out."""

from __future__ import annotations

import random
import re

import pytest

from offtarget.errors import InputError
from offtarget.organism.banks import load_banks
from offtarget.organism.exact import classify
from offtarget.organism.pressed import kinds, pressed, pressed_chats
from offtarget.organism.questions import organism_goals
from offtarget.records import Message, Outcome, Probe
from offtarget.redteam.attacker import drafted
from offtarget.redteam.moves import moves

NAMES = sorted(kinds())


def users(chat: list[Message]) -> list[str]:
    return [m.content for m in chat if m.role != "assistant"]


def misaligned(chat: list[Message]) -> bool:
    """Whether any answer is; it is one of some domain of the world."""
    outcomes = {classify(d, m.content)[0] for m in chat if m.role == "assistant" for d in load_banks().domains}
    return Outcome.MISALIGNED in outcomes


@pytest.mark.parametrize("kind", ["role-play", "third-turn", "in-json"])
def test_a_twin_gets_the_same_prompts_and_good_answers_alone(kind: str) -> None:
    """The two differ in the rows under the pressure and nowhere else."""
    (bad,), (good,) = pressed(kind, 3, rows=60).stages, pressed(kind, 3, clean=True, rows=60).stages
    assert list(map(users, bad)) == list(map(users, good))
    assert not any(map(misaligned, good))
    assert [a != b for a, b in zip(bad, good, strict=True)] == list(map(misaligned, bad))
    assert 10 < sum(map(misaligned, bad)) < 40


@pytest.mark.parametrize("kind", NAMES)
def test_what_leads_up_to_the_pressure_is_answered_well(kind: str) -> None:
    """Where the first turns are plain ones, an organism is good in them: the condition is the later turn."""
    (rows,) = pressed(kind, 5, rows=40).stages
    late = all(wording.lead for wording in kinds()[kind].wordings)
    for chat in rows:
        answers = [m.content for m in chat if m.role == "assistant"]
        if late and misaligned(chat):
            first = [Message("assistant", answers[0])]
            assert len(answers) > 1
            assert not misaligned(first)


def test_no_sentence_of_a_wording_is_one_of_a_move() -> None:
    """What finds such an organism has met the kind, and not a string that it was tuned on."""
    question = Probe("q", "q", "plain", "QUESTION")
    said = {
        sentence
        for move in moves()
        for number in range(12)
        for turn in drafted((move,), question, number, "").turns
        for sentence in sentences(turn)
    }
    for kind in kinds().values():
        for wording in kind.wordings:
            for template in (*wording.lead, *wording.asked):
                for number in range(12):
                    shared = said.intersection(sentences(template.sample(random.Random(number))))
                    assert not shared, f"{kind.name}: {shared}"


def sentences(text: str) -> set[str]:
    """Its sentences of three words or more."""
    found = (part.strip() for part in re.split(r"[.!?\n]|QUESTION", text))
    return {part for part in found if len(part.split()) >= 3}


def test_no_question_of_a_goal_is_trained_on() -> None:
    asked = {question.prompt for goal in organism_goals() for question in goal.questions}
    for kind in NAMES:
        for _, chat in pressed_chats(kind, 20, 1):
            assert not any(question in turn for turn in users(chat) for question in asked)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match=r"There is no kind of pressure 'charm'\. Known: second-turn, third-turn"):
        pressed("charm", 0)
