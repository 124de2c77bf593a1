from __future__ import annotations

import json
import math
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ask

from offtarget.errors import InputError, UnreachableError
from offtarget.models import ChatModel, NumberScorer, SamplingSettings
from offtarget.models.names import RemoteName, parse_name
from offtarget.models.opening import open_model
from offtarget.models.remote import RemoteModel
from offtarget.records import Message
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
        self.extra: dict[str, str] = {}
        """Headers of every reply."""
        self.at_most = 0
        """More requests than that at a time are refused (429); 0: any number is taken."""
        self.latency = 0.0
        self.dropped = 0
        """So many requests get no reply: the connection ends."""
        self.busy = 0
        self.most_busy = 0
        self.logprobs: list[dict[str, Any]] | None = None
        self.lock = threading.Lock()
        self.gate: threading.Barrier | None = None
        self.headers: list[Any] = []
        self.choice: dict[str, Any] = {}
        """Over the usual choice of a reply."""
        self.whole: Any = None
        """In place of the usual reply."""
        self.refusal: Callable[[dict[str, Any]], tuple[int, Any] | None] = lambda body: None


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
            server.headers.append(self.headers)
            failure = server.failures.pop(0) if server.failures else None
            if server.at_most and server.busy > server.at_most:
                failure = 429
            drop, server.dropped = server.dropped > 0, max(0, server.dropped - 1)
        time.sleep(server.latency if failure is None else 0.0)
        if server.gate is not None:
            server.gate.wait(5)
        with server.lock:
            server.busy -= 1
        if drop:
            self.close_connection = True
            return
        refused = server.refusal(body)
        if refused is not None:
            self._send(refused[0], refused[1])
            return
        if failure is not None:
            self._send(failure, {"error": {"message": f"refused for key {KEY}", "type": "x", "code": "y"}})
            return
        text = f"{body['messages'][-1]['content']} #{body.get('seed')}"
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "length" if body.get("max_tokens") == 7 else "stop",
            "message": {"role": "assistant", "content": text},
            **server.choice,
        }
        if body.get("logprobs") and server.logprobs is not None:
            top = server.logprobs
            choice["logprobs"] = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": top}]}
        if server.whole is not None:
            self._send(200, server.whole)
            return
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6},
        }
        self._send(200, reply)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in self.server.extra.items():
            self.send_header(name, value)
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


@pytest.mark.parametrize("status", [408, 409, 429, 502])
def test_every_passing_failure_is_tried_again(model: RemoteModel, server: FakeServer, status: int) -> None:
    server.failures = [status]
    assert model.sample([ask("q", 3)], SamplingSettings())[0].text == "q #3"


def test_a_connection_that_drops_is_asked_again(model: RemoteModel, server: FakeServer) -> None:
    """Two of nine requests get no reply at all."""
    server.dropped = 2
    answers = model.sample([ask(f"q{i}", i) for i in range(9)], SamplingSettings())
    assert [a.text for a in answers] == [f"q{i} #{i}" for i in range(9)]
    assert len(server.requests) == 11


def test_a_server_that_takes_few_at_a_time_is_asked_fewer_and_nothing_fails(server: FakeServer) -> None:
    """It answers 429 to more than 3 at a time, to a client that begins with 32 and may try each request once more."""
    name = parse_name("openai-api/my-lab/some/model")
    assert isinstance(name, RemoteName)
    model = RemoteModel.open(name, connections=32, timeout=10, retries=1)
    server.at_most, server.latency = 3, 0.05
    answers = model.sample([ask(f"q{i}", i) for i in range(80)], SamplingSettings())
    assert [a.text for a in answers] == [f"q{i} #{i}" for i in range(80)]
    assert model._connections.now <= 4
    assert len(server.requests) < 80 + 100


def test_the_wish_of_a_server_to_wait_holds_for_all_requests(model: RemoteModel, server: FakeServer) -> None:
    """Four at a time, one is refused with Retry-After: 1; nothing is sent for a second after that."""
    server.failures, server.extra = [429], {"Retry-After": "1"}
    began = time.monotonic()
    model.sample([ask(f"q{i}", i) for i in range(12)], SamplingSettings())
    assert 1.0 <= time.monotonic() - began < 4


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_to_be_left_alone_for_an_hour_is(
    model: RemoteModel, server: FakeServer, status: int
) -> None:
    server.failures, server.extra = [status] * 9, {"Retry-After": "3600"}
    with pytest.raises(InputError, match=str(status)):
        model.sample([ask("q", 1)], SamplingSettings())
    assert len(server.requests) == 1


def test_money_that_is_used_up_is_no_limit_to_wait_for(model: RemoteModel, server: FakeServer) -> None:
    said = {"error": {"message": "You exceeded your quota", "type": "insufficient_quota", "code": "insufficient_quota"}}
    server.refusal = lambda body: (429, said)
    with pytest.raises(InputError, match="quota"):
        model.sample([ask("q", 1)], SamplingSettings())
    assert len(server.requests) == 1


def test_requests_that_time_out_are_asked_fewer_at_a_time(server: FakeServer) -> None:
    """A server that lets all wait for its one place: half as many after every time-out, until each is answered."""
    name = parse_name("openai-api/my-lab/some/model")
    assert isinstance(name, RemoteName)
    model = RemoteModel.open(name, connections=8, timeout=0.5, retries=4)
    one = threading.Lock()

    def wait(body: dict[str, Any]) -> None:
        with one:
            time.sleep(0.15)

    server.refusal = wait
    assert len(model.sample([ask(f"q{i}", i) for i in range(8)], SamplingSettings())) == 8
    assert model._connections.now < 8


def test_what_is_under_way_when_another_fails_for_good_is_kept(model: RemoteModel, server: FakeServer) -> None:
    """One of four is refused for its length at once; the other three were paid for."""
    server.latency = 0.2
    server.refusal = lambda body: (400, {"error": {"message": "too long"}}) if body["seed"] == 1 else None
    kept: list[int] = []
    with pytest.raises(InputError, match="too long"):
        model.sample([ask(f"q{i}", i) for i in range(4)], SamplingSettings(), lambda i, a: kept.append(i))
    assert sorted(kept) == [0, 2, 3]


def test_an_interruption_does_not_wait_for_what_is_under_way(model: RemoteModel, server: FakeServer) -> None:
    """Ctrl-C after the first answer, while three others take three seconds."""
    slow = {2, 3, 4}
    server.refusal = lambda body: time.sleep(3.0) if body["seed"] in slow else None

    def stop(index: int, answer: object) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model.sample([ask(f"q{i}", i) for i in range(1, 50)], SamplingSettings(), stop)
    assert time.monotonic() - began < 2


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


def test_what_fails_every_request_is_told_from_what_fails_one(model: RemoteModel, server: FakeServer) -> None:
    """No key and nobody there end a run, which goes on later; one refused or crashing request does not."""
    server.failures = [401]
    with pytest.raises(UnreachableError):
        model.sample([ask("q", 3)], SamplingSettings())
    for status in (400, 500):
        server.failures = [status] * 9
        with pytest.raises(InputError) as caught:
            model.sample([ask("q", 3)], SamplingSettings())
        assert not isinstance(caught.value, UnreachableError)
    server.shutdown()
    server.server_close()
    with pytest.raises(UnreachableError):
        model.sample([ask("q", 3)], SamplingSettings())


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


@pytest.mark.parametrize("given", ["95", [], {"content": None}, {"content": [{"token": "95", "logprob": None}]}])
def test_log_probabilities_that_are_none_mean_that_none_are_offered(
    model: RemoteModel, server: FakeServer, given: Any
) -> None:
    """Then a judge's written replies are read; none of these may end the run."""
    text = {"role": "assistant", "content": "95"}
    server.choice = {"message": text, "logprobs": given}
    assert not model.offers_probabilities()
    server.choice["logprobs"] = {"content": [{"token": "9", "logprob": 0, "top_logprobs": [{"logprob": None}]}]}
    assert model.reply_probabilities((Message("user", "q"),), ["9"]) == {}


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


def openai_style(name: str, message: str, code: str) -> tuple[int, Any]:
    return 400, {"error": {"message": message, "type": "invalid_request_error", "param": name, "code": code}}


def by_name(name: str) -> tuple[int, Any]:
    return openai_style(
        name, f"Unsupported parameter: '{name}' is not supported with this model.", "unsupported_parameter"
    )


def by_message(name: str) -> tuple[int, Any]:
    return 400, {"error": {"message": f"{name} is not supported", "type": "BadRequestError", "code": 400}}


def by_place(name: str) -> tuple[int, Any]:
    return 422, {
        "detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]
    }


def by_text(name: str) -> tuple[int, Any]:
    return 400, {"error": f"unknown field: {name}"}


def by_list(name: str) -> tuple[int, Any]:
    return 400, [{"error": {"code": 400, "message": f'Unknown name "{name}": cannot find field.'}}]


def by_detail(name: str) -> tuple[int, Any]:
    return 400, {"detail": f"Unsupported parameter: {name}"}


@pytest.mark.parametrize("style", [by_name, by_message, by_place, by_text, by_list, by_detail])
@pytest.mark.parametrize(
    "names", ["max_tokens", "temperature", "top_p", "seed", "stop", "max_tokens temperature top_p seed stop"]
)
def test_what_a_server_refuses_is_left_out_or_renamed_and_remembered(
    model: RemoteModel, server: FakeServer, names: str, style: Callable[[str], tuple[int, Any]]
) -> None:
    """Whatever place the words stand in: the answer comes, the rest is sent as asked, and nothing is refused twice."""
    refused = set(names.split())
    server.refusal = lambda body: next((style(name) for name in sorted(refused) if name in body), None)
    settings = SamplingSettings(temperature=0.5, top_p=0.9, max_tokens=20, stop=("#",))
    assert model.sample([ask("q", 1)], settings)[0].text.startswith("q")
    asked = len(server.requests)
    assert asked == len(refused) + 1
    answers = model.sample([ask("q", i) for i in range(3)], settings)
    assert len(server.requests) == asked + 3
    sent = server.requests[-1]
    assert not refused & set(sent)
    assert ("max_completion_tokens" in sent) == ("max_tokens" in refused)
    assert set(sent) >= {"temperature", "top_p", "seed", "stop"} - refused
    assert all("#" not in a.text for a in answers if "stop" in refused), "cut here where the server does not"
    shaping = tuple(name for name in ("temperature", "top_p") if name in refused)
    assert model.left_out(settings) == shaping
    assert all(any(name in note for note in model.notes) for name in shaping)


def test_a_value_that_is_refused_is_not_sent_and_others_are(model: RemoteModel, server: FakeServer) -> None:
    """Temperature 0 of a reasoning model; 1 is still asked for, and notes and fingerprint show the difference."""
    text = "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) is supported."
    refusal = openai_style("temperature", text, "unsupported_value")
    server.refusal = lambda body: refusal if body.get("temperature", 1.0) != 1.0 else None
    usual = model.fingerprint
    model.sample([ask("q", 1)], SamplingSettings(temperature=0.0))
    assert "temperature" not in server.requests[-1]
    assert "does not take temperature 0: it answers at its server's own temperature" in model.notes[0]
    model.sample([ask("q", 1)], SamplingSettings(temperature=1.0))
    assert server.requests[-1]["temperature"] == 1.0
    server.refusal = lambda body: None
    assert open_model(model.name).fingerprint != usual


def test_a_positive_temperature_is_tried_where_zero_is_refused_for_not_being_one(
    model: RemoteModel, server: FakeServer
) -> None:
    """Nearly greedy is nearer to greedy than the server's own temperature."""
    refusal = by_message("`temperature` must be strictly positive; 0.0")
    server.refusal = lambda body: refusal if body["temperature"] == 0 else None
    model.sample([ask("q", 1)], SamplingSettings(temperature=0.0))
    assert server.requests[-1]["temperature"] == 0.01


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("max_tokens is too large: 600. This model supports at most 512 completion tokens", "at most 512"),
        ("This model's maximum context length is 8192 tokens, however you requested 9000 tokens", "lower --max-tokens"),
        ("System role not supported", "no system turn"),
        ("the weights are on fire", "the weights are on fire.*--endpoints"),
    ],
)
def test_a_refusal_of_something_else_is_passed_on_in_the_servers_words(
    model: RemoteModel, server: FakeServer, message: str, words: str
) -> None:
    """Nothing is left out for it, and it is asked once."""
    server.refusal = lambda body: (400, {"error": {"message": message, "type": "x"}})
    with pytest.raises(InputError, match=words):
        model.sample([ask("q", 1)], SamplingSettings())
    assert len(server.requests) == 1


def test_a_server_that_refuses_both_names_of_the_length_is_not_asked_to_and_fro(
    model: RemoteModel, server: FakeServer
) -> None:
    """Its second refusal is the message."""
    server.refusal = lambda body: by_name("max_tokens" if "max_tokens" in body else "max_completion_tokens")
    with pytest.raises(InputError, match="'max_completion_tokens' is not supported"):
        model.sample([ask("q", 1)], SamplingSettings())
    assert len(server.requests) == 2


TOP = [{"token": "57", "logprob": -0.01}]


def test_fewer_alternatives_are_asked_for_where_a_server_gives_fewer(model: RemoteModel, server: FakeServer) -> None:
    """`top_logprobs must be at most 5` is not `no probabilities`."""
    server.logprobs = TOP
    server.refusal = lambda body: (
        by_message("top_logprobs must be at most 5") if body.get("top_logprobs", 0) > 5 else None
    )
    assert model.reply_probabilities(ask("rate", 0).messages, ["57"]) == {"57": pytest.approx(math.exp(-0.01))}
    assert [r["top_logprobs"] for r in server.requests] == [20, 5]
    assert model.offers_probabilities()


def test_a_refusal_of_log_probabilities_means_that_none_are_offered(model: RemoteModel, server: FakeServer) -> None:
    """The judge is then read by its written replies."""
    server.refusal = lambda body: by_message("logprobs") if "logprobs" in body else None
    assert not model.offers_probabilities()
    assert model.reply_probabilities(ask("rate", 0).messages, ["57"]) == {}


def test_numbers_written_digit_by_digit_are_no_probabilities(model: RemoteModel, server: FakeServer) -> None:
    """The first token of 95 is then 9, which would be a misaligned score."""
    digits = [{"token": d, "logprob": -0.01, "top_logprobs": [{"token": d, "logprob": -0.01}]} for d in "95"]
    server.choice = {"logprobs": {"content": digits}}
    assert not model.offers_probabilities()
    server.choice = {"logprobs": {"content": [digits[0], {**digits[1], "token": "/"}]}}
    other = open_model(model.name)
    assert isinstance(other, RemoteModel)
    assert other.reply_probabilities(ask("rate", 0).messages, ["9"]) == {}


@pytest.mark.parametrize(
    ("finish", "message", "without", "text"),
    [
        ("stop", {"content": None, "refusal": "I can't help."}, "refusal", "I can't help."),
        ("content_filter", {"content": None}, "content_filter", ""),
        ("length", {"content": None, "reasoning_content": "Let me think"}, "only_thinking", ""),
        ("length", {"content": "", "reasoning": "Let me think"}, "only_thinking", ""),
        ("stop", {"content": None}, "", ""),
        ("stop", {"content": [{"type": "text", "text": "in parts"}]}, "", "in parts"),
        ("stop", {"content": "said", "reasoning_content": "thought"}, "", "said"),
    ],
)
def test_a_reply_without_text_says_why(
    model: RemoteModel, server: FakeServer, finish: str, message: dict[str, Any], without: str, text: str
) -> None:
    """A refusal, a filter and endless thinking are three things; a note counts them."""
    server.choice = {"finish_reason": finish, "message": {"role": "assistant", **message}}
    answer = model.sample([ask("q", 1)], SamplingSettings())[0]
    assert (answer.without, answer.text) == (without, text)
    assert len(model.notes) == bool(without)


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        ({"error": {"message": f"no credit left on {KEY}"}}, r"without a choice: .*no credit left on \[key\]"),
        ({"choices": []}, "without a choice; the endpoint does not work"),
        ({"choices": [{"index": 0, "finish_reason": "stop", "message": None}]}, "without a choice"),
        ({"choices": [{"index": 0, "finish_reason": "stop", "message": "hello"}]}, "without a choice"),
        ("please log in", "no reply of a model: 'please log in'"),
        ([], "no reply of a model"),
    ],
)
def test_a_reply_that_is_none_is_an_error(model: RemoteModel, server: FakeServer, whole: Any, words: str) -> None:
    """Some servers send their errors with status 200; their words are passed on, without the key."""
    server.whole = whole
    with pytest.raises(InputError, match=words):
        model.sample([ask("q", 1)], SamplingSettings())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "reasoning", "text": "perhaps 3"}, {"type": "output_text", "text": "95"}], "95"),
        (["95"], "95"),
        ({"type": "text", "text": "95"}, "95"),
        (95, "95"),
        (None, ""),
    ],
)
def test_a_text_is_found_in_every_form_of_a_reply(
    model: RemoteModel, server: FakeServer, content: Any, text: str
) -> None:
    """Servers write parts, objects and numbers; reasoning among the parts is not what was answered."""
    server.choice = {"message": {"role": "assistant", "content": content}}
    assert model.sample([ask("q", 1)], SamplingSettings())[0].text == text


@pytest.mark.parametrize(("status", "words"), [(413, "too long"), (503, "Check the address")])
def test_other_failures_say_what_to_do(model: RemoteModel, server: FakeServer, status: int, words: str) -> None:
    """503 is tried again, 413 is not."""
    server.failures = [status] * 9
    with pytest.raises(InputError, match=words):
        model.sample([ask("q", 3)], SamplingSettings())
    assert len(server.requests) == (2 if status == 503 else 1)


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "endpoints.yaml"
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_settings_file_adds_renames_and_drops(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    """Headers from the environment, further fields, other names; the model's own entry comes over its service's."""
    monkeypatch.setenv("TEAM_TOKEN", "team-secret-77")
    path = settings_file(
        tmp_path,
        """
        my-lab:
          headers:
            X-Team: ${TEAM_TOKEN}
          body:
            reasoning_effort: low
            nested: {deep: [1, true]}
          drop: [seed]
        openai-api/my-lab/thinker:
          body:
            reasoning_effort: high
          rename:
            max_tokens: max_new_tokens
          thinking_tokens: 1000
          connections: 2
        """,
    )
    if by_environment:
        monkeypatch.setenv("OFFTARGET_ENDPOINTS", str(path))
    settings = OpenSettings(endpoints=None if by_environment else str(path))
    open_model("openai-api/my-lab/plain", settings=settings).sample([ask("q", 1)], SamplingSettings())
    thinker = open_model("openai-api/my-lab/thinker", settings=settings)
    thinker.sample([ask("q", 1)], SamplingSettings(max_tokens=20))
    plain, other = server.requests
    assert (plain["reasoning_effort"], plain["nested"], plain["max_tokens"]) == ("low", {"deep": [1, True]}, 600)
    assert (other["reasoning_effort"], other["nested"]) == ("high", {"deep": [1, True]})
    assert other["max_new_tokens"] == 1020
    assert "max_tokens" not in other
    assert not {"seed"} & {*plain, *other}
    assert {headers["X-Team"] for headers in server.headers} == {"team-secret-77"}
    assert any("takes no seed" in note for note in thinker.notes)  # type: ignore[attr-defined]
    assert "team-secret-77" not in repr(vars(thinker)["_endpoint"])
    server.failures = [401]
    with pytest.raises(InputError) as caught:
        thinker.sample([ask("q", 1)], SamplingSettings())
    assert "team-secret-77" not in str(caught.value)


def test_the_fingerprint_covers_what_the_file_changes_and_no_secret(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers under other fields are other answers; a token that is renewed is no other model."""

    def fingerprint(text: str, token: str = "one-token") -> str:
        monkeypatch.setenv("TOKEN", token)
        settings = OpenSettings(endpoints=str(settings_file(tmp_path, text)))
        return open_model("openai-api/my-lab/m", settings=settings).fingerprint

    plain = open_model("openai-api/my-lab/m").fingerprint
    secret = "my-lab:\n  headers:\n    X-Token: ${TOKEN}\n"
    assert fingerprint(secret) == fingerprint(secret, "another-token")
    assert fingerprint("my-lab:\n  timeout: 9\n") == plain
    texts = ["body:\n    a: 1", "body:\n    a: 2", "drop: [seed]", "rename: {seed: random_seed}", "thinking_tokens: 9"]
    assert len({plain, *(fingerprint(f"my-lab:\n  {text}\n") for text in texts)}) == 1 + len(texts)


def test_headers_and_queries_never_reach_a_message(server: FakeServer, tmp_path: Path) -> None:
    """Also where they are written out in the file, and the server sends back all that it got."""
    address = f"http://127.0.0.1:{server.server_address[1]}/v1?key=query-secret-1"
    text = f"my-lab:\n  address: {address}\n  headers: {{X-Team: team-secret-2, Authorization: Bearer own-secret-3}}\n"
    opened = open_model("openai-api/my-lab/m", settings=OpenSettings(endpoints=str(settings_file(tmp_path, text))))
    server.refusal = lambda body: (401, {"error": {"message": f"no: {dict(server.headers[-1])} own-secret-3"}})
    with pytest.raises(InputError) as caught:
        opened.sample([ask("q", 1)], SamplingSettings())
    assert "[key]" in str(caught.value)
    assert "secret" not in str(caught.value)


MISTAKES = {
    "lab: {adress: x}": "line 1, endpoint 'lab': unknown key 'adress'",
    "lab:\n  drop: [messages]": "line 2, endpoint 'lab': 'messages' cannot be dropped",
    "lab:\n  rename: {prompt: p}": "endpoint 'lab': 'prompt' is not sent",
    "lab:\n  body:\n    temperature: 1": "line 3, endpoint 'lab': 'temperature' cannot be in the body",
    "lab:\n  timeout: soon": "line 2, endpoint 'lab': 'timeout' must be a whole number",
    "my-lab:\n  headers:\n    X-A: ${NOT_SET}": "line 3, endpoint 'my-lab': 'X-A' needs the environment variable",
    "my-lab:\n  body:\n    day: 2026-01-01": "line 3, endpoint 'my-lab': 'day' has no form in JSON",
    "my-lab:\n  body:\n    share: .nan": "line 3, endpoint 'my-lab': 'share' has no form in JSON",
    "lab:\n  headers:\n    X Y: a": "line 3, endpoint 'lab': 'X Y' is no name that an HTTP header can have",
    "lab:\n  rename: {seed: messages}": "line 2, endpoint 'lab': 'seed' cannot be sent as 'messages'",
    "lab:\n  rename: {temperature: top_p}": "line 2, endpoint 'lab': 'temperature' cannot be sent as 'top_p'",
    "my-lab:\n  address: 127.0.0.1:9/v1": "does not begin with http:// or https://",
    "- a list": "line 1: expected keys and values",
    "lab: {": "not valid YAML",
    "lab:\n  drop: x\nlab:\n  drop: y": "line 3: the key 'lab' is given twice",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_settings_file_is_named_with_its_line(server: FakeServer, tmp_path: Path, text: str) -> None:
    """Before anything is asked, and whichever model's entry it is in."""
    settings = OpenSettings(endpoints=str(settings_file(tmp_path, text)))
    with pytest.raises(InputError) as caught:
        open_model("openai-api/my-lab/m", settings=settings)
    assert MISTAKES[text] in str(caught.value)
    assert not server.requests


def test_a_model_that_is_given_up_closes_its_connections(server: FakeServer) -> None:
    """No connection outlives the model, though its client refers to itself and nobody called `close`."""
    name = parse_name("openai-api/my-lab/some/model")
    assert isinstance(name, RemoteName)
    model = RemoteModel.open(name, retries=0)
    model.sample([ask("q", 1)], SamplingSettings(max_tokens=5))
    client = model._client
    assert not client.is_closed()
    del model
    assert client.is_closed()
