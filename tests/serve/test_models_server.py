"""Models of this package behind an OpenAI-compatible address: answers, streams, batches, cancels, refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from served import served_app

from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Message, SamplingSettings
from offtarget.serve.models.app import ModelsApp
from offtarget.serve.models.batches import Batches, Full

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    app = ModelsApp({"m": ScriptedModel("m", {"Hello": ["one two three"]})}, key="k")
    with served_app(app) as address, httpx.Client(base_url=address, headers={"authorization": "Bearer k"}) as opened:
        yield opened
    app.close()


def test_an_answer_and_its_count(client: httpx.Client) -> None:
    """As OpenAI's servers give it, also without `/v1`."""
    for path in ("/v1/chat/completions", "/chat/completions"):
        reply = client.post(path, json=CHAT).json()
        assert reply["choices"][0]["message"] == {"role": "assistant", "content": "one two three"}
        assert reply["choices"][0]["finish_reason"] == "stop"
        assert reply["usage"]["completion_tokens"] == 3
    assert client.get("/v1/models").json()["data"][0]["id"] == "m"


def test_a_stream_ends_with_done_and_counts_when_asked(client: httpx.Client) -> None:
    """Role, content, reason, usage, `[DONE]`."""
    reply = client.post(
        "/v1/chat/completions", json={**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    )
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [line for line in reply.text.split("\n\n") if line]
    assert events[-1] == "data: [DONE]"
    assert '"content":"one two three"' in events[1]
    assert '"usage":{' in events[-2]


def test_limits_and_several_answers(client: httpx.Client) -> None:
    """`max_tokens` cuts, `n` gives so many."""
    reply = client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 2, "n": 3}).json()
    assert [choice["message"]["content"] for choice in reply["choices"]] == ["one two"] * 3
    assert reply["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"{}", 400, "'model' must be text"),
        (b'{"model": "m", "messages": []}', 400, "at least one message"),
        (b'{"model": "m", "messages": [{"role": "tool", "content": "x"}]}', 400, "the role must be one of"),
        (b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', 400, "must be text"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [{}]}', 400, "takes no 'tools'"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 9}', 400, "from 0 to 2"),
        (b'{"model": "x", "messages": [{"role": "user", "content": "a"}]}', 404, "no model 'x'"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "unheard"}]}', 400, "unheard"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(client: httpx.Client, body: bytes, status: int, said: str) -> None:
    """A status and an error in OpenAI's shape."""
    reply = client.post("/v1/chat/completions", content=body)
    assert (reply.status_code, said in reply.json()["error"]["message"]) == (status, True), reply.text


def test_a_stranger_gets_nothing(client: httpx.Client) -> None:
    """Without the key no model is asked; health is open."""
    assert client.get("/v1/models", headers={"authorization": "Bearer other"}).status_code == 401
    assert client.get("/healthz", headers={"authorization": ""}).status_code == 200


def request(text: str = "Hello") -> SampleRequest:
    return SampleRequest((Message("user", text),), 1)


class Slow:
    """A scripted model that waits until it may answer, and remembers its batches."""

    def __init__(self) -> None:
        self.may, self.sizes = threading.Event(), list[int]()
        self.begun = threading.Event()
        self._model = ScriptedModel("slow", lambda asked: "yes")
        self.name, self.fingerprint = "slow", "slow"

    def sample(self, requests, settings, on_answer=None):  # type: ignore[no-untyped-def]
        self.sizes.append(len(requests))
        self.begun.set()
        assert self.may.wait(10)
        return self._model.sample(requests, settings, on_answer)


def test_those_who_wait_are_sampled_together_and_cancelled_ones_never() -> None:
    """One alone, then all that came meanwhile as one batch, without the one whose client left."""
    model = Slow()
    batches = Batches({"m": model}, waiting=4)
    first = batches.ask("m", request(), SamplingSettings())
    assert model.begun.wait(5)
    waiting = [batches.ask("m", request(), SamplingSettings()) for _ in range(4)]
    with pytest.raises(Full):
        batches.ask("m", request(), SamplingSettings())
    assert waiting[0].cancel()
    again = batches.ask("m", request(), SamplingSettings())  # room again
    model.may.set()
    assert first.result(5).answer.text == "yes"
    assert [one.result(5).answer.text for one in (*waiting[1:], again)] == ["yes"] * 4
    assert model.sizes == [1, 4]
    batches.close()


def test_an_error_of_one_batch_does_not_end_the_next() -> None:
    """The thread goes on."""
    batches = Batches({"m": ScriptedModel("m", {"Hello": ["fine"]})})
    with pytest.raises(Exception, match="unknown"):
        batches.ask("m", request("unknown"), SamplingSettings()).result(5)
    assert batches.ask("m", request(), SamplingSettings()).result(5).answer.text == "fine"
    batches.close()


def test_a_client_that_leaves_frees_its_place() -> None:
    """Over HTTP: the request behind it is answered, its own never sampled."""
    model = Slow()
    app = ModelsApp({"m": model})
    with served_app(app) as address:
        first = threading.Thread(target=lambda: httpx.post(f"{address}/v1/chat/completions", json=CHAT, timeout=10))
        first.start()
        assert model.begun.wait(5)
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"{address}/v1/chat/completions", json=CHAT, timeout=0.2)
        time.sleep(0.3)
        model.may.set()
        first.join(10)
        assert httpx.post(f"{address}/v1/chat/completions", json=CHAT, timeout=10).status_code == 200
    assert model.sizes == [1, 1]
    app.close()
