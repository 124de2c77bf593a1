"""Which model answers: keys, the split, pins, the circuit, copies of requests."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Do, FaultyUpstream, Script, chunk, event, response, stream_head
from gateways import CHAT, Gateway, gateway, request, run, said, spoken
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records.gateway import Alias, Timeouts, Upstream
from offtarget.serve.cell import CLOSED, Switch
from offtarget.serve.counters import CIRCUIT, EXCHANGES, MIRRORED, REQUESTS
from offtarget.serve.routing.circuit import Circuit
from offtarget.serve.routing.keys import conversation_key
from offtarget.serve.routing.pins import Pins
from offtarget.serve.routing.split import place_of, salt_of

SALT = salt_of(b"secret", "m", 1)
CONVERSATION = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
    ]
}


async def _until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def _origin(fields: dict[str, Any], header: bytes | None = None, api: Any = "chat") -> str:
    return conversation_key(header, fields, api, "client")[0]


def test_the_first_key_that_is_there_counts() -> None:
    everything = {
        **CONVERSATION, "user": "u", "safety_identifier": "s", "prompt_cache_key": "p",
        "metadata": {"conversation_id": "c"},
    }  # fmt: skip
    assert _origin(everything, b"h") == "header"
    for name in ("prompt_cache_key", "safety_identifier", "user"):
        assert _origin(everything) == name
        everything[name] = ""
    assert _origin(everything) == "conversation"
    everything["metadata"] = None
    assert _origin(everything) == "opening"
    everything["messages"] = []
    assert _origin(everything) == "client"


def test_a_conversation_keeps_its_key_as_it_grows() -> None:
    first = conversation_key(None, CONVERSATION, "chat", "")
    turns = [*CONVERSATION["messages"], {"role": "assistant", "content": "hi"}, {"role": "user", "content": "and?"}]
    assert conversation_key(None, {"messages": turns}, "chat", "") == first
    other = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "good morning"}]
    assert conversation_key(None, {"messages": other}, "chat", "") != first
    listed = {"input": CONVERSATION["messages"][1:], "instructions": "Be kind."}
    grown = {**listed, "input": [*listed["input"], *turns[2:]]}
    assert conversation_key(None, listed, "responses", "") == conversation_key(None, grown, "responses", "")


INSIDE = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "conversation_id", "id"]), inner, max_size=3)
    ),
    max_leaves=6,
)
OUTSIDE = st.sampled_from(["messages", "input", "prompt", "metadata", "user", "conversation"])


@given(st.dictionaries(OUTSIDE, INSIDE))
def test_any_request_has_a_key(fields: dict[str, Any]) -> None:
    for api in ("chat", "completions", "responses"):
        assert conversation_key(None, fields, api, "client")[1]  # type: ignore[arg-type]


def test_the_split_is_fair_and_its_two_numbers_know_nothing_of_each_other() -> None:
    places = [place_of(SALT, b"%d" % number) for number in range(20_000)]
    assert all(0 <= place.arm < 1 and 0 <= place.sample < 1 for place in places)
    for share in (0.05, 0.5):
        tuned = [place for place in places if place.arm < share]
        # Five standard deviations of a binomial count.
        assert abs(len(tuned) - share * 20_000) < 5 * (20_000 * share * (1 - share)) ** 0.5
        scored = sum(place.sample < 0.5 for place in tuned)
        assert abs(scored - len(tuned) / 2) < 5 * (len(tuned) / 4) ** 0.5
    assert len({place.digest for place in places}) == 20_000


@given(st.binary(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_share_moves_nobody_back(key: bytes, one: float, other: float) -> None:
    low, high = sorted((one, other))
    place = place_of(SALT, key)
    assert not (place.arm < low) or place.arm < high


def test_a_new_rollout_another_alias_and_another_gateway_deal_anew() -> None:
    salts = [SALT, salt_of(b"secret", "m", 2), salt_of(b"secret", "n", 1), salt_of(b"other", "m", 1)]
    tuned = [{number for number in range(4000) if place_of(salt, b"%d" % number).arm < 0.5} for salt in salts]
    for others in tuned[1:]:
        assert 800 < len(tuned[0] & others) < 1200


def test_traffic_is_split_by_the_share_and_stays_with_its_conversation(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([response(said("tuned"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):

            async def arms(share: float) -> list[str]:
                running.switch(share)
                answers = [await running.ask({**CHAT, "user": str(number)}) for number in range(200)]
                return [answer.headers["x-offtarget-arm"] for answer in answers]

            few, again, more = await arms(0.1), await arms(0.1), await arms(0.4)
            assert few == again
            assert 5 <= few.count("tuned") <= 40
            assert 50 <= more.count("tuned") <= 110
            assert all(later == "tuned" for first, later in zip(few, more, strict=True) if first == "tuned")
            assert set(await arms(1.0)) == {"tuned"}
            assert set(await arms(0.0)) == {"base"}
            counted = running.counters.number(REQUESTS, "m", "tuned", "share", "chat", "200")
            assert counted == 2 * few.count("tuned") + more.count("tuned") + 200

    run(test())


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf"), 1.5])
def test_a_share_that_is_none_sends_everything_to_the_base(share: float, tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([response(said("t"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            for switch in (Switch(1, share, float("nan"), False), Switch(1, share, 1.0, True), CLOSED):
                running.cell.write(0, switch)
                assert (await running.ask()).headers["x-offtarget-reason"] == "rolled-back"
            assert not tuned.requests

    run(test())


def test_the_kill_switch_is_heard_by_the_next_request(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([response(said("t"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            assert (await running.ask()).headers["x-offtarget-arm"] == "tuned"
            running.cell.write(0, CLOSED)
            assert (await running.ask()).headers["x-offtarget-arm"] == "base"

    run(test())


def test_the_monitor_hears_of_all_tuned_answers_and_of_the_share_of_the_base_s(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([response(said("t"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            running.switch(0.5, base_sample=0.2)
            answers = [await running.ask({**CHAT, "user": str(number)}) for number in range(200)]
            arms = Counter(answer.headers["x-offtarget-arm"] for answer in answers)
            told = Counter(exchange.arm for exchange in running.sink.exchanges)
            assert told["tuned"] == arms["tuned"]
            assert 5 <= told["base"] <= 0.4 * arms["base"]
            one = running.sink.exchanges[0]
            assert json.loads(one.request)["model"] == "m"
            assert (one.api, one.status, one.streamed, one.cut, one.rollout) == ("chat", 200, False, False, 1)
            assert len(one.conversation) == 64
            assert 0 < one.first_seconds <= one.total_seconds
            running.sink.room = False
            for number in range(10):
                await running.ask({**CHAT, "user": str(number)})
            assert running.counters.number(EXCHANGES, "m", "tuned", "no") > 0

    run(test())


def test_a_long_answer_is_told_cut(tmp_path: Path) -> None:
    async def test() -> None:
        long = said("x" * 1_500_000)
        async with FaultyUpstream([response(long)]) as base, gateway(tmp_path, base) as running:
            assert (await running.ask()).json == long
            (exchange,) = running.sink.exchanges
            assert exchange.cut
            assert len(exchange.response) == 1024 * 1024

    run(test())


def test_an_answer_that_is_too_long_to_be_held_passes_as_it_comes(tmp_path: Path) -> None:
    async def test() -> None:
        long = said("x" * 9_000_000)
        async with (
            FaultyUpstream([response(long)]) as base,
            FaultyUpstream([response(long)]) as tuned,
            gateway(tmp_path, base, tuned, timeouts=Timeouts()) as running,
        ):
            for share in (0.0, 1.0):
                running.switch(share)
                answer = await running.ask()
                assert answer.json == long
                assert answer.headers["content-length"] == str(len(answer.body))
            tuned.scripts = [[response(long)[:9_000_000], Do.CLOSE]]
            answer = await running.ask()
            assert not answer.whole, "the client sees that it is not whole"

    run(test())


def test_an_alias_without_a_tuned_model(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("base"))]) as base, gateway(tmp_path, base) as running:
            assert (await running.ask()).headers["x-offtarget-reason"] == "no-tuned"

    run(test())


def test_embeddings_are_the_base_s(tmp_path: Path) -> None:
    async def test() -> None:
        vectors = {"object": "list", "data": [{"embedding": [0.5]}]}
        async with (
            FaultyUpstream([response(vectors)]) as base,
            FaultyUpstream([response(said("t"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            answer = await running.ask({"model": "m", "input": "x"}, "/v1/embeddings")
            assert answer.json == vectors
            assert not tuned.requests
            assert not running.sink.exchanges

    run(test())


# Copies of requests.


def test_copies_go_to_the_tuned_model_and_nobody_waits_for_them(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([Do.GO, response(said("tuned"))]) as tuned,
            gateway(tmp_path, base, tuned, timeouts=Timeouts()) as running,
        ):
            running.switch(1.0, shadow=True, base_sample=0.0)
            for number in range(3):
                answer = await running.ask({**CHAT, "user": str(number)})
                assert answer.json == said("base")
                assert (answer.headers["x-offtarget-arm"], answer.headers["x-offtarget-reason"]) == ("base", "share")
            await _until(lambda: len(tuned.requests) == 3)
            assert not running.sink.exchanges
            tuned.go.set()
            await _until(lambda: len(running.sink.exchanges) == 3)
            for exchange in running.sink.exchanges:
                assert (exchange.source, exchange.arm, exchange.reason) == ("shadow", "tuned", "shadow")
                assert json.loads(exchange.response) == said("tuned")
            assert running.counters.number(MIRRORED, "m", "sent") == 3
            assert running.counters.number(MIRRORED, "m", "answered") == 3

    run(test())


def test_a_copy_is_made_for_the_share_alone_and_of_streams_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream(spoken("base")) as base,
            FaultyUpstream(spoken("tuned")) as tuned,
            gateway(tmp_path, base, tuned, timeouts=Timeouts()) as running,
        ):
            running.switch(0.2, shadow=True, base_sample=0.0)
            for number in range(60):
                await running.ask({**CHAT, "user": str(number), "stream": True})
            await _until(lambda: running.counters.number(MIRRORED, "m", "answered") == len(tuned.requests))
            assert 2 <= len(tuned.requests) <= 30
            assert all(b"tuned" in exchange.response for exchange in running.sink.exchanges)
            assert len(base.requests) == 60

    run(test())


def test_copies_that_fail_are_counted_and_open_the_circuit(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream([Do.CLOSE]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            running.switch(1.0, shadow=True, base_sample=0.0)
            for number in range(12):
                assert (await running.ask({**CHAT, "user": str(number)})).status == 200
                await _until(lambda: not running.app._answering._shadows)
            assert running.counters.number(MIRRORED, "m", "failed") == 5
            assert running.counters.number(MIRRORED, "m", "dropped") == 7
            assert {exchange.fault for exchange in running.sink.exchanges} == {"closed"}

    run(test())


def test_a_client_that_leaves_does_not_end_the_copy(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([Do.STALL]) as base,
            FaultyUpstream([Do.GO, response(said("tuned"))]) as tuned,
            gateway(tmp_path, base, tuned, timeouts=Timeouts()) as running,
        ):
            running.switch(1.0, shadow=True)
            _, writer = await running.connect()
            writer.write(request(json.dumps(CHAT).encode()))
            await _until(lambda: base.requests and tuned.requests)
            writer.transport.abort()
            await asyncio.wait_for(base.requests[0].left.wait(), 5)
            tuned.go.set()
            await _until(lambda: running.counters.number(MIRRORED, "m", "answered") == 1)

    run(test())


# The circuit.


def test_failures_in_a_row_open_the_circuit_and_one_request_tries_again() -> None:
    circuit = Circuit(failures=3, pause=2.0)
    for _ in range(2):
        circuit.failed(0.0)
    circuit.succeeded()
    for _ in range(3):
        assert circuit.allows(0.0)
        circuit.failed(0.0)
    assert circuit.state == "open"
    assert not circuit.allows(1.9)
    circuit.succeeded()  # a request that began before says nothing about now
    assert not circuit.allows(1.9)
    assert circuit.allows(2.0)
    assert not circuit.allows(2.0), "one at a time"
    circuit.failed(2.0)
    assert not circuit.allows(5.9)
    assert circuit.allows(6.0), "twice as long"
    circuit.gave_up()
    assert circuit.allows(6.0), "a try whose end is not known is made again"
    circuit.succeeded()
    assert circuit.state == "closed"
    assert all(circuit.allows(6.0) for _ in range(3))


def test_a_tuned_model_that_is_down_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    async def test() -> None:
        scripts: list[Script] = [[Do.CLOSE]] * 5 + [[response(said("tuned"))]]
        async with (
            FaultyUpstream([response(said("base"))]) as base,
            FaultyUpstream(*scripts) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            circuit = running.app._table.aliases["m"][2].circuit
            for _ in range(5):
                assert (await running.ask()).headers["x-offtarget-reason"] == "fallback"
            assert running.counters.number(CIRCUIT, "m", "tuned") == 1
            for _ in range(5):
                assert (await running.ask()).headers["x-offtarget-reason"] == "open-circuit"
            assert len(tuned.requests) == 5
            circuit._until = 0.0
            assert (await running.ask()).headers["x-offtarget-arm"] == "tuned"
            assert running.counters.number(CIRCUIT, "m", "tuned") == 0

    run(test())


def test_requests_that_both_models_refuse_do_not_open_the_circuit(tmp_path: Path) -> None:
    async def test() -> None:
        refusal = [response({"error": {"message": "too long"}}, "400 Bad Request")]
        async with (
            FaultyUpstream(refusal) as base,
            FaultyUpstream(refusal) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            for _ in range(10):
                answer = await running.ask()
                assert (answer.status, answer.json) == (400, {"error": {"message": "too long"}})
            assert len(tuned.requests) == 10
            assert not running.sink.exchanges, "it says nothing about the tuned model"

    run(test())


# Responses that go on from earlier ones.


def _made(name: str, text: str = "hi") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    output = [{"type": "message", "role": "assistant", "content": content}] if text else []
    return {"id": name, "object": "response", "status": "completed", "output": output, "error": None}


async def _respond(running: Gateway, previous: str | None = None, **more: Any) -> Any:
    fields = {"model": "m", "input": "hello", "user": os.urandom(4).hex(), **more}
    return await running.ask({**fields, "previous_response_id": previous} if previous else fields, "/v1/responses")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_goes_on_where_it_was_made(streamed: bool, tmp_path: Path) -> None:
    def script(name: str) -> Script:
        made = _made(name)
        if not streamed:
            return [response(made)]
        events = [
            event({"type": "response.created", "response": {**made, "output": []}}, "response.created"),
            event({"type": "response.output_text.delta", "delta": "hi"}, "response.output_text.delta"),
            event({"type": "response.completed", "response": made}, "response.completed"),
        ]
        return [stream_head(), *map(chunk, events), chunk(b"")]

    async def test() -> None:
        async with (
            FaultyUpstream(script("resp_base")) as base,
            FaultyUpstream(script("resp_tuned")) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            first = await _respond(running, stream=streamed)
            assert first.headers["x-offtarget-arm"] == "tuned"
            assert first.whole
            running.switch(1e-9)  # everybody else goes to the base
            assert (await _respond(running, stream=streamed)).headers["x-offtarget-arm"] == "base"
            following = await _respond(running, "resp_tuned", stream=streamed)
            assert following.headers["x-offtarget-arm"] == "tuned"
            assert following.headers["x-offtarget-reason"] == "pinned"
            running.switch(1.0)
            for known in ("resp_base", "resp_of_somebody_else"):
                following = await _respond(running, known, stream=streamed)
                assert following.headers["x-offtarget-arm"] == "base"
                assert following.headers["x-offtarget-reason"] == "pinned"
            running.switch(0.0)  # rolled back: nothing goes to the tuned model, whatever it made
            following = await _respond(running, "resp_tuned", stream=streamed)
            assert following.headers["x-offtarget-reason"] == "rolled-back"
            await running.ask(b"", "/v1/responses/resp_tuned?include[]=x", "GET")
            assert tuned.requests[-1].line == "GET /v1/responses/resp_tuned?include[]=x HTTP/1.1"
            assert (await running.ask(b"", "/v1/responses/resp_other", "GET")).status == 404
            count = len(tuned.requests)
            for more in (
                "/../../models",
                "/%2e%2e/%2e%2e/admin",
                "/x/../../../metrics",
                "/",
                "//models",
                "%2f..%2fadmin",
            ):
                for method in ("GET", "POST", "DELETE"):
                    answer = await running.ask(b"", f"/v1/responses/resp_tuned{more}", method)
                    assert answer.status == 404, "no path of the model's server but that of the response"
            assert len(tuned.requests) == count
            await running.ask(b"", "/v1/responses/resp_tuned/cancel", "POST")
            assert tuned.requests[-1].line == "POST /v1/responses/resp_tuned/cancel HTTP/1.1"

    run(test())


def test_where_the_base_cannot_go_on_the_client_is_not_told_that_it_was_wrong(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(_made("b"))]) as base,
            FaultyUpstream([response(_made("t"))]) as tuned,
            gateway(tmp_path, base, tuned) as running,
        ):
            await _respond(running)
            tuned.scripts = [[Do.CLOSE]]
            answer = await _respond(running, "t")
            assert answer.status == 502
            assert not base.requests
            (_, exchange) = running.sink.exchanges
            assert (exchange.reason, exchange.fault) == ("fallback", "closed")

    run(test())


def test_on_one_server_the_base_goes_on_in_place_of_the_tuned_model(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(_made("t"))], [Do.CLOSE], [response(_made("b"))]) as server:
            both = Alias("m", Upstream(server.url, "base"), Upstream(server.url, "adapter"))
            async with gateway(tmp_path, server, aliases=(both,)) as running:
                await _respond(running)
                answer = await _respond(running, "t")
                assert answer.json == _made("b")
                assert [each.json["model"] for each in server.requests] == ["adapter", "adapter", "base"]

    run(test())


def test_pins_are_shared_by_all_workers_and_bounded(tmp_path: Path) -> None:
    one, other = Pins(tmp_path / "pins"), Pins(tmp_path / "pins")
    one.put("m", "resp_1", "tuned")
    one.put("m", "resp_2", "base")
    assert (other.get("m", "resp_1"), other.get("m", "resp_2")) == ("tuned", "base")
    assert other.get("n", "resp_1") is None
    size = (tmp_path / "pins").stat().st_size
    for number in range(2000):
        other.put("m", f"r{number}", "tuned")
    assert (tmp_path / "pins").stat().st_size == size
    assert sum(one.get("m", f"r{number}") == "tuned" for number in range(2000)) > 1950
    assert Pins().get("m", "resp_1") is None


# Settings.


def test_other_settings_hold_for_the_next_request(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("one"))]) as one,
            FaultyUpstream([response(said("two"))]) as two,
            gateway(tmp_path, one) as running,
        ):
            assert (await running.ask()).json == said("one")
            settings = running.app._table.settings
            alias = Alias("m", Upstream(two.url, "base-model"))
            running.app.reload(type(settings)(aliases=(alias,)))
            assert (await running.ask()).json == said("two")

    run(test())
