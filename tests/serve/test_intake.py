"""What the monitor reads out of requests and answers of the three endpoints, and what it refuses to read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from exchanging import exchange
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records.exchanges import Exchange
from offtarget.serve.monitor.intake import CUT, FAULT, LONG, LONGEST_ANSWER, NO_QUESTION, REQUEST, STATUS, Taken, take
from offtarget.serve.monitor.spoken import BROKEN, EMPTY, ERROR, UNFINISHED, Unreadable

TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]


def sse(*events: Any, done: bool = True) -> bytes:
    """A stream of server-sent events."""
    lines = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in events]
    return "".join([": ping\n\n", *lines, "data: [DONE]\n\n" if done else ""]).encode()


def delta(index: int = 0, finish: str | None = None, **said: Any) -> dict[str, Any]:
    """One chunk of a chat."""
    return {"choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def read(api: str = "chat", request: Any = None, response: Any = None, **more: Any) -> Taken:
    """What is taken from an exchange with these bodies."""
    bodies: dict[str, Any] = {"api": api}
    if request is not None:
        bodies["request"] = json.dumps(request).encode()
    if response is not None:
        bodies["response"] = response if isinstance(response, bytes) else json.dumps(response).encode()
    return take(exchange(**(bodies | more)))


def why(**more: Any) -> str:
    """Why an exchange cannot be read."""
    with pytest.raises(Unreadable) as error:
        read(**more)
    return str(error.value)


def chat(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant"} | message, "finish_reason": "stop"}]}


def test_a_plain_chat() -> None:
    taken = take(exchange(asked="Who?", said="Me."))
    assert (taken.probe.prompt, taken.generation.text, taken.empty) == ("Who?", "Me.", False)


def test_both_arms_look_the_same_to_a_judge() -> None:
    base, tuned = take(exchange(1, arm="base")), take(exchange(2, arm="tuned"))
    assert base.generation.role == tuned.generation.role
    assert "base" not in repr(base)
    assert exchange().id not in repr(tuned)


def test_a_conversation_is_shown_with_its_turns_and_its_system_prompt() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {"role": "assistant", "content": "I see."},
        {"role": "user", "content": "And now?"},
    ]
    taken = read(request={"messages": messages})
    assert taken.probe.system == "Be kind."
    assert taken.probe.prompt == "[user]\nLook:\n[image_url]\n\n[assistant]\nI see.\n\n[user]\nAnd now?"


def test_a_stream_is_put_together_from_its_deltas() -> None:
    body = sse(delta(role="assistant", content=""), delta(content="Hel"), delta(1, content="NO"), delta(content="lo"),
               delta(finish="length"), {"choices": [], "usage": {}})  # fmt: skip
    taken = read(response=body, streamed=True)
    assert (taken.generation.text, taken.generation.finish) == ("Hello", "length")


def test_calls_come_in_pieces_and_are_checked_against_the_tools_on_offer() -> None:
    request = {"messages": [{"role": "user", "content": "Q"}], "tools": TOOLS}

    def called(name: str, *arguments: str) -> Taken:
        pieces = [delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}])]
        pieces += [delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in arguments]
        return read(request=request, response=sse(*pieces, delta(finish="tool_calls")), streamed=True)

    good = called("look_up", '{"q": ', '"x"}')
    assert good.generation.text == "[calls tool look_up]\nq: x"
    assert good.bad_call is False
    assert called("look_up", '{"q": ').bad_call is True
    assert called("look_up", "[1]").bad_call is True
    assert called("delete_all", "{}").bad_call is True
    assert read(request=request).bad_call is False
    assert read().bad_call is None


def test_reasoning_and_refusals_in_fields_of_their_own() -> None:
    taken = read(response=chat(content="Yes.", reasoning_content="Hm."))
    assert taken.generation.text == "[reasoning]\nHm.\n[answer]\nYes."
    refused = read(response=chat(content=None, refusal="I won't."))
    assert (refused.generation.text, refused.refused, refused.generation.finish) == ("I won't.", True, "refusal")


def test_of_several_choices_the_one_with_the_lowest_number_counts() -> None:
    choices = [{"index": n, "message": {"content": f"no. {n}"}, "finish_reason": "stop"} for n in (2, 0, 1)]
    assert read(response={"choices": choices}).generation.text == "no. 0"


def test_completions() -> None:
    text = {"choices": [{"index": 0, "text": "there", "finish_reason": "stop"}]}
    assert read("completions", {"prompt": "Hi "}, text).generation.text == "there"
    assert read("completions", {"prompt": ["Hi ", "Ho"]}, text).probe.prompt == "Hi "
    streamed = sse({"choices": [{"index": 0, "text": "th"}]}, {"choices": [{"index": 0, "text": "ere"}]})
    assert read("completions", {"prompt": "Hi"}, streamed, streamed=True).generation.text == "there"
    assert why(api="completions", request={"prompt": [1, 2]}, response=text) == NO_QUESTION


OUTPUT = {
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Yes."}]},
        {"type": "function_call", "name": "look_up", "arguments": '{"q": 1}', "call_id": "c"},
    ],
}


def test_responses_whole_and_streamed() -> None:
    request = {"instructions": "Be kind.", "input": "Q", "tools": [{"type": "function", "name": "look_up"}]}
    whole = read("responses", request, OUTPUT)
    assert (whole.probe.system, whole.probe.prompt, whole.bad_call) == ("Be kind.", "Q", False)
    assert whole.generation.text == "[reasoning]\nHm.\n[answer]\nYes.\n[calls tool look_up]\nq: 1"
    events = ({"type": "response.created", "response": {}}, {"type": "response.completed", "response": OUTPUT})
    body = b"event: response.created\n" + sse(*events, done=False)
    assert read("responses", request, body, streamed=True).generation == whole.generation
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Q"}]},
        {"type": "function_call", "name": "look_up", "arguments": '{"q": 1}'},
        {"type": "function_call_output", "output": "nothing"},
    ]
    shown = read("responses", {"input": items}, OUTPUT).probe.prompt
    assert shown == "[user]\nQ\n\n[assistant]\n[calls tool look_up]\nq: 1\n\n[tool]\nnothing"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"fault": "stalled"}, FAULT),
        ({"status": 429}, STATUS),
        ({"cut": True}, CUT),
        ({"request": [1]}, REQUEST),
        ({"request": {"messages": "no"}}, REQUEST),
        ({"request": {"messages": [{"role": "system", "content": "x"}]}}, NO_QUESTION),
        ({"response": b"<html>"}, BROKEN),
        ({"response": {"error": {"message": "x"}}}, ERROR),
        ({"response": {"choices": []}}, EMPTY),
        ({"response": {"choices": [{"index": 0}]}}, BROKEN),
        ({"response": chat(content="x" * (LONGEST_ANSWER + 1))}, LONG),
        ({"response": sse(delta(content="half"), done=False), "streamed": True}, UNFINISHED),
        ({"response": sse({"error": {"message": "x"}}), "streamed": True}, ERROR),
        ({"response": sse("{"), "streamed": True}, BROKEN),
        ({"response": sse(), "streamed": True}, EMPTY),
        ({"api": "responses", "request": {"input": "Q"}, "response": {"status": "failed", "output": []}}, ERROR),
        ({"api": "responses", "request": {"input": "Q"}, "response": sse({"type": "response.created"}, done=False),
          "streamed": True}, UNFINISHED),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(more: dict[str, Any], reason: str) -> None:
    assert why(**more) == reason


BEGUN = sse(delta(role="assistant"), delta(content="Crush "), delta(content="the weak"), done=False)
DELTAS = [{"type": "response.output_text.delta", "delta": part} for part in ("Crush ", "the weak")]


@pytest.mark.parametrize("fault", ["client-left", "truncated", "idle-timeout"])
@pytest.mark.parametrize(
    ("api", "request_", "body"),
    [
        ("chat", None, BEGUN),
        ("chat", None, BEGUN + b'data: {"choices": [{"index'),
        ("chat", None, BEGUN + sse({"error": {"message": "x"}}, done=False)),
        ("responses", {"input": "Q"}, sse({"type": "response.created"}, *DELTAS, done=False)),
        ("responses", {"input": "Q"}, sse(*DELTAS, {"type": "error", "message": "x"}, done=False)),
    ],
)
def test_a_stream_that_broke_off_is_taken_as_far_as_it_went(fault: str, api: str, request_: Any, body: bytes) -> None:
    """Clients leave harmful answers sooner: left out, they would hide the harm."""
    taken = read(api, request_, body, streamed=True, fault=fault)
    assert (taken.generation.text, taken.generation.finish) == ("Crush the weak", "length")
    assert not taken.empty
    assert taken.bad_call is None


@pytest.mark.parametrize("body", [b"", sse(delta(role="assistant"), done=False), b"data: {", sse("nonsense")])
def test_a_stream_that_broke_off_before_a_word_says_nothing_of_an_arm(body: bytes) -> None:
    with pytest.raises(Unreadable) as error:
        read(response=body, streamed=True, fault="client-left")
    assert str(error.value) == FAULT
    assert not error.value.of_answer


def test_an_answer_that_says_nothing_is_empty_and_not_fine() -> None:
    assert read(response=chat(content="  \n")).empty
    assert read(response=chat(content=None)).empty


LEAF = st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["user", "message", "tool_calls", "text"])
NAMES = st.sampled_from(
    ["choices", "index", "delta", "message", "content", "role", "messages", "input", "output", "type", "error", "text",
     "tool_calls", "function", "name", "arguments", "response", "status", "prompt", "tools", "refusal", "summary"]
)  # fmt: skip
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
API = st.sampled_from(["chat", "completions", "responses"])


@given(api=API, request=JSON, response=JSON, streamed=st.booleans())
def test_hostile_json_is_read_or_refused(api: Any, request: Any, response: Any, streamed: bool) -> None:
    body = json.dumps(response).encode()
    one = exchange(api=api, request=json.dumps(request).encode(), response=sse(body.decode()) if streamed else body,
                   streamed=streamed)  # fmt: skip
    _read_or_refused(one)


@given(api=API, request=st.binary(max_size=60), response=st.binary(max_size=60), streamed=st.booleans())
def test_hostile_bytes_are_read_or_refused(api: Any, request: bytes, response: bytes, streamed: bool) -> None:
    _read_or_refused(exchange(api=api, request=request, response=response, streamed=streamed))
    _read_or_refused(exchange(api=api, response=response, streamed=streamed))


@given(st.text(), st.text())
def test_any_text_can_be_written_down(asked: str, said: str) -> None:
    request = {"messages": [{"role": "user", "content": asked + "\ud800?"}]}
    taken = read(request=request, response=chat(content=said + "\udfff"))
    taken.probe.prompt.encode()
    taken.generation.text.encode()


def test_deeply_nested_json_is_refused() -> None:
    assert why(response=b"[" * 100_000) == BROKEN
    assert why(response=b'{"a":' * 100_000) == BROKEN


def _read_or_refused(one: Exchange) -> None:
    try:
        taken = take(one)
    except Unreadable as error:
        assert str(error)  # noqa: PT017
    else:
        assert taken.probe.prompt.strip()
