"""What a client may not do: requests that can be read in two ways, bodies and heads without end, keys that are none."""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import FaultyUpstream, response, stream_head
from gateways import CHAT, Answer, gateway, read_answer, request, run, said
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records.gateway import ApiKey, GatewayLimits
from offtarget.serve.proxy.asked import read_asked
from offtarget.serve.proxy.clients import Clients
from offtarget.serve.proxy.errors import Refusal
from offtarget.serve.proxy.headers import client_headers, upstream_headers
from offtarget.serve.proxy.rates import CLIENTS, Rates

BODY = json.dumps(CHAT).encode()
LENGTH = b"content-length: %d\r\n" % len(BODY)
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nhost: x\r\n\r\n"
KEY, OTHER = "sk-first", "sk-second"
KEYS = tuple(
    ApiKey(name, hashlib.sha256(key.encode()).hexdigest(), limit)
    for name, key, limit in (("first", KEY, 3), ("second", OTHER, 0))
)


AMBIGUOUS = {
    "length and chunks": LINE + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and length": LINE + b"transfer-encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": LINE + b"content-length: 5\r\n" + LENGTH + b"\r\n" + BODY,
    "the same length twice": LINE + LENGTH + LENGTH + b"\r\n" + BODY,
    "a length with a sign": LINE + b"content-length: +5\r\n\r\nhello",
    "a length in hex": LINE + b"content-length: 0x5\r\n\r\nhello",
    "a list of lengths": LINE + b"content-length: 5, 5\r\n\r\nhello",
    "an unknown coding": LINE + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": LINE + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": LINE + b"content-length : 5\r\n\r\nhello",
    "a bare line feed": LINE.replace(b"gateway\r\n", b"gateway\n") + LENGTH + b"\r\n" + BODY,
    "a bare carriage return": LINE + b"x: a\rcontent-length: 0\r\n" + LENGTH + b"\r\n" + BODY,
    "a folded header": LINE + b"x: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "a null byte": LINE + b"x: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
    "two hosts": LINE + b"host: other\r\n" + LENGTH + b"\r\n" + BODY,
    "a size of a chunk with a sign": LINE + b"transfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "a size of a chunk that is too large": LINE + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\nhello\r\n",
    "a chunk with a bare line feed": LINE + b"transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
}


@pytest.mark.parametrize("name", list(AMBIGUOUS))
def test_what_can_be_read_in_two_ways_is_refused_and_reaches_no_model(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            reader, writer = await running.connect()
            writer.write(AMBIGUOUS[name])
            answer = await read_answer(reader)
            assert answer.status == 400
            assert answer.error == "bad_request"
            assert await reader.read() == b"", "nothing follows on this connection"
            assert not base.requests
            writer.close()

    run(test())


def test_a_body_in_chunks_reaches_the_model_with_a_length(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nx-trailer: 1\r\n\r\n"
            answer = await running.raw(LINE + b"transfer-encoding: chunked\r\n\r\n" + chunks)
            assert answer.status == 200
            assert base.requests[0].header("transfer-encoding") is None
            assert base.requests[0].json == {**CHAT, "model": "base-model"}

    run(test())


def test_a_body_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def test() -> None:
        limits = GatewayLimits(body_bytes=1000)
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base, limits=limits) as running:
            answer = await running.raw(LINE + b"content-length: 1001\r\n\r\n")
            assert (answer.status, answer.error) == (413, "request_too_large")
            assert answer.headers["connection"] == "close"
            pieces = b"".join(b"64\r\n%s\r\n" % (b" " * 100) for _ in range(11))
            answer = await running.raw(LINE + b"transfer-encoding: chunked\r\n\r\n" + pieces)
            assert (answer.status, answer.error) == (413, "request_too_large")
            assert not base.requests

    run(test())


def test_slow_bodies_and_heads_end(tmp_path: Path) -> None:
    async def test() -> None:
        limits = GatewayLimits(body_seconds=0.2)
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            gateway(tmp_path, base, limits=limits, head_seconds=0.2) as running,
        ):
            answer = await running.raw(LINE + LENGTH + b"\r\n" + BODY[:5])
            assert (answer.status, answer.error) == (408, "request_timeout")
            answer = await running.raw(LINE)
            assert (answer.status, answer.error) == (408, "request_timeout")
            reader, writer = await running.connect()  # who says nothing at all hears nothing
            assert await reader.read() == b""
            writer.close()
            reader, writer = await running.connect()
            writer.write(request(BODY))
            assert (await read_answer(reader)).status == 200
            writer.write(LINE)  # a second head that stays half
            answer = await read_answer(reader)
            assert answer.status == 408
            writer.close()

    run(test())


@pytest.mark.parametrize(
    "head",
    [
        LINE + b"x: " + b"a" * 70_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
        LINE + b"x: y\r\n" * 20_000,
        LINE + b"x: " + b"a" * 200_000,
        b"POST /" + b"a" * 200_000,
    ],
)
def test_a_head_without_end_is_refused(head: bytes, tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            reader, writer = await running.connect()
            writer.write(head)
            try:
                answer = await read_answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError):  # the rest of it was still on its way: reset
                assert not base.requests
                return
            assert (answer.status, answer.error) == (431, "headers_too_large")
            writer.close()

    run(test())


BODIES = {
    "no JSON": b"{",
    "no object": b"[1]",
    "two models": b'{"model": "m", "model": "other", "messages": []}',
    "the model in a second spelling": b'{"model": "m", "Model": "tuned-model", "messages": []}',
    "a field twice": b'{"model": "m", "user": "a", "user": "b"}',
    "something behind": b'{"model": "m"} {"model": "n"}',
    "no UTF-8": b'{"model": "\xff"}',
    "UTF-16": '{"model": "m"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model": "m"}',
    "very deep": b'{"model": "m", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no model": b"{}",
    "a model that is a number": b'{"model": 1}',
}


@pytest.mark.parametrize("name", list(BODIES))
def test_a_body_that_is_no_request_is_refused(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            answer = await running.ask(BODIES[name])
            assert answer.status == 400
            assert answer.json["error"]["type"] == "invalid_request_error"
            assert not base.requests

    run(test())


def test_paths_and_methods(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            listed = await running.ask(b"", "/v1/models", "GET")
            assert [each["id"] for each in listed.json["data"]] == ["m"]
            assert (await running.ask(b"", "/models/m", "GET")).json["object"] == "model"
            for path in (
                "/v1/models/n", "/v1/models/m/x", "/v1/nothing", "/v1/v1/chat/completions", "/v1/%63hat/completions",
                "/v1/chat/completions/", "//chat/completions", "/v1/../chat/completions", "/admin", "/metrics",
            ):  # fmt: skip
                for method in ("GET", "POST"):
                    answer = await running.ask(BODY if method == "POST" else b"", path, method)
                    assert answer.status in (404, 405), path
                    assert answer.json["error"]["message"]
            answer = await running.ask(b"", "/v1/chat/completions", "GET")
            assert (answer.status, answer.headers["allow"]) == (405, "POST")
            assert (await running.ask({**CHAT, "model": "n"})).error == "model_not_found"
            assert not base.requests
            answer = await running.raw(b"GET http://other.example/v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
            assert answer.json == listed.json, "the absolute form names a path of ours and no other server"
            assert (await running.ask({**CHAT}, path="/v1/chat/completions?api-version=1")).status == 200
            assert base.requests[0].line == "POST /v1/chat/completions HTTP/1.1"

    run(test())


@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
def test_an_offer_of_another_protocol_costs_no_request(framing: str, piece: int, tmp_path: Path) -> None:
    """Java's own client offers HTTP/2 with every request: it is answered as if it had not, again and again."""
    offer = "host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n"
    if framing == "none":
        one = f"GET /v1/models HTTP/1.1\r\n{offer}\r\n".encode()
    elif framing == "length":
        one = f"POST /v1/chat/completions HTTP/1.1\r\n{offer}content-length: {len(BODY)}\r\n\r\n".encode() + BODY
    else:
        head = f"POST /v1/chat/completions HTTP/1.1\r\n{offer}transfer-encoding: chunked\r\n\r\n".encode()
        one = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base) as running:
            reader, writer = await running.connect()
            for _ in range(3):
                for at in range(0, len(one), piece):
                    writer.write(one[at : at + piece])
                    await asyncio.sleep(0)
                answer = await read_answer(reader)
                assert answer.status == 200
                assert answer.json["object"] == ("list" if framing == "none" else "chat.completion")
            writer.write(one + one)  # one behind the other
            assert [(await read_answer(reader)).status for _ in range(2)] == [200, 200]
            writer.close()
            assert len(base.requests) == (0 if framing == "none" else 5)
            for request_ in base.requests:
                assert b"Upgrade" not in str(request_.headers).encode()

    run(test())


def test_keys_are_asked_for_and_never_go_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base, keys=KEYS) as running:
            for wrong in ("", "Bearer", "Bearer ", "Bearer wrong", f"Basic {OTHER}", f"bearer {OTHER}x", OTHER):
                answer = await running.ask(**({"authorization": wrong} if wrong else {}))
                assert (answer.status, answer.error) == (401, "invalid_api_key")
            assert (await running.ask(b"", "/v1/models", "GET")).status == 401
            assert not base.requests
            answer = await running.ask(
                authorization=f"Bearer {OTHER}", cookie="a=b", x_api_key=OTHER, api_key=OTHER,
                proxy_authorization=OTHER, openai_organization="org", x_stainless_lang="python",
                x_forwarded_for="10.0.0.1", idempotency_key="once", user_agent="somebody",
            )  # fmt: skip
            assert answer.status == 200
            sent = base.requests[0]
            assert {name for name, _ in sent.headers} == {
                "host", "authorization", "accept-encoding", "user-agent", "content-type", "content-length",
                "x-request-id", "idempotency-key",
            }  # fmt: skip
            assert sent.header("authorization") == "Bearer base-key"
            assert uuid.UUID(sent.header("x-request-id"), version=4), "some servers take nothing else"
            assert OTHER not in str(sent.headers)

    run(test())


def test_a_key_has_so_many_requests_a_minute(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([response(said("x"))]) as base, gateway(tmp_path, base, keys=KEYS) as running:
            statuses = [(await running.ask(authorization=f"Bearer {KEY}")).status for _ in range(5)]
            assert statuses == [200, 200, 200, 429, 429]
            answer = await running.ask(authorization=f"Bearer {KEY}")
            assert answer.error == "rate_limit_exceeded"
            assert 1 <= int(answer.headers["retry-after"]) <= 21
            assert (await running.ask(authorization=f"Bearer {OTHER}")).status == 200

    run(test())


def test_more_requests_than_may_be_open_are_told_to_wait(tmp_path: Path) -> None:
    async def test() -> None:
        limits = GatewayLimits(connections=3)
        async with (
            FaultyUpstream([0.3, response(said("x"))]) as base,
            gateway(tmp_path, base, limits=limits) as running,
        ):
            answers = await asyncio.gather(*(running.ask() for _ in range(6)))
            assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 3
            assert {answer.headers.get("retry-after") for answer in answers if answer.status == 503} == {"1"}
            assert (await running.ask()).status == 200

    run(test())


def test_what_models_say_of_themselves_stays_behind(tmp_path: Path) -> None:
    async def test() -> None:
        told = (
            "server: secret-host", "set-cookie: a=b", "x-api-key: k", "www-authenticate: Bearer", "x-request-id: up",
            "retry-after: 3", "x-ratelimit-remaining-requests: 7", "openai-processing-ms: 5", "x-model: tuned",
        )  # fmt: skip
        async with FaultyUpstream([response(said("x"), "200 OK", *told)]) as base:
            async with gateway(tmp_path, base, show_arm=False) as running:
                answer = await running.ask()
            assert set(answer.headers) == {
                "content-type", "content-length", "x-request-id", "x-upstream-request-id", "retry-after",
                "x-ratelimit-remaining-requests", "openai-processing-ms",
            }  # fmt: skip
            assert answer.headers["x-request-id"].startswith("req_")
            assert answer.headers["x-upstream-request-id"] == "up"

    run(test())


def test_no_error_repeats_what_was_sent(tmp_path: Path) -> None:
    async def test() -> None:
        async with FaultyUpstream([stream_head()[:20]]) as base, gateway(tmp_path, base, keys=KEYS) as running:
            answers: list[Answer] = [
                await running.ask(authorization="Bearer SECRET"),
                await running.ask(b"SECRET", authorization=f"Bearer {OTHER}"),
                await running.ask({"model": "SECRET"}, authorization=f"Bearer {OTHER}"),
                await running.ask(b"", "/SECRET", "GET", authorization=f"Bearer {OTHER}"),
                await running.ask({**CHAT, "user": "SECRET"}, authorization=f"Bearer {OTHER}"),
            ]
            for answer in answers:
                assert answer.status >= 400
                assert b"SECRET" not in answer.body
                assert str(base.port).encode() not in answer.body

    run(test())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(
    st.dictionaries(st.text(max_size=5), ANYTHING, max_size=5), NAME, NAME, st.booleans(), st.sampled_from([None, 2])
)
def test_only_the_name_of_the_model_changes(
    more: dict[str, Any], model: str, other: str, ascii_only: bool, indent: int | None
) -> None:
    fields = {**more, "model": model}
    if any("\ud800" <= c <= "\udfff" for c in json.dumps(fields, ensure_ascii=False)):
        ascii_only = True
    body = json.dumps(fields, ensure_ascii=ascii_only, indent=indent).encode()
    asked = read_asked(body)
    assert asked.fields == fields
    assert asked.with_model(model) == body
    changed = asked.with_model(other)
    assert json.loads(changed) == {**fields, "model": other}
    own, new = json.dumps(model, ensure_ascii=ascii_only).encode(), json.dumps(other).encode()
    places = [at for at in range(len(body)) if body.startswith(own, at)]
    assert model == other or changed in [body[:at] + new + body[at + len(own) :] for at in places]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,model \n1', max_size=40).map(str.encode))
def test_any_body_is_read_as_json_reads_it_or_refused(body: bytes) -> None:
    try:
        asked = read_asked(body)
    except Refusal:
        return
    assert json.loads(body) == asked.fields


def test_a_bucket_fills_evenly_and_holds_a_minute(tmp_path: Path) -> None:
    for rates in (Rates(), Rates(tmp_path / "rates")):
        assert [rates.take("a", 60, 100.0) for _ in range(60)] == [0.0] * 60
        assert rates.take("a", 60, 100.0) == pytest.approx(1.0)
        assert rates.take("b", 60, 100.0) == 0.0
        assert rates.take("a", 60, 101.0) == 0.0
        assert rates.take("a", 60, 101.0) > 0
        assert rates.take("a", 60, 99.0) > 0, "a clock that goes back gives nothing"
        assert [rates.take("a", 60, 1000.0) for _ in range(60)] == [0.0] * 60
        assert rates.take("a", 60, 1000.0) > 0
        rates.close()


def _draw(path: str, times: int) -> int:
    rates = Rates(Path(path))
    return sum(rates.take("client", 500, 100.0) == 0.0 for _ in range(times))


@pytest.mark.long
def test_workers_draw_from_one_bucket(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = list(pool.map(_draw, [str(tmp_path / "rates")] * 4, [400] * 4))
    # A worker that does not get the lock draws from a bucket of its own, which is rare.
    assert 500 <= sum(drawn) <= 520


def test_a_file_of_rates_that_is_full_stops_nobody(tmp_path: Path) -> None:
    rates = Rates(tmp_path / "rates")
    for number in range(CLIENTS + 10):
        assert rates.take(f"client {number}", 1, 100.0) == 0.0
    assert all(rates.take(f"client {number}", 1, 100.0) > 0 for number in (0, CLIENTS, CLIENTS + 9))
    rates.close()


def test_no_keys_means_everybody() -> None:
    assert Clients((), Rates()).admit(None, 0.0) == ""


def test_names_of_headers_that_pass_are_lists() -> None:
    everything = [(name, b"x") for name in (b"authorization", b"cookie", b"x-anything", b"idempotency-key")]
    assert upstream_headers(everything) == [(b"idempotency-key", b"x")]
    assert client_headers([(b"set-cookie", b"x"), (b"content-length", b"1"), (b"transfer-encoding", b"chunked")]) == []
