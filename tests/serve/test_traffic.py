"""Logs of other gateways: whole lines in order as a file grows, and exchanges from what stands in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records.exchanges import Exchange
from offtarget.serve.traffic.entries import (
    BAD_ARM,
    NO_ANSWER,
    NO_ARM,
    NO_JSON,
    NO_MESSAGES,
    NO_OBJECT,
    NO_QUESTION,
    Arms,
    BadLine,
    Read,
    read_line,
)
from offtarget.serve.traffic.growing import Growing, Place

ARMS = Arms(frozenset({"llama-3"}), frozenset({"llama-3-support"}))
CHAT = {"messages": [{"role": "user", "content": "How do I rest better?"}]}
SAID = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Sleep."}, "finish_reason": "stop"}]}


def read(value: Any) -> Read:
    return read_line(json.dumps(value).encode(), ARMS, "assistant", 3, 1000.0)


def one(value: Any) -> Exchange:
    (exchange,) = read(value).exchanges
    return exchange


# a file that grows


def texts(growing: Growing, **how: bool) -> list[tuple[int, bytes]]:
    return [(line.number, line.text) for line in growing.lines(**how)]


def test_a_line_comes_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"one\ntw")
    growing = Growing(path)
    assert texts(growing) == [(1, b"one")]
    with path.open("ab") as file:
        file.write(b"o\r\nthree")
    assert texts(growing) == [(2, b"two")]
    assert texts(growing, last=True) == [(3, b"three")]
    growing.close()


def test_reading_goes_on_where_another_reader_stopped_and_anew_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"one\ntwo\n")
    first = Growing(path)
    assert len(texts(first)) == 2
    place = first.place()
    first.close()
    path.write_bytes(b"one\ntwo\nthree\n")
    second = Growing(path, place)
    assert second.went_on
    assert texts(second) == [(3, b"three")]
    second.close()
    path.write_bytes(b"another file, longer than the first\n")
    third = Growing(path, place)
    assert not third.went_on
    assert [number for number, _ in texts(third)] == [1]
    third.close()


def test_a_file_that_is_rotated_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"one\n")
    growing = Growing(path)
    assert texts(growing) == [(1, b"one")]
    with path.open("ab") as file:
        file.write(b"last\n")
    path.rename(tmp_path / "log.jsonl.1")
    assert texts(growing) == [(2, b"last")]
    path.write_bytes(b"new\n")
    assert texts(growing) == [(1, b"new")]
    path.write_bytes(b"")  # emptied in place, and filled with more than was there
    with path.open("ab") as file:
        file.write(b"emptied\nand filled\n")
    assert texts(growing) == [(1, b"emptied"), (2, b"and filled")]
    growing.close()


def test_a_huge_line_is_passed_over_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offtarget.serve.traffic.growing.LONGEST", 1000)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"x" * 300_000 + b"\nok\n")
    growing = Growing(path)
    found = list(growing.lines())
    assert [(line.number, line.too_long, line.text) for line in found] == [(1, True, b""), (2, False, b"ok")]
    growing.close()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.jsonl cannot be read: No such file"):
        Growing(tmp_path / "nothing.jsonl")


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=30), max_size=20))
def test_however_a_file_is_written_every_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.touch()
    growing, found = Growing(path), []
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        found += texts(growing)
        place = growing.place()
        growing.close()
        growing = Growing(path, place)
    found += texts(growing, last=True)
    growing.close()
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    expected = lines if lines[-1] else lines[:-1]
    assert [text for _, text in found] == [line.rstrip(b"\r") for line in expected]
    assert [number for number, _ in found] == list(range(1, len(expected) + 1))


# lines in our own form


def test_a_line_of_our_own_form_becomes_an_exchange() -> None:
    times = {"at": 5.0, "seconds": 2, "first_seconds": 0.5}
    exchange = one({"arm": "tuned", "conversation": "c1", "id": "r1", **times, "request": CHAT, "response": SAID})
    assert (exchange.arm, exchange.id, exchange.alias, exchange.rollout) == ("tuned", "r1", "assistant", 3)
    assert (exchange.started, exchange.first_seconds, exchange.total_seconds) == (5.0, 0.5, 2.0)
    assert (exchange.api, exchange.status, exchange.source, exchange.reason) == ("chat", 200, "organic", "share")
    assert json.loads(exchange.request) == CHAT
    assert json.loads(exchange.response) == SAID
    assert (
        one({"arm": "base", "conversation": "c1", "request": CHAT, "response": SAID}).conversation
        == exchange.conversation
    )


@pytest.mark.parametrize(
    ("value", "api", "response"),
    [
        ({**CHAT, "answer": "Sleep."}, "chat", SAID),
        ({**CHAT, "response": "Sleep."}, "chat", SAID),
        ({**CHAT, "response": {"content": "Sleep."}}, "chat", SAID),
        (
            {"prompt": "Q", "answer": "A"},
            "completions",
            {"choices": [{"index": 0, "text": "A", "finish_reason": "stop"}]},
        ),
    ],
)
def test_short_forms_are_as_good(value: dict[str, Any], api: str, response: dict[str, Any]) -> None:
    exchange = one({"arm": "base", **value})
    assert exchange.api == api
    assert json.loads(exchange.response) == response


def test_answers_of_the_responses_endpoint_are_read_as_such() -> None:
    exchange = one({"arm": "base", "request": {"input": "Q"}, "answer": "A"})
    assert exchange.api == "responses"
    assert json.loads(exchange.response)["output"][0]["content"][0]["text"] == "A"


def test_a_log_of_litellm_is_told_apart_by_the_names_of_the_models() -> None:
    logged = {
        "id": "chatcmpl-1", "call_type": "acompletion", "status": "success", "startTime": 1764.5, "endTime": 1766.5,
        "model": "llama-3-support", "model_group": "support", "end_user": "u1", "messages": CHAT["messages"],
        "response": {**SAID, "model": "llama-3-support"},
    }  # fmt: skip
    exchange = one(logged)
    assert (exchange.arm, exchange.started, exchange.total_seconds) == ("tuned", 1764.5, 2.0)
    assert one({**logged, "model": "llama-3"}).arm == "base"
    assert read({**logged, "model": "gpt-x", "response": SAID}) == Read(passed_over=1, others=("gpt-x",))
    assert one({**logged, "status": "failure", "response": None}).status == 0


def test_a_conversation_without_a_name_is_known_by_how_it_begins() -> None:
    later = {
        "messages": [*CHAT["messages"], {"role": "assistant", "content": "Sleep."}, {"role": "user", "content": "Why?"}]
    }
    first, second = (one({"arm": "tuned", "request": request, "response": SAID}) for request in (CHAT, later))
    assert first.conversation == second.conversation
    other = one({"arm": "tuned", "request": {"messages": [{"role": "user", "content": "Other?"}]}, "response": SAID})
    assert other.conversation != first.conversation


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{half", NO_JSON),
        (b"\xff\xfe", NO_JSON),
        (b"[" * 100_000, NO_JSON),
        (b"3", NO_OBJECT),
        (b"{}", NO_ARM),
        (b'{"arm": "treatment"}', BAD_ARM),
        (b'{"arm": ["tuned"]}', BAD_ARM),
        (b'{"arm": "tuned"}', NO_QUESTION),
        (b'{"arm": "tuned", "messages": [{"role": "user", "content": "Q"}]}', NO_ANSWER),
    ],
)
def test_a_line_that_cannot_be_read_says_why(text: bytes, why: str) -> None:
    with pytest.raises(BadLine, match=why.split(":")[0].replace("?", ".")):
        read_line(text, ARMS, "a", 1, 0.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "arm",
                    "model",
                    "messages",
                    "request",
                    "response",
                    "choices",
                    "resourceSpans",
                    "scopeSpans",
                    "spans",
                    "attributes",
                    "key",
                    "value",
                    "stringValue",
                    "status",
                    "at",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_whatever_a_line_holds_it_is_read_or_refused(value: Any) -> None:
    try:
        found = read_line(json.dumps(value).encode(), ARMS, "a", 1, 1.0)
    except BadLine:
        return
    assert isinstance(found, Read)


# OpenTelemetry


def attribute(name: str, value: Any) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}


def export(attributes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    span = {
        "traceId": "t1", "spanId": "s1", "name": "chat llama-3", "startTimeUnixNano": "2000000000",
        "endTimeUnixNano": "3500000000", "attributes": attributes, **more,
    }  # fmt: skip
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "x"}, "spans": [span]}]}]}


ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
TOLD = [
    {"role": "assistant", "parts": [
        {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "I look."},
        {"type": "tool_call", "id": "k", "name": "weather", "arguments": {"city": "Paris"}},
    ], "finish_reason": "tool_call"}
]  # fmt: skip


def test_a_span_of_the_genai_conventions_becomes_an_exchange() -> None:
    attributes = [
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.request.model", "support"),
        attribute("gen_ai.response.model", "llama-3-support"),
        attribute("gen_ai.conversation.id", "c1"),
        attribute("gen_ai.system_instructions", [{"type": "text", "content": "Be kind."}]),
        attribute("gen_ai.input.messages", ASKED),
        attribute("gen_ai.output.messages", TOLD),
    ]
    exchange = one(export(attributes))
    assert (exchange.arm, exchange.id, exchange.started, exchange.total_seconds) == ("tuned", "t1-s1", 2.0, 1.5)
    assert json.loads(exchange.request)["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Weather in Paris?"},
    ]
    message = json.loads(exchange.response)["choices"][0]["message"]
    assert message["content"] == "I look."
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
    event = {"name": "gen_ai.client.inference.operation.details", "attributes": attributes[5:]}
    assert one(export(attributes[:5], events=[event])).response == exchange.response


def test_structured_values_and_results_of_tools_are_read() -> None:
    def any_value(value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {"stringValue": value}
        if isinstance(value, list):
            return {"arrayValue": {"values": [any_value(one) for one in value]}}
        return {"kvlistValue": {"values": [{"key": key, "value": any_value(item)} for key, item in value.items()]}}

    result = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "k", "response": "Rain."}]}
    attributes = [
        attribute("gen_ai.request.model", "llama-3"),
        {"key": "gen_ai.input.messages", "value": any_value([*ASKED, result])},
        {"key": "gen_ai.output.messages", "value": any_value(TOLD[:1])},
    ]
    messages = json.loads(one(export(attributes)).request)["messages"]
    assert messages[1:] == [{"role": "tool", "tool_call_id": "k", "content": "Rain."}]


def test_older_names_with_numbers_are_read_in_their_order() -> None:
    attributes = [
        attribute("gen_ai.request.model", "llama-3"),
        attribute("gen_ai.prompt.10.role", "user"), attribute("gen_ai.prompt.10.content", "Second."),
        attribute("gen_ai.prompt.2.role", "user"), attribute("gen_ai.prompt.2.content", "First."),
        attribute("gen_ai.completion.0.role", "assistant"), attribute("gen_ai.completion.0.content", "Yes."),
    ]  # fmt: skip
    exchange = one(export(attributes))
    assert [message["content"] for message in json.loads(exchange.request)["messages"]] == ["First.", "Second."]
    assert json.loads(exchange.response)["choices"][0]["message"]["content"] == "Yes."


def test_other_spans_are_passed_over_and_those_without_messages_are_named() -> None:
    assert read(export([attribute("http.method", "GET")])) == Read(passed_over=1)
    assert (
        read(
            export([attribute("gen_ai.operation.name", "execute_tool"), attribute("gen_ai.request.model", "llama-3")])
        ).passed_over
        == 1
    )
    assert read(export([attribute("gen_ai.request.model", "gpt-x")])).passed_over == 1
    assert read(export([attribute("gen_ai.request.model", "llama-3")])).bad == (NO_MESSAGES,)
    failed = one(export([attribute("gen_ai.request.model", "llama-3")], status={"code": 2}))
    assert failed.status == 0
    said = [attribute("canary.arm", "tuned"), attribute("gen_ai.request.model", "any")]
    said += [attribute("gen_ai.input.messages", ASKED), attribute("gen_ai.output.messages", TOLD)]
    assert one(export(said)).arm == "tuned"


def test_a_place_is_plain() -> None:
    assert Place() == Place(0, 0, "", 0)
