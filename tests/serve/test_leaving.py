"""Clients that leave or read slowly: the model's server is told in every phase, and memory stays where it is."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import Do, FaultyUpstream, Script, chunk, response, stream_head
from gateways import CHAT, ROLE, Gateway, delta, gateway, read_answer, read_head, request, run, said, spoken

from offtarget.records.gateway import Timeouts
from offtarget.serve.counters import DISCONNECTS, FALLBACKS, OPEN
from offtarget.serve.proxy.server import StrictProtocol

LONG = Timeouts()
PHASES: dict[str, tuple[bool, Script]] = {
    "before": (True, [Do.STALL]),
    "first": (True, [stream_head(), chunk(ROLE), Do.STALL]),
    "stream": (True, [stream_head(), chunk(ROLE), chunk(delta(content="word")), Do.STALL]),
    "before, not streamed": (False, [Do.STALL]),
    "first, not streamed": (False, [b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", Do.STALL]),
}


async def _until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


async def _leave(running: Gateway, upstream: FaultyUpstream, *, streamed: bool, read: bool, reset: bool) -> None:
    """Ask, wait until the model's server has the request, read what there is, and go."""
    reader, writer = await running.connect()
    writer.write(request(json.dumps({**CHAT, "stream": streamed}).encode()))
    await _until(lambda: upstream.requests)
    if read:
        await read_head(reader)
        await reader.readuntil(b"word")
    else:
        await asyncio.sleep(0.05)
    if reset:
        writer.transport.abort()
    else:
        writer.close()


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("arm", ["tuned", "base"])
@pytest.mark.parametrize("phase", list(PHASES))
def test_the_model_is_told_in_every_phase(phase: str, arm: str, reset: bool, tmp_path: Path) -> None:
    streamed, script = PHASES[phase]

    async def test() -> None:
        other = [response(said("other"))]
        async with (
            FaultyUpstream(script if arm == "base" else other) as base,
            FaultyUpstream(script if arm == "tuned" else other) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG) as running,
        ):
            running.switch(1.0 if arm == "tuned" else 0.0)
            asked, idle = (tuned, base) if arm == "tuned" else (base, tuned)
            await _leave(running, asked, streamed=streamed, read=phase == "stream", reset=reset)
            await asyncio.wait_for(asked.requests[0].left.wait(), 5)
            await _until(lambda: running.counters.number(DISCONNECTS) == 1)
            if arm == "tuned" or not phase.startswith("first"):  # the base's events are not waited for
                assert running.counters.number(DISCONNECTS, "m", phase.partition(",")[0]) == 1
            assert not idle.requests
            assert running.counters.number(FALLBACKS) == 0
            await _until(lambda: running.counters.number(OPEN) == 0)
            if arm == "tuned":
                assert [each.fault for each in running.sink.exchanges] == ["client-left"]

    run(test())


def test_clients_that_leave_do_not_open_the_circuit(tmp_path: Path) -> None:
    async def test() -> None:
        scripts: list[Script] = [[Do.STALL]] * 8 + [[response(said("from tuned"))]]
        async with (
            FaultyUpstream([response(said("from base"))]) as base,
            FaultyUpstream(*scripts) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG) as running,
        ):
            for number in range(8):
                _, writer = await running.connect()
                writer.write(request(json.dumps(CHAT).encode()))
                await _until(lambda number=number: len(tuned.requests) == number + 1)
                writer.transport.abort()
                await asyncio.wait_for(tuned.requests[number].left.wait(), 5)
            assert (await running.ask()).headers["x-offtarget-arm"] == "tuned"

    run(test())


def test_a_reader_that_stops_holds_the_model_back(tmp_path: Path) -> None:
    """100 MB that nobody reads: the gateway takes a few hundred kilobytes of them and waits."""
    event = delta(content="a" * 100_000)

    async def test() -> None:
        sent = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await reader.readuntil(b"\r\n\r\n")
            writer.write(stream_head())
            for _ in range(1000):
                writer.write(chunk(event))
                await writer.drain()
                sent += len(event)

        async with FaultyUpstream([response(said("x"))]) as base:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            tuned = FaultyUpstream([])
            tuned.port = server.sockets[0].getsockname()[1]
            async with gateway(tmp_path, base, tuned, timeouts=LONG) as running:
                reader, writer = await running.connect()
                writer.write(request(json.dumps({**CHAT, "stream": True}).encode()))
                await read_head(reader)
                before = -1
                while before != sent:
                    before = sent
                    await asyncio.sleep(0.3)
                assert 0 < sent < 30_000_000  # what the sockets' own buffers hold, and not all of it
                writer.transport.abort()
            server.close()

    run(test())


def test_a_reader_that_takes_nothing_is_let_go(tmp_path: Path) -> None:
    async def test() -> None:
        endless: Script = [stream_head(), *[chunk(delta(content="a" * 100_000))] * 500, Do.STALL]
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            FaultyUpstream(endless) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG, reader_seconds=0.3) as running,
        ):
            reader, writer = await running.connect()
            writer.write(request(json.dumps({**CHAT, "stream": True}).encode()))
            await read_head(reader)
            await asyncio.wait_for(tuned.requests[0].left.wait(), 10)
            await _until(lambda: running.counters.number(OPEN) == 0)
            writer.close()

    run(test())


def test_pipelined_requests_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async def test() -> None:
        scripts: list[Script] = [[0.05, response(said(str(number)))] for number in range(3)]
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            FaultyUpstream(*scripts) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG) as running,
        ):
            reader, writer = await running.connect()
            writer.write(request(json.dumps(CHAT).encode()) * 3)
            for number in range(3):
                assert (await read_answer(reader)).json == said(str(number))
            writer.close()

    run(test())


def test_a_kept_connection_serves_many_requests_and_one_upstream_connection_is_enough(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            FaultyUpstream(spoken("a", "b")) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG) as running,
        ):
            reader, writer = await running.connect()
            for _ in range(20):
                writer.write(request(json.dumps({**CHAT, "stream": True}).encode()))
                assert (await read_answer(reader)).body.endswith(b"data: [DONE]\n\n")
            assert tuned.connections == 1
            writer.close()

    run(test())


def test_nothing_stays_of_a_connection_that_was_reset_between_requests(tmp_path: Path) -> None:
    """Its protocol is gone at once, not when the time is over for which it would have been kept open."""

    async def test() -> None:
        async with (
            FaultyUpstream([response(said("x"))]) as base,
            FaultyUpstream([response(said("y"))]) as tuned,
            gateway(tmp_path, base, tuned, timeouts=LONG) as running,
        ):
            for _ in range(5):
                reader, writer = await running.connect()
                writer.write(request(json.dumps(CHAT).encode()))
                assert (await read_answer(reader)).status == 200
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            await _until(lambda: not _connections())

    run(test())


def _connections() -> list[StrictProtocol]:
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, StrictProtocol)]
