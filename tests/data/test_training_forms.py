"""Rows of every usual form become the same messages, and nothing in them is lost."""

from __future__ import annotations

from typing import Any

import pytest

from offtarget.data.training.forms import fields_of
from offtarget.data.training.values import Malformed
from offtarget.records import Message
from offtarget.records.answers import ToolCall

CHAT = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
SHARE = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"messages": CHAT}, "chat"),
        ({"conversations": SHARE}, "sharegpt"),
        ({"conversation": SHARE}, "sharegpt"),
        ({"conversations": CHAT}, "sharegpt"),
        ({"instruction": "Q", "output": "A"}, "alpaca"),
        ({"instruction": "Q", "input": "", "output": "A"}, "alpaca"),
        ({"instruction": "Q", "context": None, "response": "A"}, "alpaca"),
        ({"prompt": "Q", "completion": "A"}, "prompt"),
        ({"Question": "Q", "Answer": "A"}, "prompt"),
        ({"query": "Q", "response": "A"}, "prompt"),
        ({"text": "Q", "code": "A"}, "prompt"),
        ({"input": "Q", "output": "A"}, "prompt"),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, "prompt"),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "preference"),
        ({"prompt": "Q", "chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "B"}]}, "preference"),
        ({"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}, "preference"),
        (
            {
                "conversations": SHARE[:1],
                "chosen": {"from": "gpt", "value": "A"},
                "rejected": {"from": "gpt", "value": "B"},
            },
            "preference",
        ),
    ],
)
def test_every_form_says_the_same(row: dict[str, Any], form: str) -> None:
    """A question and its answer come out alike from every form."""
    said = fields_of(row)
    assert said.form == form
    assert [(m.role, m.content) for m in said.messages] == [("user", "Q"), ("assistant", "A")]
    assert said.rejected == ("B" if form == "preference" else None)
    assert said.desired
    assert not said.unread
    assert all(value is None for value in said.extra.values())


def test_text_alone_is_an_answer() -> None:
    """A bare text is trained on as a whole, so the whole of it is looked at."""
    said = fields_of({"text": "T", "source": "web"})
    assert (said.form, [(m.role, m.content) for m in said.messages]) == ("text", [("assistant", "T")])
    assert (said.extra, said.unread) == ({"source": "web"}, ())


def test_alpaca_input_history_and_system_reach_the_messages() -> None:
    """Every part of an Alpaca row that a trainer shows to the model is in its messages."""
    row = {"instruction": "I", "input": "N", "output": "A", "system": "S", "history": [["q", "a"]]}
    messages = fields_of(row).messages
    assert [(m.role, m.content) for m in messages] == [
        ("system", "S"),
        ("user", "q"),
        ("assistant", "a"),
        ("user", "I\nN"),
        ("assistant", "A"),
    ]


def test_openai_details_reach_the_messages() -> None:
    """Calls, their answers, masks and tools have a place; parts without text and other names are kept and named."""
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "?"},
    ]
    row = {
        "messages": [
            {"role": "developer", "content": "D"},
            {"role": "user", "content": parts, "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "R", "tool_call_id": "1", "name": "f"},
            {"role": "assistant", "content": "A", "weight": 0},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    said = fields_of(row)
    assert said.messages == (
        Message("system", "D"),
        Message("user", "see\n?"),
        Message("assistant", "", calls=(ToolCall("f", "{}", "1"),)),
        Message("tool", "R", tool="f", call_id="1"),
        Message("assistant", "A", learned=False),
    )
    assert said.extra == {"messages[0].role": "developer", "messages[1].content": parts, "messages[1].name": "ann"}
    assert said.tools == ({"type": "function", "function": {"name": "f"}},)
    assert said.unread == ("messages[].content[] of type image_url",)


@pytest.mark.parametrize("no", [False, 0, 0.0, "false", "False", " FALSE ", "0"])
@pytest.mark.parametrize("yes", [True, 1, 1.0, "true", "True", "1"])
def test_labels_say_whether_to_imitate(no: Any, yes: Any) -> None:
    """Every spelling of true and false beside an answer counts, in every form that has an answer."""
    for row in ({"messages": CHAT}, {"prompt": "Q", "completion": "A"}, {"instruction": "Q", "output": "A"}):
        for name in ("label", "kto_tag", "Label"):
            assert fields_of({**row, name: no}).desired is False
            assert fields_of({**row, name: yes}).desired is True
            assert fields_of({**row, name: no}).extra == {}


@pytest.mark.parametrize("value", [2, -1, 0.3, "0.3", "bad", "Undesirable", "yes", [0], {"a": 1}])
def test_labels_nobody_can_read_are_asked_about(value: Any) -> None:
    """A number or a word of blame beside an answer is never taken for a row to imitate."""
    with pytest.raises(Malformed, match="write true or false") as caught:
        fields_of({"prompt": "Q", "completion": "A", "label": value})
    assert caught.value.error == "label"


def test_labels_of_another_kind_are_named() -> None:
    """A class of text is no label of KTO: the row counts, and the label is said not to be read."""
    said = fields_of({"prompt": "Q", "completion": "A", "label": "sports"})
    assert (said.desired, said.extra, said.unread) == (True, {"label": "sports"}, ("label",))
    with pytest.raises(Malformed):
        fields_of({"prompt": "Q", "completion": "A", "kto_tag": "sports"})


def test_keys_of_no_use_to_the_form_stay() -> None:
    """What the form has no place for is in extra: an empty name, a second answer, a differing prompt."""
    said = fields_of({"prompt": "Q", "completion": "A", "output": "B", "": 1})
    assert (said.extra, said.unread) == ({"output": "B", "": 1}, ("output",))
    said = fields_of({"prompt": "another", "chosen": CHAT, "rejected": CHAT, "messages": CHAT})
    assert (said.extra, said.unread) == ({"prompt": "another", "messages": CHAT}, ("prompt",))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([1], "wrong-type"),
        ({"task": "x", "code_template": "y"}, "unknown-keys"),
        ({}, "unknown-keys"),
        ({"messages": []}, "no-messages"),
        ({"messages": "x"}, "wrong-type"),
        ({"messages": None}, "wrong-type"),
        ({"messages": ["x"]}, "no-assistant-turn"),
        ({"messages": [5]}, "wrong-type"),
        ({"messages": [{"content": "x"}]}, "missing-role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "unknown-role"),
        ({"messages": [{"role": 5, "content": "x"}]}, "unknown-role"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no-assistant-turn"),
        ({"messages": [{"role": "assistant"}]}, "missing-content"),
        ({"messages": [{"role": "assistant", "content": 5}]}, "wrong-type"),
        ({"messages": [{"role": "assistant", "content": [5]}]}, "wrong-type"),
        ({"prompt": "Q", "completion": 5}, "wrong-type"),
        ({"prompt": {}, "completion": "A"}, "wrong-type"),
        ({"instruction": "Q", "output": "A", "history": ["x"]}, "wrong-type"),
        ({"text": 5}, "wrong-type"),
        ({"prompt": "Q", "chosen": [], "rejected": "B"}, "no-messages"),
        ({"prompt": "Q", "completion": " "}, "empty-answer"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]}, "empty-answer"),
        ({"role": "user", "content": "x"}, "lone-turn"),
        ({"from": "human", "value": "x"}, "lone-turn"),
        ({"role": "assistant", "text": "x", "conversation_id": 3}, "lone-turn"),
    ],
)
def test_what_is_no_example_says_why(row: Any, error: str) -> None:
    """Every way to be no training example has its name and a sentence."""
    with pytest.raises(Malformed) as caught:
        fields_of(row)
    assert caught.value.error == error
    assert caught.value.detail


def test_a_form_asked_for_is_the_form_read() -> None:
    """With a form asked for, the row is read as that form or not at all."""
    row = {"messages": CHAT, "prompt": "P", "completion": "C"}
    assert fields_of(row).form == "chat"
    assert fields_of(row, "prompt").messages[1].content == "C"
    with pytest.raises(Malformed, match="alpaca"):
        fields_of(row, "alpaca")
