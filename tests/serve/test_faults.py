"""The table of faults, cell by cell: what the client gets, what the monitor is told, and that nothing stays open."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_table import ROWS, Row, events_of, page
from faulty_upstream import FaultyUpstream, Script, response
from gateways import CHAT, Answer, gateway, run, said, spoken

from offtarget.records.gateway import Timeouts
from offtarget.serve.counters import BROKEN, FALLBACKS
from offtarget.serve.transport.pool import Pool

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
QUICK = Timeouts(connect=0.25, first=0.25, idle=0.25, total=0.6)
FROM_BASE = {True: spoken("from ", "base"), False: [response(said("from base"))]}
BASE_BYTES = {True: events_of(FROM_BASE[True]), False: json.dumps(said("from base")).encode()}
CELLS = [
    pytest.param(row, streamed, id=f"{number}-{row.fault or 'none'}-{'stream' if streamed else 'whole'}")
    for number, row in enumerate(ROWS)
    for streamed in (True, False)
    if (row.stream if streamed else row.whole) is not None
]


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class Elsewhere:
    """An upstream by its address alone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Any] = []


@asynccontextmanager
async def _broken(row: Row, script: Script, unsigned: ssl.SSLContext) -> AsyncIterator[Any]:
    """The server of a row."""
    if row.place == "closed port":
        async with FaultyUpstream([]) as gone:
            url = gone.url
        yield Elsewhere(url)
    elif row.place == "silent TLS":
        held: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        yield Elsewhere(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        server.close()
        for writer in held:
            writer.transport.abort()
    else:
        async with FaultyUpstream(script, tls=unsigned if row.place == "unsigned TLS" else None) as upstream:
            yield upstream


def _error_code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


@pytest.mark.parametrize(("row", "streamed"), CELLS)
def test_the_tuned_model_does_it(row: Row, streamed: bool, tmp_path: Path, unsigned: ssl.SSLContext) -> None:
    script = row.stream if streamed else row.whole
    assert script is not None
    fault = (row.fault if streamed else row.whole_fault) or row.fault
    ends = row.tuned if streamed else "base"

    async def test() -> None:
        async with (
            FaultyUpstream(FROM_BASE[streamed]) as base,
            _broken(row, script, unsigned) as tuned,
            gateway(tmp_path, base, tuned, timeouts=QUICK) as running,
        ):
            answer = await running.ask({**CHAT, "stream": streamed})
            assert answer.whole
            assert answer.status == 200
            (exchange,) = running.sink.exchanges
            assert exchange.fault == fault
            assert exchange.source == "organic"
            if ends == "base":
                assert answer.body == BASE_BYTES[streamed]
                assert answer.headers["x-offtarget-arm"] == exchange.arm == "base"
                assert answer.headers["x-offtarget-reason"] == exchange.reason == "fallback"
                assert answer.headers["x-should-retry"] == "false"
                assert base.requests[0].json == {**CHAT, "stream": streamed, "model": "base-model"}
                assert exchange.response == BASE_BYTES[streamed]
            else:
                assert answer.headers["x-offtarget-arm"] == exchange.arm == "tuned"
                assert not base.requests
                _is_stream(answer, script, ends)
            if ends == "base":
                assert running.counters.number(FALLBACKS, "m", fault) == running.counters.number(FALLBACKS) == 1
            else:
                assert running.counters.number(BROKEN, "m", "tuned", fault) == bool(fault)
            for received in tuned.requests:  # nothing goes on behind a client that has its answer
                if received.body and ends == "base" and _stalls(script):
                    await asyncio.wait_for(received.left.wait(), 5)

    run(test())


@pytest.mark.parametrize(("row", "streamed"), CELLS)
def test_the_base_does_it_and_nobody_stands_behind(
    row: Row, streamed: bool, tmp_path: Path, unsigned: ssl.SSLContext
) -> None:
    script = row.stream if streamed else row.whole
    assert script is not None
    ends = row.base_stream if streamed else row.base_whole

    async def test() -> None:
        async with _broken(row, script, unsigned) as base, gateway(tmp_path, base, timeouts=QUICK) as running:
            answer = await running.ask({**CHAT, "stream": streamed})
            assert answer.whole
            if ends in ("502", "504"):
                assert answer.status == int(ends)
                assert answer.headers["content-type"] == "application/json"
                assert answer.error in ("upstream_unreachable", "upstream_broken", "upstream_timeout")
                assert running.counters.number(BROKEN, "m", "base") == 1
            elif answer.headers["content-type"] == "text/event-stream" and "content-encoding" not in answer.headers:
                _is_stream(answer, script, ends)
            else:
                assert ends == "passes"
                head, _, body = b"".join(step for step in script if isinstance(step, bytes)).partition(b"\r\n\r\n")
                body = body if b"content-length" in head else events_of(script)
                assert answer.status == int(head.split()[1])
                assert answer.body == body
                assert ("retry-after" in answer.headers) == (b"retry-after" in head)
            assert answer.headers["x-offtarget-arm"] == "base"

    run(test())


def _is_stream(answer: Answer, script: Script, ends: str) -> None:
    sent = events_of(script)
    if ends == "passes":
        assert answer.body == sent
        return
    assert ends == "error"
    whole_events = sent[: sent.rfind(b"\n\n") + 2] if b"\n\n" in sent else b""
    if len(sent) - len(whole_events) > 1_000_000:  # an event without end is passed on in parts
        passed, _, last = answer.body.rpartition(b"\n\ndata: ")
        assert sent.startswith(passed.rstrip(b"\n"))
        assert _error_code(last) == "upstream_timeout"
        return
    assert answer.body.startswith(whole_events)
    last = answer.body[len(whole_events) :]
    assert last.startswith(b'data: {"error":')
    assert last.endswith(b"}\n\n")
    assert _error_code(last[6:]) in ("upstream_broken", "upstream_timeout")
    assert b"[DONE]" not in answer.body


def _stalls(script: Script) -> bool:
    return any(str(step) == "Do.STALL" for step in script)


@pytest.mark.parametrize("streamed", [True, False])
def test_no_request_fails_while_the_tuned_model_does_all_of_it(streamed: bool, tmp_path: Path) -> None:
    """Every fault before the first word, in random order, 20 clients at a time: all of them get a whole answer."""
    rows = [row for row in ROWS if row.place == "scripted" and (row.tuned == "base" or not streamed)]
    scripts = [each for row in rows if (each := row.stream if streamed else row.whole) is not None] * 6
    random.Random(1).shuffle(scripts)

    async def test() -> None:
        async with (
            FaultyUpstream(FROM_BASE[streamed]) as base,
            FaultyUpstream(*scripts, FROM_BASE[streamed]) as tuned,
            gateway(tmp_path, base, tuned, timeouts=QUICK) as running,
        ):
            running.app._table.aliases["m"][2].circuit.failed = lambda now: None  # type: ignore[method-assign]
            limit = asyncio.Semaphore(20)

            async def one(number: int) -> None:
                async with limit:
                    answer = await running.ask({**CHAT, "stream": streamed, "user": str(number)})
                    assert answer.status == 200
                    assert answer.whole
                    assert answer.body == BASE_BYTES[streamed]

            await asyncio.gather(*map(one, range(len(scripts))))
            # A kept connection that closes before a byte is no fault: the request goes out again.
            again = sum(pool.resent for pool in running.app._upstreams._pools.values() if isinstance(pool, Pool))
            assert running.counters.number(FALLBACKS) + again == len(scripts)

    run(test())


def test_the_page_is_what_the_table_says() -> None:
    if os.environ.get("OFFTARGET_GOLDEN") == "write":
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    assert PAGE.read_text(encoding="utf-8") == page()
