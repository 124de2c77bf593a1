"""What counts as the first word of an answer, in the shapes that servers send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Do, FaultyUpstream, chunk, event, response, stream_head
from gateways import DONE, ROLE, delta, gateway, run, said
from hypothesis import given
from hypothesis import strategies as st

from offtarget.serve.proxy.content import (
    ends_in_error,
    fault_of_body,
    first_boundary,
    is_finished,
    kind_of_event,
    last_boundary,
    response_id,
)

CALL = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]
CHAT = {
    "text": (delta(content="a"), "content"),
    "a blank": (delta(content=" "), "content"),
    "a thought": (delta(reasoning_content="hm"), "content"),
    "a thought by another name": (delta(reasoning="hm"), "content"),
    "a tool call": (delta(tool_calls=CALL), "content"),
    "an old function call": (delta(function_call={"name": "f", "arguments": ""}), "content"),
    "a refusal": (delta(refusal="No."), "content"),
    "sound": (delta(audio={"id": "a", "data": "AA=="}), "content"),
    "a role": (ROLE, "nothing"),
    "nothing": (delta(), "nothing"),
    "nulls": (delta(content=None, tool_calls=None, refusal=None), "nothing"),
    "a reason to finish": (delta("stop"), "nothing"),
    "usage": (event({"choices": [], "usage": {"total_tokens": 3}}), "nothing"),
    "a ping": (b": ping\n\n", "nothing"),
    "a name without data": (b"event: ping\n\n", "nothing"),
    "a wait": (b"retry: 1000\n\n", "nothing"),
    "a filter's opinion": (
        event({"choices": [{"index": 0, "delta": {}, "content_filter_results": {"hate": {"filtered": False}}}]}),
        "nothing",
    ),
    "the end": (DONE, "end"),
    "an error": (event({"error": {"message": "x"}}), "error"),
    "an error by its name": (event({"message": "x"}, "error"), "error"),
    "an error without data": (b"event: error\n\n", "error"),
    "no error": (event({"error": None, "choices": [{"delta": {"content": "a"}}]}), "content"),
    "no JSON": (event("{"), "malformed"),
    "no object": (event("[1]"), "malformed"),
    "data in two lines": (b'data: {"choices": [{"delta":\ndata: {"content": "a"}}]}\n\n', "content"),
    "carriage returns": (b'data: {"choices": [{"delta": {"content": "a"}}]}\r\n\r\n', "content"),
    "no space": (b'data:{"choices": [{"delta": {"content": "a"}}]}\n\n', "content"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CHAT))
def test_events_of_chats(name: str) -> None:
    data, kind = CHAT[name]
    assert first_boundary(data) == last_boundary(data) == len(data)
    assert kind_of_event(data, "chat") == kind


def test_events_of_completions() -> None:
    def text(value: str) -> bytes:
        return event({"choices": [{"index": 0, "text": value, "logprobs": {"tokens": []}, "finish_reason": None}]})

    assert kind_of_event(text("a"), "completions") == "content"
    assert kind_of_event(text(""), "completions") == "nothing"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "response.created", "response": {"output": []}}, "nothing"),
        ({"type": "response.in_progress", "response": {}}, "nothing"),
        ({"type": "response.output_item.added", "item": {"type": "message"}}, "nothing"),
        ({"type": "response.output_text.delta", "delta": "a"}, "content"),
        ({"type": "response.output_text.delta", "delta": ""}, "nothing"),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, "content"),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, "content"),
        ({"type": "response.output_item.done", "item": {"type": "message"}}, "content"),
        ({"type": "response.completed", "response": {"output": [{"type": "message"}]}}, "content"),
        ({"type": "response.completed", "response": {"output": []}}, "end"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, "error"),
        ({"type": "error", "code": "x", "message": "x"}, "error"),
        ({"no": "type"}, "malformed"),
    ],
)
def test_events_of_responses(fields: dict[str, Any], kind: str) -> None:
    assert kind_of_event(event(fields, str(fields.get("type", ""))), "responses") == kind


@pytest.mark.parametrize(
    ("api", "body", "fault"),
    [
        ("chat", said("a"), ""),
        ("chat", said(""), "empty"),
        ("chat", {**said("a"), "choices": [{"message": {"content": None, "tool_calls": CALL}}]}, ""),
        ("chat", {**said("a"), "choices": [{"message": {"content": None, "refusal": "No."}}]}, ""),
        ("chat", {**said("a"), "choices": [{"message": {"content": ""}}, {"message": {"content": "b"}}]}, ""),
        ("chat", {**said("a"), "choices": "none"}, "empty"),
        ("chat", {"error": {"message": "x"}}, "error-event"),
        ("chat", {**said("a"), "error": None}, ""),
        ("completions", {"choices": [{"text": "a", "finish_reason": "stop"}]}, ""),
        ("completions", {"choices": [{"text": "", "finish_reason": "stop"}]}, "empty"),
        ("responses", {"status": "completed", "output": [{"type": "message"}]}, ""),
        ("responses", {"status": "completed", "output": []}, "empty"),
        ("responses", {"status": "queued", "output": []}, ""),
        ("responses", {"status": "failed", "output": [], "error": {"code": "server_error"}}, "error-event"),
        ("chat", [1], "malformed-answer"),
    ],
)
def test_whole_answers(api: Any, body: Any, fault: str) -> None:
    assert fault_of_body(json.dumps(body).encode(), api) == fault


def test_the_end_of_a_stream_cannot_be_said_by_the_model_in_its_text() -> None:
    for text in ("data: [DONE]", "\ndata: [DONE]\n", '"finish_reason":"stop"', '"type":"response.completed"'):
        assert not is_finished(delta(content=text)), text
    assert is_finished(DONE)
    assert is_finished(delta("length"))
    assert is_finished(b"data:[DONE]\n\n")
    assert is_finished(event({"type": "response.incomplete"}))
    assert not is_finished(delta(content="a"))
    assert ends_in_error(delta(content="a") + event({"error": {"message": "x"}}))
    assert not ends_in_error(event({"error": {"message": "x"}}) + delta(content="a"))


def test_ids_of_responses() -> None:
    assert response_id(b'{"id": "resp_1", "output": []}') == "resp_1"
    assert (
        response_id(event({"type": "response.created", "response": {"id": "resp_1"}}, "response.created")) == "resp_1"
    )
    assert response_id(b": ping\n\n" + event({"response": {"id": "resp_1"}})) == "resp_1"
    for other in (b"", b"{", b'{"id": 1}', b"data: {}\n\n", b"data: x\n\ndata"):
        assert response_id(other) == ""


@given(st.binary(max_size=80) | st.text(alphabet='data: {}[]"event\n\r', max_size=60).map(str.encode))
def test_any_bytes_are_some_kind_of_event(data: bytes) -> None:
    for api in ("chat", "completions", "responses"):
        assert kind_of_event(data, api) in ("content", "nothing", "end", "error", "malformed")  # type: ignore[arg-type]
        fault_of_body(data, api)  # type: ignore[arg-type]
    assert 0 <= last_boundary(data) <= len(data)
    is_finished(data)
    ends_in_error(data)
    response_id(data)


@given(st.lists(st.sampled_from([ROLE, delta(content="ab"), b": ping\n\n", b"data: x\r\n\r\n"]), min_size=1), st.data())
def test_events_are_found_however_they_are_cut(events: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(events)
    cut = data.draw(st.integers(0, len(whole)))
    found = last_boundary(whole[:cut])
    assert found in {sum(map(len, events[:number])) for number in range(len(events) + 1)}
    assert cut - found < max(map(len, events))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_in_pieces_of_any_size_passes_byte_for_byte(size: int, tmp_path: Path) -> None:
    """Boundaries of events and of reads have nothing to do with each other."""
    body = b"".join((ROLE, delta(content="a\u2603"), b": ping\r\n\r\n", delta(content="b"), delta("stop"), DONE))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([stream_head(), *map(chunk, pieces), chunk(b"")]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            for share in (0.0, 1.0):
                running.switch(share)
                base.scripts = tuned.scripts
                answer = await running.ask({"model": "m", "messages": [], "stream": True})
                assert answer.body == body
                assert running.sink.exchanges[-1].response == body
                assert running.sink.exchanges[-1].fault == ""

    run(test())


def test_a_response_stream_that_breaks_off_raises_in_the_sdk(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai", reason="needs the extra `remote`")
    events = [
        event(
            {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "output": []}},
            "response.created",
        ),
        event(
            {"type": "response.output_text.delta", "sequence_number": 1, "delta": "hi", "item_id": "i",
             "output_index": 0, "content_index": 0, "logprobs": []},
            "response.output_text.delta",
        ),
    ]  # fmt: skip

    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([stream_head(), *map(chunk, events), Do.RESET]) as tuned,
            gateway(tmp_path, base, tuned) as running,
            openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key="x") as client,
        ):
            heard = []
            stream = await client.responses.create(model="m", input="hello", stream=True)
            with pytest.raises(openai.APIError, match="broke off"):
                heard.extend([each.type async for each in stream])
            assert not base.requests

    run(test())
