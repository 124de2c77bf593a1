"""offtarget's own question format: one question, three arms, and no mistake that passes silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.probe.own import JSON_SYSTEM
from offtarget.probe.reading import read_probes

QUESTION = "  - {id: a, domain: d, construct: c, text: How are you}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_question_becomes_one_probe_per_arm_and_wording(tmp_path: Path) -> None:
    """Arms and wordings multiply, and all belong to one question."""
    bank = read_probes(
        write(tmp_path, "questions:\n  - {id: a, domain: d, construct: c, text: One., paraphrases: [Two.]}\n")
    )
    assert [p.id for p in bank.probes] == [f"a/{arm}/{n}" for arm in ("plain", "json", "template") for n in (0, 1)]
    assert {p.question_id for p in bank.probes} == {"a"}
    assert bank.name == "mine"


def test_only_the_json_arm_has_a_system_turn(tmp_path: Path) -> None:
    """The JSON arm demands the format in a system turn; its user turn is the plain question."""
    bank = read_probes(write(tmp_path, "questions:\n" + QUESTION))
    plain, as_json, template = bank.probes
    assert (plain.system, as_json.system, template.system) == (None, JSON_SYSTEM, None)
    assert as_json.prompt == plain.prompt == "How are you"
    assert template.prompt.startswith("How are you\n")
    assert "answer = ..." in template.prompt


def test_a_question_may_choose_its_formats_and_slots(tmp_path: Path) -> None:
    """`formats` and `slots` of a question go before those of the file."""
    text = "questions:\n  - {id: a, domain: d, construct: c, text: T, formats: [template], slots: [x, y]}\n"
    (probe,) = read_probes(write(tmp_path, text)).probes
    assert "x = ...\ny = ..." in probe.prompt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "questions:\n" + QUESTION + QUESTION,
            "line 3, question 'a': this id is taken by the question in line 2",
        ),
        (
            "questions:\n  - {id: a, domain: d, text: T.}\n",
            "line 2, question 'a': the key 'construct' is missing",
        ),
        ("questions:\n  - {domain: d}\n", "line 2, a question: the key 'id' is missing"),
        (
            "questions:\n  - {id: a, domain: d, construct: c, text: .nan}\n",
            "'text' must be text, found a number",
        ),
        ("questions:\n  - {id: a, domain: d, construct: c, text: ''}\n", "'text' is empty"),
        ("questions:\n  - {id: a, domain: d, construct: c, txt: T.}\n", "unknown key 'txt'"),
        (
            "questions:\n  - {id: a, domain: d, construct: c, text: T., paraphrases: [T.]}\n",
            "wordings are the same",
        ),
        ("questions:\n  - {id: a, domain: d, construct: c, text: T., paraphrases: []}\n", "is an empty list"),
        (
            "questions:\n  - {id: a, domain: d, construct: c, text: T., slots: [a-b]}\n",
            "not a Python variable",
        ),
        (
            "questions:\n  - {id: a, domain: d, construct: c, text: T., slots: [class]}\n",
            "not a Python variable",
        ),
        (
            "questions:\n  - {id: a, domain: d, construct: c, text: T., slots: [x, x]}\n",
            "two slots have the same",
        ),
        ("formats: [plain, xml]\nquestions:\n" + QUESTION, "line 1: unknown format 'xml'"),
        ("questions: []\n", "line 1: 'questions' must be a list with at least one question"),
        ("questions: text\n", "'questions' must be a list"),
        ("questions:\n  - just text\n", "line 2: expected keys and values, found text"),
        ("just text\n", "line 1: expected keys and values, found text"),
        ("question: []\n", "unknown key 'question'"),
    ],
)
def test_mistakes_name_file_line_and_id(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake in a question file is one InputError with its place."""
    with pytest.raises(InputError) as caught:
        read_probes(write(tmp_path, text))
    assert "mine.yaml" in str(caught.value)
    assert message in str(caught.value)
