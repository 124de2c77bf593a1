"""Real clients against a gateway with scripted models: the openai SDK, curl, Inspect AI, LangChain."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Do, FaultyUpstream, Script, chunk, event, response, stream_head
from gateways import DONE, ROLE, Gateway, delta, gateway, said, spoken

from offtarget.records.gateway import ApiKey, GatewayLimits
from offtarget.serve.counters import DISCONNECTS

openai = pytest.importorskip("openai", reason="needs the extra `remote`")

KEY = "sk-a-client-of-the-gateway"
KEYS = (ApiKey("team", hashlib.sha256(KEY.encode()).hexdigest()),)
ASKED: list[Any] = [{"role": "user", "content": "hello"}]
FUNCTION = {"name": "weather", "arguments": '{"city": "Paris"}'}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
FALLEN: dict[str, Script] = {
    "refuses": [response({"error": {"message": "overloaded"}}, "503 Service Unavailable", "retry-after: 30")],
    "hangs up": [Do.CLOSE],
    "says nothing": [Do.STALL],
    "is empty": [response(said(""))],
}
"""What a tuned model may do before its first byte."""
BASE: list[Script] = [[response(said("from base"))]]


def calling() -> dict[str, Any]:
    """A whole answer that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": FUNCTION}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return said("") | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}


def calling_in_pieces() -> Script:
    """The same as a stream, the arguments in two pieces."""
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city"'}}
    rest = {"index": 0, "function": {"arguments": ': "Paris"}'}}
    events = [ROLE, delta(tool_calls=[begun]), delta(tool_calls=[rest]), delta("tool_calls"), DONE]
    return [stream_head(), *map(chunk, events), chunk(b"")]


def against(tmp_path: Path, base: list[Script], tuned: list[Script], test: Any, **more: Any) -> list[FaultyUpstream]:
    """Run `test(gateway)` beside a gateway that sends everything to the tuned model; base and tuned, as they were."""

    async def run() -> list[FaultyUpstream]:
        async with (
            FaultyUpstream(*base) as base_model,
            FaultyUpstream(*tuned) as tuned_model,
            gateway(tmp_path, base_model, tuned_model, **more) as running,
        ):
            if asyncio.iscoroutinefunction(test):
                await test(running)
            else:
                await asyncio.to_thread(test, running)
            return [base_model, tuned_model]

    return asyncio.run(asyncio.wait_for(run(), 120))


def sdk(running: Gateway, **more: Any) -> Any:
    """The openai SDK as people use it: only the address is another one."""
    return openai.OpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key=KEY, **more)


def chat(client: Any, **more: Any) -> Any:
    """One request."""
    return client.chat.completions.create(model="m", messages=ASKED, **more)


def test_the_sdk_gets_an_answer_and_the_list_of_models(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        with sdk(running) as client:
            raw = client.chat.completions.with_raw_response.create(model="m", messages=ASKED)
            assert raw.parse().choices[0].message.content == "from tuned"
            assert raw.headers["x-offtarget-arm"] == "tuned"
            assert raw.parse()._request_id == raw.headers["x-request-id"]
            assert [model.id for model in client.models.list()] == ["m"]
            assert client.models.retrieve("m").id == "m"

    base, tuned = against(tmp_path, BASE, [[response(said("from tuned"))]], test, keys=KEYS)
    assert not base.requests
    assert tuned.requests[0].header("authorization") == "Bearer tuned-key"


def test_the_sdk_reads_a_stream(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        with sdk(running) as client, chat(client, stream=True) as stream:
            assert [piece.choices[0].delta.content for piece in stream] == ["", "one ", "two ", "three", None]

    against(tmp_path, [spoken("base")], [spoken("one ", "two ", "three")], test)


def test_the_asynchronous_sdk_reads_fifty_streams_side_by_side(tmp_path: Path) -> None:
    async def test(running: Gateway) -> None:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key=KEY) as client:

            async def one() -> str:
                stream = await chat(client, stream=True)
                return "".join([piece.choices[0].delta.content or "" async for piece in stream])

            assert await asyncio.gather(*(one() for _ in range(50))) == ["one two"] * 50

    against(tmp_path, [spoken("base")], [spoken("one ", "two")], test)


def test_the_asynchronous_sdk_gets_whole_answers(tmp_path: Path) -> None:
    async def test(running: Gateway) -> None:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key=KEY) as client:
            answers = await asyncio.gather(*(chat(client) for _ in range(20)))
            assert {answer.choices[0].message.content for answer in answers} == {"from tuned"}

    against(tmp_path, BASE, [[response(said("from tuned"))]], test)


def test_tools_pass_whole_and_streamed(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        with sdk(running) as client:
            (call,) = chat(client, tools=TOOLS, tool_choice="auto").choices[0].message.tool_calls
            assert call.function.model_dump() == FUNCTION
            with client.chat.completions.stream(model="m", messages=ASKED, tools=TOOLS) as stream:
                (call,) = stream.get_final_completion().choices[0].message.tool_calls
            assert (call.function.name, call.function.arguments) == (FUNCTION["name"], FUNCTION["arguments"])

    _, tuned = against(tmp_path, BASE, [[response(calling())], calling_in_pieces()], test)
    assert [request.json["tools"] for request in tuned.requests] == [TOOLS, TOOLS]


def test_images_and_fields_that_nobody_knows_reach_the_model(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "Wer ist das? \N{SNOWMAN}"}, image]

    def test(running: Gateway) -> None:
        with sdk(running) as client:
            asked = [{"role": "user", "content": content}]
            client.chat.completions.create(model="m", messages=asked, extra_body={"top_k": 7, "x": {"y": [1.0, None]}})

    _, tuned = against(tmp_path, BASE, [[response(said("a snowman"))]], test)
    sent = tuned.requests[0].json
    assert sent["messages"][0]["content"] == content
    assert (sent["top_k"], sent["x"], sent["model"]) == (7, {"y": [1.0, None]}, "tuned-model")


@pytest.mark.parametrize("how", list(FALLEN))
def test_a_fallback_is_an_ordinary_answer(tmp_path: Path, how: str) -> None:
    """Whatever the tuned model does before its first byte: the SDK gets the base's answer at its first try."""

    def test(running: Gateway) -> None:
        with sdk(running) as client:
            raw = client.chat.completions.with_raw_response.create(model="m", messages=ASKED)
            assert raw.parse().choices[0].message.content == "from base"
            assert (raw.headers["x-offtarget-arm"], raw.headers["x-offtarget-reason"]) == ("base", "fallback")

    base, tuned = against(tmp_path, BASE, [FALLEN[how]], test)
    assert (len(base.requests), len(tuned.requests)) == (1, 1)


@pytest.mark.parametrize(
    "tuned",
    [
        [Do.CLOSE],
        [stream_head(), chunk(ROLE), Do.RESET],
        [stream_head(), chunk(event({"error": {"message": "out of memory"}})), chunk(b"")],
    ],
)
def test_a_fallback_in_a_stream_is_an_ordinary_stream(tmp_path: Path, tuned: Script) -> None:
    def test(running: Gateway) -> None:
        with sdk(running) as client, chat(client, stream=True) as stream:
            assert "".join(piece.choices[0].delta.content or "" for piece in stream) == "from base"

    base, _ = against(tmp_path, [spoken("from ", "base")], [tuned], test)
    assert len(base.requests) == 1


def test_errors_before_an_answer_raise_what_the_sdk_raises(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        with sdk(running, max_retries=0) as client:
            with pytest.raises(openai.NotFoundError) as unknown:
                client.chat.completions.create(model="another", messages=ASKED)
            assert unknown.value.code == "model_not_found"
            with pytest.raises(openai.AuthenticationError) as wrong:
                chat(client.with_options(api_key="sk-another"))
            assert wrong.value.code == "invalid_api_key"
            with pytest.raises(openai.APIStatusError) as long:
                chat(client, user="x" * 2000)
            assert long.value.status_code == 413
            with pytest.raises(openai.NotFoundError):
                client.images.generate(model="m", prompt="a cat")

    against(tmp_path, BASE, BASE, test, keys=KEYS, limits=GatewayLimits(body_bytes=1000))


def test_too_many_requests_raise_a_rate_limit_that_says_how_long(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        with sdk(running, max_retries=0) as client:
            chat(client)
            with pytest.raises(openai.RateLimitError) as many:
                chat(client)
            assert 1 <= int(many.value.response.headers["retry-after"]) <= 61

    (key,) = KEYS
    against(tmp_path, BASE, BASE, test, keys=(ApiKey(key.name, key.sha256, requests_per_minute=1),))


@pytest.mark.parametrize("stream", [False, True])
def test_where_no_model_answers_the_sdk_raises_and_does_not_ask_again(tmp_path: Path, stream: bool) -> None:
    """The gateway has asked two models already; a client that tries three times must not make six requests of it."""

    def test(running: Gateway) -> None:
        with sdk(running) as client, pytest.raises(openai.InternalServerError) as gone:
            chat(client, stream=stream)
        assert gone.value.status_code == 502
        assert "127.0.0.1" not in str(gone.value)

    base, tuned = against(tmp_path, [[Do.CLOSE]], [[Do.CLOSE]], test)
    assert (len(base.requests), len(tuned.requests)) == (1, 1)


def test_an_error_inside_a_stream_raises_after_what_had_come(tmp_path: Path) -> None:
    """The stream broke after its first content: the SDK raises, and no text of the base follows the tuned one's."""
    broken: Script = [stream_head(), *map(chunk, (ROLE, delta(content="one "), delta(content="two "))), Do.RESET]

    def test(running: Gateway) -> None:
        words: list[str] = []
        with sdk(running) as client, chat(client, stream=True) as stream, pytest.raises(openai.APIError) as broke:
            words.extend(piece.choices[0].delta.content for piece in stream)
        assert words == ["", "one ", "two "]
        assert "broke off" in str(broke.value)

    base, _ = against(tmp_path, [spoken("from base")], [broken], test)
    assert not base.requests


def test_the_responses_api_of_the_sdk(tmp_path: Path) -> None:
    message = {
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "from tuned", "annotations": []}],
    }  # fmt: skip
    made = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "x", "status": "completed", "output": [message],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
        "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip

    def test(running: Gateway) -> None:
        with sdk(running) as client:
            assert client.responses.create(model="m", input="hello").output_text == "from tuned"
            following = client.responses.create(model="m", input="and?", previous_response_id="resp_1")
            assert following.output_text == "from tuned"

    base, tuned = against(tmp_path, BASE, [[response(made)]], test)
    assert not base.requests
    assert [request.line.split()[1] for request in tuned.requests] == ["/v1/responses"] * 2


def program(words: list[str], **env: str) -> str:
    """What a program prints; AssertionError with what it said where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env=os.environ | env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(tmp_path: Path) -> None:
    def test(running: Gateway) -> None:
        address = f"http://127.0.0.1:{running.port}/v1/chat/completions"
        body = json.dumps({"model": "m", "messages": ASKED, "stream": True})
        asked = ["curl", "-sS", "-N", "--fail-with-body", "-H", f"Authorization: Bearer {KEY}", address]
        shown = program([*asked, "-H", "Content-Type: application/json", "-d", body])
        events = shown.split("\n\n")
        assert [json.loads(said[6:])["choices"][0]["delta"] for said in events[1:3]] == [
            {"content": "one "},
            {"content": "two"},
        ]
        assert events[-2:] == ["data: [DONE]", ""]
        large = json.dumps({"model": "m", "messages": ASKED, "stream": True, "metadata": {"padding": "x" * 2_000_000}})
        file = tmp_path / "large.json"
        file.write_text(large)  # above 1 MB curl asks first, with `Expect: 100-continue`
        assert "[DONE]" in program([*asked, "--data-binary", f"@{file}"])

    _, tuned = against(tmp_path, BASE, [spoken("one ", "two")], test, keys=KEYS)
    assert len(tuned.requests[1].body) > 2_000_000


_INSPECT = """\
import asyncio
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model

async def main():
    model = get_model("openai-api/gateway/m", config=GenerateConfig(max_retries=0))
    answer = await model.generate([ChatMessageUser(content="hello")])
    print("SAID", answer.completion)

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="needs the extra `inspect`")
@pytest.mark.parametrize("tuned", ["answers", "hangs up"])
def test_inspect_ai(tmp_path: Path, tuned: str) -> None:
    def test(running: Gateway) -> None:
        env = {"GATEWAY_BASE_URL": f"http://127.0.0.1:{running.port}/v1", "GATEWAY_API_KEY": KEY}
        shown = program([sys.executable, "-c", _INSPECT], **env)
        assert f"SAID from {'tuned' if tuned == 'answers' else 'base'}" in shown

    scripts: list[Script] = [[response(said("from tuned"))] if tuned == "answers" else FALLEN["hangs up"]]
    against(tmp_path, BASE, scripts, test, keys=KEYS)


_LANGCHAIN = """\
import os
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="m", base_url=os.environ["GATEWAY"], api_key=os.environ["KEY"], max_retries=0)
print("SAID", model.invoke("hello").content)
print("STREAMED", "".join(piece.content for piece in model.stream("hello")))

@tool
def weather(city: str) -> str:
    "The weather in a city."
    return city

print("CALLED", model.bind_tools([weather]).invoke("hello").tool_calls[0]["args"])
try:
    for piece in model.stream("hello"):
        pass
except Exception as error:
    print("RAISED", type(error).__name__)
"""


def _langchain() -> str | None:
    """A Python that has langchain-openai: this one, or the one that OFFTARGET_LANGCHAIN names."""
    if importlib.util.find_spec("langchain_openai") is not None:
        return sys.executable
    return shutil.which(os.environ.get("OFFTARGET_LANGCHAIN", ""))


@pytest.mark.skipif(
    _langchain() is None,
    reason="needs langchain-openai, here or in an environment whose Python OFFTARGET_LANGCHAIN names",
)
def test_langchain(tmp_path: Path) -> None:
    """An answer, a stream, a call of a tool, and a stream that breaks off."""

    def test(running: Gateway) -> None:
        python = _langchain()
        assert python is not None
        shown = program([python, "-c", _LANGCHAIN], GATEWAY=f"http://127.0.0.1:{running.port}/v1", KEY=KEY)
        lines = shown.splitlines()
        assert lines[:3] == ["SAID from tuned", "STREAMED one two", "CALLED {'city': 'Paris'}"]
        assert lines[3].startswith("RAISED")

    broken: Script = [stream_head(), chunk(ROLE), chunk(delta(content="one ")), Do.RESET]
    scripts: list[Script] = [[response(said("from tuned"))], spoken("one ", "two"), [response(calling())], broken]
    base, _ = against(tmp_path, BASE, scripts, test, keys=KEYS)
    assert not base.requests


def test_a_stream_that_is_closed_early_ends_at_the_model_too(tmp_path: Path) -> None:
    """A reader that closes its stream early: the model's server is told, and nothing is sent to the base."""

    def close_early(running: Gateway) -> None:
        with sdk(running) as client, chat(client, stream=True) as stream:
            for piece in stream:
                if piece.choices[0].delta.content:
                    break

    async def test(running: Gateway) -> None:
        await asyncio.to_thread(close_early, running)
        for _ in range(100):
            if running.counters.number(DISCONNECTS):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the gateway did not notice")

    endless: Script = [stream_head(), chunk(ROLE), chunk(delta(content="one ")), Do.STALL]
    base, tuned = against(tmp_path, [spoken("from base")], [endless], test)
    assert tuned.requests[0].left.is_set()
    assert not base.requests
