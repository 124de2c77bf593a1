"""benchmarks/gateway.py counts what it says it counts, and its page is what its figures say."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
pytest.importorskip("uvloop", reason="needs the extra `serve`")

from gateway_load import Place, Probe, streams  # noqa: E402
from gateway_table import page  # noqa: E402
from gateway_upstream import Upstream, events  # noqa: E402

RESULT, PAGE = ROOT / "benchmarks" / "results" / "gateway.json", ROOT / "docs" / "results" / "gateway.md"


@contextmanager
def upstream(frames: list[bytes]) -> Iterator[Place]:
    """The benchmark's upstream with these frames, in a thread."""
    ready, over, ports = threading.Event(), threading.Event(), list[int]()

    async def serve() -> None:
        made: list[Upstream] = []

        def connection() -> Upstream:
            made.append(Upstream(frames, 0.001, [b"stolen"]))
            return made[-1]

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        while not over.is_set():
            await asyncio.sleep(0.01)
        server.close()
        for one in made:
            one.transport.abort()
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield Place(ports[0], "base", "key")
    finally:
        over.set()
        thread.join()


def broken(how: str) -> list[bytes]:
    frames = events(10)
    if how == "lost":
        return frames[:4] + frames[5:]
    if how == "doubled":
        return frames[:4] + frames[3:]
    if how == "swapped":
        return [*frames[:4], frames[5], frames[4], *frames[6:]]
    return [*frames[:-1], b"0\r\n\r\n"]


def test_whole_streams_count_as_whole() -> None:
    with upstream(events(10)) as place:
        came = streams(place, 20, 10, 1000, 20)
    assert (came.whole, came.frames, came.refused, len(came.first)) == (20, 200, 0, 20)


@pytest.mark.parametrize(("how", "frames"), [("lost", 45), ("doubled", 55), ("swapped", 50), ("without an end", 50)])
def test_a_stream_that_is_not_whole_is_seen(how: str, frames: int) -> None:
    with upstream(broken(how)) as place:
        came = streams(place, 5, 10, 1000, 20)
    assert (came.whole, came.frames) == (0, frames)


def test_a_server_that_is_not_there_refuses_every_stream() -> None:
    with upstream(events(3)) as place:
        pass
    came = streams(place, 3, 3, 1000, 5)
    assert (came.whole, came.refused) == (0, 3)


def test_single_requests_are_timed() -> None:
    with upstream(events(3)) as place:
        probe = Probe(place)
        assert all(probe.seconds() > 0 for _ in range(5))
        probe.close()


@pytest.mark.skipif(not RESULT.exists(), reason="benchmarks/gateway.py has not been run")
def test_the_page_is_what_the_figures_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULT.read_text(encoding="utf-8")))
