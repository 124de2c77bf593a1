"""The HTTP client of the gateway: what arrives is what was sent, every fault has its name, nothing waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Do, FaultyUpstream, Script, chunk, response, stream_head
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records.gateway import Timeouts
from offtarget.serve.transport.address import address_of
from offtarget.serve.transport.pool import Pool
from offtarget.serve.transport.protocol import Outgoing, TransportFault

LONG = Timeouts()
QUICK = Timeouts(connect=1.0, first=0.2, idle=0.2, total=5.0)
POST = Outgoing(b"POST", b"/chat/completions", ((b"content-type", b"application/json"),), b'{"a": 1}', resend=True)


async def _whole(pool: Pool, request: Outgoing = POST, timeouts: Timeouts = LONG) -> tuple[int, bytes]:
    sent = pool.start(request, timeouts)
    status = await sent.head()
    sent.settle()
    body = b""
    while piece := await sent.read():
        body += piece
    return status, body


def _run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


@pytest.mark.parametrize(
    ("script", "body"),
    [
        ([response(b"hello")], b"hello"),
        ([stream_head(), chunk(b"hel"), chunk(b"lo"), chunk(b"")], b"hello"),
        ([stream_head(), b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nx-trailer: 1\r\n\r\n"], b"hello"),
        ([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", Do.CLOSE], b"hello"),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", Do.CLOSE], b"hello"),
        ([b"HTTP/1.0 200 OK\r\n\r\nhello", Do.CLOSE], b"hello"),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", response(b"hello")], b"hello"),
        ([bytes([byte]) for byte in response(b"hello")], b"hello"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
    ],
)
def test_every_framing_of_a_body_is_read(script: Script, body: bytes) -> None:
    async def test() -> None:
        async with FaultyUpstream(script) as upstream:
            pool = Pool(address_of(upstream.url))
            for _ in range(3):
                status, got = await _whole(pool)
                assert got == body
                assert status in (200, 204)
            pool.close()

    _run(test())


def test_a_connection_is_used_again_and_the_request_is_as_it_was_given() -> None:
    async def test() -> None:
        async with FaultyUpstream([response(b"x")]) as upstream:
            pool = Pool(address_of(upstream.url))
            for _ in range(5):
                await _whole(pool)
            assert upstream.connections == pool.opened == 1
            first = upstream.requests[0]
            assert first.line == "POST /v1/chat/completions HTTP/1.1"
            assert first.headers == [
                ("host", f"127.0.0.1:{upstream.port}"), ("content-type", "application/json"), ("content-length", "8"),
            ]  # fmt: skip
            assert first.body == POST.body
            pool.close()

    _run(test())


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([Do.CLOSE], "closed"),
        ([Do.RESET], "closed"),
        ([b"HTTP/1.1 20", Do.CLOSE], "closed"),
        ([Do.STALL], "first-byte-timeout"),
        ([stream_head(), chunk(b"x"), Do.STALL], "idle-timeout"),
        ([stream_head(), chunk(b"x"), Do.CLOSE], "truncated"),
        ([stream_head(), chunk(b"x"), Do.RESET], "truncated"),
        ([stream_head(), b"5\r\nhe", Do.CLOSE], "truncated"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", Do.CLOSE], "truncated"),
        ([stream_head(), b"zz\r\nhello"], "malformed"),
        ([b"SSH-2.0-server\r\n"], "malformed"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"], "malformed"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], "malformed"),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n"], "head-too-large"),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 20_000], "head-too-large"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000], "head-too-large"),
        ([stream_head(), b"0\r\n" + b"x: a\r\n" * 50_000], "head-too-large"),
    ],
)
def test_every_fault_has_its_name(script: Script, kind: str) -> None:
    async def test() -> None:
        async with FaultyUpstream(script) as upstream:
            pool = Pool(address_of(upstream.url))
            with pytest.raises(TransportFault) as caught:
                await _whole(pool, timeouts=QUICK)
            assert caught.value.kind == kind
            assert pool.free == 0
            await asyncio.sleep(0.02)
            assert pool.open == 0

    _run(test())


def test_what_arrived_before_a_fault_can_be_read() -> None:
    async def test() -> None:
        async with FaultyUpstream([stream_head(), chunk(b"first"), chunk(b"second"), Do.RESET]) as upstream:
            sent = Pool(address_of(upstream.url)).start(POST, QUICK)
            await sent.head()
            body = b""
            with contextlib.suppress(TransportFault):
                while True:
                    body += await sent.read()
            assert body == b"firstsecond"

    _run(test())


def test_nobody_listens() -> None:
    async def test() -> None:
        async with FaultyUpstream([Do.CLOSE]) as upstream:
            port = upstream.port
        with pytest.raises(TransportFault, match="refused"):
            await _whole(Pool(address_of(f"http://127.0.0.1:{port}")))
        pool = Pool(address_of("http://name.invalid"))
        with pytest.raises(TransportFault, match=r"refused|connect-timeout"):
            await _whole(pool, timeouts=QUICK)

    _run(test())


def test_a_kept_connection_that_closed_is_replaced_once_where_nothing_came() -> None:
    async def test() -> None:
        async with FaultyUpstream([response(b"x")], [Do.RESET], [response(b"y")], [Do.RESET]) as upstream:
            pool = Pool(address_of(upstream.url))
            await _whole(pool)
            assert await _whole(pool) == (200, b"y")
            assert pool.resent == 1
            with pytest.raises(TransportFault, match="closed"):  # the fresh one fails too: no third try
                await _whole(pool)
            assert len(upstream.requests) == 5

    _run(test())


def test_a_request_that_may_have_effects_is_not_sent_twice() -> None:
    async def test() -> None:
        async with FaultyUpstream([response(b"x")], [Do.RESET]) as upstream:
            pool = Pool(address_of(upstream.url))
            await _whole(pool)
            with pytest.raises(TransportFault, match="closed"):
                await _whole(pool, Outgoing(b"POST", b"/responses", (), b"{}"))
            assert len(upstream.requests) == 2

    _run(test())


def test_bytes_after_a_response_close_the_connection_and_reach_nobody() -> None:
    async def test() -> None:
        async with FaultyUpstream([response(b"x") + response(b"poison")], [response(b"y")]) as upstream:
            pool = Pool(address_of(upstream.url))
            assert await _whole(pool) == (200, b"x")
            assert await _whole(pool) == (200, b"y")
            assert upstream.connections == 2
            pool.close()

    _run(test())


def test_a_connection_grows_too_old() -> None:
    async def test() -> None:
        async with FaultyUpstream([response(b"x")]) as upstream:
            pool = Pool(address_of(upstream.url), kept_open=0.05)
            await _whole(pool)
            await asyncio.sleep(0.1)
            await _whole(pool)
            assert upstream.connections == 2
            pool.close()

    _run(test())


def test_giving_up_closes_the_connection_in_every_phase() -> None:
    async def test() -> None:
        scripts: list[Script] = [[Do.STALL], [stream_head(), Do.STALL], [stream_head(), chunk(b"x"), Do.STALL]]
        async with FaultyUpstream(*scripts) as upstream:
            pool = Pool(address_of(upstream.url))
            for phase in range(3):
                sent = pool.start(POST, LONG)
                if phase:
                    await sent.head()
                if phase == 2:
                    assert await sent.read() == b"x"
                waiting = asyncio.ensure_future(sent.read() if phase else sent.head())
                await asyncio.sleep(0.02)
                sent.abort()
                with pytest.raises(TransportFault, match="aborted"):
                    await waiting
                await asyncio.wait_for(upstream.requests[phase].left.wait(), 5)
            sent = pool.start(POST, LONG)
            sent.abort()  # while connecting
            with pytest.raises(TransportFault, match="aborted"):
                await sent.head()
            await asyncio.sleep(0.02)
            assert pool.open == 0

    _run(test())


def test_a_slow_reader_holds_the_upstream_back_and_is_no_silence_of_the_upstream() -> None:
    async def test() -> None:
        piece = b"a" * 65_536
        async with FaultyUpstream([stream_head(), *[chunk(piece)] * 400, chunk(b"")]) as upstream:
            pool = Pool(address_of(upstream.url))
            sent = pool.start(POST, QUICK)
            await sent.head()
            sent.settle()
            await asyncio.sleep(0.5)  # longer than the idle timeout
            assert sent.paused
            assert sent._queued < 2 * 256 * 1024 + 65_536
            total = 0
            while got := await sent.read():
                total += len(got)
            assert total == 400 * len(piece)

    _run(test())


def test_a_server_with_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def test() -> None:
        async with FaultyUpstream([response(b"x")], tls=server) as upstream:
            with pytest.raises(TransportFault, match="tls"):
                await _whole(Pool(address_of(upstream.url)))
            trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            pool = Pool(address_of(upstream.url), tls=trusting)
            assert await _whole(pool) == (200, b"x")
            assert await _whole(pool) == (200, b"x")
            assert pool.opened == 1
            pool.close()
        async with FaultyUpstream([response(b"x")]) as plain:
            with pytest.raises(TransportFault, match=r"tls|connect-timeout"):  # it waits for the end of a head
                await _whole(Pool(address_of(plain.url.replace("http:", "https:"))), timeouts=QUICK)

    _run(test())


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://x/v1?a=b", "http://x\r\n"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        address_of(url)


def test_addresses() -> None:
    assert address_of("https://host/v1/").authority == "host"
    assert address_of("http://host:80").authority == "host"
    assert address_of("http://[::1]:8000/v1").authority == "[::1]:8000"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_response_or_a_named_fault(data: bytes) -> None:
    async def test() -> None:
        async with FaultyUpstream([b"HTTP/1.1 200 OK\r\n" + data, Do.CLOSE]) as upstream:
            with contextlib.suppress(TransportFault):
                await _whole(Pool(address_of(upstream.url)), timeouts=QUICK)

    _run(test())
