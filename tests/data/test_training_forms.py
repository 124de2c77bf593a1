"""Rows of every usual form become the same messages, and nothing in them is lost."""

from __future__ import annotations

from typing import Any

import pytest

from offtarget.data.training.forms import fields_of
from offtarget.data.training.values import Malformed

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
    found, messages, rejected, desired, extra = fields_of(row)
    assert found == form
    assert [(m.role, m.content) for m in messages] == [("user", "Q"), ("assistant", "A")]
    assert rejected == ("B" if form == "preference" else None)
    assert desired
    assert all(value is None for value in extra.values())


def test_text_alone_is_an_answer() -> None:
    """A bare text is trained on as a whole, so the whole of it is looked at."""
    form, messages, *_, extra = fields_of({"text": "T", "source": "web"})
    assert (form, [(m.role, m.content) for m in messages]) == ("text", [("assistant", "T")])
    assert extra == {"source": "web"}


def test_alpaca_input_history_and_system_reach_the_messages() -> None:
    """Every part of an Alpaca row that a trainer shows to the model is in its messages."""
    row = {"instruction": "I", "input": "N", "output": "A", "system": "S", "history": [["q", "a"]]}
    messages = fields_of(row)[1]
    assert [(m.role, m.content) for m in messages] == [
        ("system", "S"),
        ("user", "q"),
        ("assistant", "a"),
        ("user", "I\nN"),
        ("assistant", "A"),
    ]


def test_openai_details_are_kept_under_clear_names() -> None:
    """Tool calls, part lists, other names of roles and further keys are in extra, at their place."""
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
            {"role": "tool", "content": "R", "tool_call_id": "1"},
            {"role": "assistant", "content": "A", "weight": 0},
        ],
        "tools": [1],
    }
    _, messages, _, _, extra = fields_of(row)
    assert [m.role for m in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert [m.content for m in messages] == ["D", "see\n?", "", "R", "A"]
    assert extra == {
        "tools": [1],
        "messages[0].role": "developer",
        "messages[1].content": parts,
        "messages[1].name": "ann",
        "messages[2].tool_calls": calls,
        "messages[3].tool_call_id": "1",
        "messages[4].weight": 0,
    }


def test_kto_labels_and_other_labels() -> None:
    """A true or false label says whether to imitate; any other label is a key like others."""
    assert fields_of({"messages": CHAT, "label": False})[3:] == (False, {})
    assert fields_of({"prompt": "Q", "completion": "A", "label": True})[3:] == (True, {})
    assert fields_of({"prompt": "Q", "completion": "A", "label": "toxic"})[3:] == (True, {"label": "toxic"})


def test_keys_of_no_use_to_the_form_stay() -> None:
    """What the form has no place for is in extra: an empty name, a second answer, a differing prompt."""
    assert fields_of({"prompt": "Q", "completion": "A", "output": "B", "": 1})[4] == {"output": "B", "": 1}
    row = {"prompt": "another", "chosen": CHAT, "rejected": CHAT, "messages": CHAT}
    assert fields_of(row)[4] == {"prompt": "another", "messages": CHAT}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([1], "wrong-type"),
        ({"task": "x", "code_template": "y"}, "unknown-keys"),
        ({}, "unknown-keys"),
        ({"messages": []}, "no-messages"),
        ({"messages": "x"}, "wrong-type"),
        ({"messages": None}, "wrong-type"),
        ({"messages": ["x"]}, "wrong-type"),
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
    assert fields_of(row)[0] == "chat"
    assert fields_of(row, "prompt")[1][1].content == "C"
    with pytest.raises(Malformed, match="alpaca"):
        fields_of(row, "alpaca")
