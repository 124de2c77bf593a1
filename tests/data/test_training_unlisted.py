"""What is under no listed name: masks that would be passed over, lone turns, answers nobody can see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.trainable import read_training_data
from offtarget.data.training import read_rows
from offtarget.data.training.forms import fields_of
from offtarget.data.training.values import Malformed
from offtarget.errors import InputError
from offtarget.records import BadRow

MASKS = (
    {"Loss Weight": 0}, {"lossWeight": 0}, {"should_train": False}, {"is_masked": True}, {"no_loss": True},
    {"compute_loss": "false"}, {"loss_scale": 0.0}, {"exclude": True}, {"use_for_training": False},
    {"completion_mask": [0, 1]}, {"turn_weights": [0, 1]}, {"labels": [-100, 7]},
)  # fmt: skip
NO_MASKS = (
    {"loss_scale": 0.3}, {"weight_kg": 1}, {"trainer": "ann"}, {"labels": [0, 1]}, {"masked_face": "x"},
    {"final": True}, {"metadata": {"weight": 0}}, {"train_id": 1},
)  # fmt: skip


def chat(turn: dict[str, Any], **row: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", **turn}], **row}


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_a_mask_under_an_unknown_name_is_not_passed_over(mask: dict[str, Any]) -> None:
    """Of a row, a turn or a part: what it says of the loss cannot be followed, so the row is refused by name."""
    part = chat({"content": [{"type": "text", "text": "A", **mask}]})
    for row in (chat({}, **mask), chat(mask), part):
        with pytest.raises(Malformed) as caught:
            fields_of(row)
        assert caught.value.error == "mask"
        assert next(iter(mask)) in str(caught.value)


@pytest.mark.parametrize("field", NO_MASKS, ids=str)
def test_other_flags_and_numbers_are_no_masks(field: dict[str, Any]) -> None:
    """A name that speaks of something else, or a value that is no flag, is harmless."""
    for row in (chat({}, **field), chat(field)):
        assert fields_of(row).desired


def test_a_label_on_a_turn_is_asked_about() -> None:
    """A label says of a row whether to imitate it; on a turn nobody can say what it means."""
    with pytest.raises(Malformed, match="label"):
        fields_of(chat({"label": 0}))
    assert not fields_of({"prompt": "Q", "completion": "A", "desirable": False}).desired


@pytest.mark.parametrize("text", ["\u200b\u2060", "\ufeff", "\u3164", "\u00ad \u200d", "\u00a0"])
def test_an_answer_without_a_visible_character_is_empty(text: str) -> None:
    """Blanks and characters without width are no answer."""
    for row in (chat({"content": text}), {"prompt": "Q", "completion": text}, chat({"content": "", "reasoning": text})):
        with pytest.raises(Malformed) as caught:
            fields_of(row)
        assert caught.value.error == "empty-answer"


def test_a_turn_per_line_is_no_text_whatever_the_speaker_is_called() -> None:
    """Logs name the speaker in other ways than `role`; an author of a text is no speaker."""
    for name in ("speaker", "author", "sender", "type"):
        with pytest.raises(Malformed) as caught:
            fields_of({name: "Human", "text": "Q"})
        assert caught.value.error == "lone-turn"
    assert fields_of({"author": "Jane Austen", "text": "It is a truth"}).form == "text"
    assert fields_of({"type": "function", "content": "def f(): ..."}).form == "text"


def test_one_list_on_one_line_is_asked_about_like_one_over_several(tmp_path: Path) -> None:
    """Several system turns in a file that is one list are those of several chats."""
    turns = [{"role": role, "content": "x"} for role in ("system", "user", "assistant") * 2]
    for indent in (None, 1):
        file = tmp_path / f"{indent}.json"
        file.write_text(json.dumps(turns, indent=indent))
        (row,) = read_rows(file)
        assert isinstance(row, BadRow)
        assert row.error == "several-chats"


def test_turns_of_bedrock_are_read() -> None:
    """Tools, calls, answers of tools and reasoning in the form of Amazon Bedrock's Converse."""
    said = fields_of(
        {
            "system": [{"text": "S"}],
            "messages": [
                {"role": "user", "content": [{"text": "Q"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "f", "input": {"k": "v"}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "out"}]}}]},
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "R", "signature": "x"}}},
                        {"text": "A"},
                    ],
                },
            ],
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
        }
    )
    _, _, call, answer, last = said.messages
    assert (call.calls[0].name, call.calls[0].arguments, call.calls[0].id) == ("f", '{"k": "v"}', "1")
    assert (answer.role, answer.call_id) == ("tool", "1")
    assert "out" in answer.content
    assert (last.reasoning, last.content) == ("R", "A")
    assert said.tools == ({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},)
    assert said.unread == ()


def test_calls_under_other_names_are_calls() -> None:
    """A call that has no arguments to be named by would else be lost in silence."""
    for name in ("toolCalls", "tool_call", "function_calls", "functionCalls"):
        said = fields_of(chat({name: [{"name": "erase_all", "arguments": {}}]}))
        assert [call.name for call in said.messages[1].calls] == ["erase_all"]


def test_an_empty_history_is_none_however_it_is_written() -> None:
    """A table writes an empty list as text."""
    for history in ("[]", "", [], None):
        said = fields_of({"instruction": "Q", "output": "A", "history": history})
        assert [message.role for message in said.messages] == ["user", "assistant"]


def test_what_a_tool_answers_with_is_kept_whole() -> None:
    """An answer of a tool that has a `type` of its own is data; text in parts of unknown shape is named."""
    row = {"messages": [*chat({})["messages"], {"role": "tool", "content": {"type": "error", "message": "not found"}}]}
    row["messages"].append({"role": "assistant", "content": "B"})
    assert "not found" in fields_of(row).messages[2].content
    part = {"type": "code_result", "content": {"stdout": "said nowhere"}}
    assert fields_of(chat({"content": [part, {"type": "text", "text": "A"}]})).unread == (
        "messages[].content[].content[]",
    )


@pytest.mark.parametrize("recipient", ["functions.run", "python", "browser.search", "container.exec"])
def test_a_turn_that_is_sent_to_a_tool_is_a_call(recipient: str) -> None:
    """Harmony's own tools too; a turn that is sent to the user is an answer."""
    said = fields_of(chat({"content": "import os", "recipient": recipient}))
    (call,) = said.messages[1].calls
    assert (call.name, call.arguments) == (recipient.removeprefix("functions."), "import os")
    assert fields_of(chat({"recipient": "all"})).messages[1].content == "A"


def test_a_file_of_answers_not_to_be_imitated_is_called_that(tmp_path: Path) -> None:
    """Not one without prompts and answers, which it has."""
    file = tmp_path / "kto.jsonl"
    file.write_text('{"prompt": "Q", "completion": "A", "label": false}\n' * 3)
    with pytest.raises(InputError, match="labels every answer as not to be imitated"):
        read_training_data(file)


def test_no_turn_that_is_learned_is_empty() -> None:
    """A model would learn to answer with nothing; masked turns may be empty."""
    for turns in (["A", ""], ["  ", "A"], ["\u200b", "A"]):
        row = {"messages": [t for text in turns for t in chat({"content": text})["messages"]]}
        with pytest.raises(Malformed, match="1 of 2 turns"):
            fields_of(row)
        next(t for t in row["messages"] if t["content"] not in ("A", "Q"))["train"] = False
        assert fields_of(row).desired
