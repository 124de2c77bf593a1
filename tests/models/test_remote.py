from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tiny_models import ask

from offtarget.errors import InputError
from offtarget.models import ChatModel, NumberScorer, SamplingSettings
from offtarget.models.names import RemoteName, parse_name
from offtarget.models.opening import open_model
from offtarget.models.remote import RemoteModel
from offtarget.records.runs import OpenSettings

KEY = "sk-very-secret-123"


class FakeServer(ThreadingHTTPServer):
    """A chat completions endpoint on loopback that echoes, remembers, and fails as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.failures: list[int] = []
        self.busy = 0
        self.most_busy = 0
        self.logprobs: list[dict[str, Any]] | None = None
        self.lock = threading.Lock()
        self.gate: threading.Barrier | None = None


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
            server.requests.append(body)
            server.keys.add(self.headers.get("Authorization"))
            failure = server.failures.pop(0) if server.failures else None
        if server.gate is not None:
            server.gate.wait(5)
        with server.lock:
            server.busy -= 1
        if failure is not None:
            self._send(failure, {"error": {"message": f"refused for key {KEY}", "type": "x", "code": "y"}})
            return
        text = f"{body['messages'][-1]['content']} #{body.get('seed')}"
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "length" if body["max_tokens"] == 7 else "stop",
            "message": {"role": "assistant", "content": text},
        }
        if body.get("logprobs") and server.logprobs is not None:
            top = server.logprobs
            choice["logprobs"] = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": top}]}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6},
        }
        self._send(200, reply)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake = FakeServer()
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("MY_LAB_BASE_URL", f"http://127.0.0.1:{fake.server_address[1]}/v1")
    monkeypatch.setenv("MY_LAB_API_KEY", KEY)
    yield fake
    fake.shutdown()
    fake.server_close()
    thread.join(5)


@pytest.fixture
def model(server: FakeServer) -> Iterator[RemoteModel]:
    name = parse_name("openai-api/my-lab/some/model")
    assert isinstance(name, RemoteName)
    opened = RemoteModel.open(name, connections=4, timeout=10, retries=1)
    yield opened
    opened._client.close()


def test_answers_come_in_request_order_with_system_turn_seed_and_settings(
    model: RemoteModel, server: FakeServer
) -> None:
    """Answers follow request order; system turn, seed, stop and sampling settings reach the server."""
    seen: list[int] = []
    requests = [ask(f"q{i}", 10 + i, system="be kind") for i in range(9)]
    settings = SamplingSettings(temperature=0.5, top_p=0.9, max_tokens=20, stop=("\n",))
    answers = model.sample(requests, settings, lambda i, a: seen.append(i))
    assert [a.text for a in answers] == [f"q{i} #{10 + i}" for i in range(9)]
    assert sorted(seen) == list(range(9))
    for body in server.requests:
        assert body["model"] == "some/model"
        assert body["messages"][0] == {"role": "system", "content": "be kind"}
        assert (body["temperature"], body["top_p"], body["max_tokens"], body["stop"]) == (0.5, 0.9, 20, ["\n"])
    assert server.keys == {f"Bearer {KEY}"}
    assert answers[0].finish == "stop"
    assert answers[0].tokens == 5


def test_a_cut_answer_is_marked_as_cut(model: RemoteModel) -> None:
    """finish_reason length becomes finish length."""
    assert model.sample([ask("q", 1)], SamplingSettings(max_tokens=7))[0].finish == "length"


def test_connections_bound_and_reach_the_number_of_simultaneous_requests(
    model: RemoteModel, server: FakeServer
) -> None:
    """Exactly `connections` requests are under way together: four can meet at a barrier, a fifth never joins."""
    server.gate = threading.Barrier(4)
    model.sample([ask("q", i) for i in range(12)], SamplingSettings())
    assert server.most_busy == 4


def test_a_passing_failure_is_tried_again(model: RemoteModel, server: FakeServer) -> None:
    """One 500 and then success is an answer, asked twice."""
    server.failures = [500]
    assert model.sample([ask("q", 3)], SamplingSettings())[0].text == "q #3"
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "words"), [(401, "API key"), (404, "some/model"), (400, "HTTP 400")])
def test_a_lasting_failure_names_the_cause_and_never_the_key(
    model: RemoteModel, server: FakeServer, status: int, words: str
) -> None:
    """The message says what to check; neither it, its causes nor the repr hold the key."""
    server.failures = [status] * 9
    with pytest.raises(InputError, match=words) as caught:
        model.sample([ask("q", 3)], SamplingSettings())
    assert KEY not in str(caught.value)
    assert KEY not in repr(model)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_error_in_on_answer_stops_the_asking(model: RemoteModel, server: FakeServer) -> None:
    """An interruption raised by the caller reaches the caller, and the rest is not asked."""

    def stop(index: int, answer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample([ask("q", i) for i in range(50)], SamplingSettings(), stop)
    assert len(server.requests) < 50


def test_reply_probabilities_sum_tokens_that_differ_in_blanks(model: RemoteModel, server: FakeServer) -> None:
    """First-token probabilities of the wanted replies; unknown replies are absent, not zero."""
    server.logprobs = [
        {"token": t, "logprob": math.log(p)} for t, p in [("85", 0.5), (" 85", 0.1), ("90", 0.2), ("The", 0.1)]
    ]
    found = model.reply_probabilities(ask("rate", 0).messages, ["85", "90", "100"])
    assert found == pytest.approx({"85": 0.6, "90": 0.2})
    assert server.requests[-1]["top_logprobs"] == 20


def test_a_server_without_logprobs_gives_no_probabilities(model: RemoteModel, server: FakeServer) -> None:
    """No log probabilities means an empty result, and the server is not asked in vain again."""
    assert model.reply_probabilities(ask("rate", 0).messages, ["85"]) == {}
    assert model.reply_probabilities(ask("rate", 0).messages, ["85"]) == {}
    assert len(server.requests) == 1


def test_missing_address_and_key_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the environment variable to set."""
    for variable in ("VLLM_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match="VLLM_BASE_URL"):
        open_model("vllm/some/model")
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        open_model("openai/gpt-x")


def test_open_model_gives_a_chat_model_and_scorer(server: FakeServer) -> None:
    """A remote name opens as both Protocols, and its fingerprint depends on endpoint and model."""
    one = open_model("openai-api/my-lab/a", settings=OpenSettings(connections=2))
    other = open_model("openai-api/my-lab/b")
    assert isinstance(one, ChatModel)
    assert isinstance(one, NumberScorer)
    assert one.fingerprint != other.fingerprint
    assert KEY not in repr(vars(one)["_name"])
