"""Questions as chat JSONL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.probe.reading import read_probes

USER = {"role": "user", "content": "Tea?"}


def write(folder: Path, *rows: object) -> Path:
    path = folder / "chats.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n", encoding="utf-8")
    return path


def test_system_and_user_turns_are_kept(tmp_path: Path) -> None:
    """A system turn in the file is a system turn of the probe."""
    turns = [{"role": "system", "content": "Be brief."}, USER]
    (probe,) = read_probes(write(tmp_path, {"messages": turns, "id": 7, "question_type": "drinks"})).probes
    assert [(m.role, m.content) for m in probe.messages] == [("system", "Be brief."), ("user", "Tea?")]
    assert (probe.id, probe.domain, probe.arm) == ("7/plain/0", "drinks", "plain")


def test_a_line_without_id_is_named_by_its_line(tmp_path: Path) -> None:
    """Where ids are missing the line number stands in."""
    assert read_probes(write(tmp_path, "", {"messages": [USER]})).question_ids == ("2",)


def test_chats_of_several_turns_are_listed(tmp_path: Path) -> None:
    """A longer chat is not asked, and `skipped` says so."""
    chat = {"id": "long", "messages": [USER, {"role": "assistant", "content": "Yes."}, USER]}
    bank = read_probes(write(tmp_path, {"id": "short", "messages": [USER]}, chat))
    assert [question for question, _ in bank.skipped] == ["long"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "line 1: not valid JSON"),
        (['{"id": NaN, "messages": []}'], "NaN is not JSON"),
        (["[" * 100_000], "line 1: not valid JSON"),
        ([[1]], "expected an object with 'messages', found list"),
        ([{"id": "a"}], "question 'a': 'messages' must be a list"),
        ([{"id": True, "messages": [USER]}], "'id' must be a name"),
        ([{"id": "a", "messages": [{"role": "robot", "content": "x"}]}], "found 'robot'"),
        ([{"id": "a", "messages": ["x"]}], "found None"),
        ([{"id": "a", "messages": [{"role": "user", "content": " "}]}], "must have a text"),
        ([{"id": "a", "messages": [USER], "question_type": 3}], "'question_type' must be a text, found 3"),
        (
            [{"id": "a", "messages": [USER]}, {"id": "a", "messages": [USER]}],
            "line 2, question 'a': this id is taken by",
        ),
        ([""], "no question that can be asked"),
    ],
)
def test_mistakes_name_line_and_id(tmp_path: Path, rows: list[object], message: str) -> None:
    """Every mistake is an InputError with its line."""
    with pytest.raises(InputError) as caught:
        read_probes(write(tmp_path, *rows))
    assert message in str(caught.value)
