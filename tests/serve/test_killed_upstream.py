"""The tuned model's server is killed and started again under load: no client notices."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest
from faulty_upstream import FaultyUpstream, response
from gateways import CHAT, gateway, run, said, spoken

from offtarget.records.gateway import Timeouts
from offtarget.serve.counters import FALLBACKS, REQUESTS

SERVER = """\
import asyncio, sys
from faulty_upstream import FaultyUpstream, response
from gateways import said, spoken

async def main():
    scripts = spoken("from ", "tuned") if sys.argv[2] == "True" else [0.002, response(said("from tuned"))]
    upstream = FaultyUpstream(scripts)
    server = await asyncio.start_server(upstream._serve, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def _start(port: int, streamed: bool) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(port), str(streamed), stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    return process


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _test(tmp_path: Path, streamed: bool) -> None:
    async def test() -> None:
        port = _free_port()
        tuned = FaultyUpstream([])
        tuned.port = port
        base_script = spoken("from ", "base") if streamed else [response(said("from base"))]
        async with (
            FaultyUpstream(base_script) as base,
            gateway(tmp_path, base, tuned, timeouts=Timeouts(connect=2.0, first=5.0)) as running,
        ):
            process = await _start(port, streamed)
            over = asyncio.Event()
            arms: Counter[str] = Counter()

            async def client(number: int) -> None:
                while not over.is_set():
                    answer = await running.ask({**CHAT, "stream": streamed, "user": str(number)})
                    assert answer.status == 200
                    # A stream that had begun when the server was killed may end with an error, and never another way.
                    assert answer.whole
                    if not streamed:
                        assert answer.json["choices"][0]["message"]["content"] in ("from base", "from tuned")
                    elif not answer.body.endswith(b"data: [DONE]\n\n"):
                        assert b'data: {"error"' in answer.body
                    arms[answer.headers["x-offtarget-arm"]] += 1

            clients = [asyncio.ensure_future(client(number)) for number in range(16)]
            try:
                for _ in range(3):
                    running.app._table.aliases["m"][2].circuit.state = "closed"
                    before = arms["tuned"]
                    while arms["tuned"] < before + 20:
                        await asyncio.sleep(0.01)
                    process.kill()
                    await process.wait()
                    before = arms["base"]
                    while arms["base"] < before + 20:
                        await asyncio.sleep(0.01)
                    process = await _start(port, streamed)
                over.set()
                await asyncio.gather(*clients)
            finally:
                for task in clients:
                    task.cancel()
                process.kill()
                await process.wait()
            assert running.counters.number(FALLBACKS) > 0
            assert running.counters.number(REQUESTS) == sum(arms.values())

    run(test())


@pytest.mark.long
def test_whole_answers(tmp_path: Path) -> None:
    _test(tmp_path, streamed=False)


@pytest.mark.long
def test_streams(tmp_path: Path) -> None:
    _test(tmp_path, streamed=True)
