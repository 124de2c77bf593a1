"""Frames between workers and the monitor: whole or refused, bounded, and never in the way of the data path."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from exchanging import exchange
from hypothesis import given
from hypothesis import strategies as st

from offtarget.records.exchanges import Exchange
from offtarget.serve.wire import ANSWER_BYTES, REQUEST_BYTES, Frames, Listener, SocketSink, WireError, encode


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path that is short enough for a socket."""
    return tmp_path_factory.mktemp("w") / "s"


@given(
    request=st.binary(max_size=300), response=st.binary(max_size=300), cuts=st.lists(st.integers(1, 50)),
    fault=st.text(),
)  # fmt: skip
def test_a_frame_comes_back_as_it_was_however_it_is_cut(
    request: bytes, response: bytes, cuts: list[int], fault: str
) -> None:
    sent = [dataclasses.replace(exchange(n), request=request, response=response, fault=fault) for n in range(3)]
    data = b"".join(map(encode, sent))
    frames, found = Frames(), []
    for cut in cuts:
        piece, data = data[:cut], data[cut:]
        found += frames.feed(piece)
    assert found + frames.feed(data) == sent


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_hostile_bytes_are_refused_or_wait_for_more(junk: bytes, at: int, over: bytes) -> None:
    whole = bytearray(encode(exchange()))
    whole[at : at + len(over)] = over
    for data in (junk, bytes(whole)):
        with contextlib.suppress(WireError):
            assert all(isinstance(one, Exchange) for one in Frames().feed(data))


@pytest.mark.parametrize(
    "fields",
    [
        b"[]",
        b"{}",
        b"nonsense",
        b'{"started": NaN}',
        b'{"a":' * 9000,
        encode(exchange())[16:].replace(b'"tuned"', b'"evil"'),
    ],
)
def test_fields_that_are_no_exchange_are_refused(fields: bytes) -> None:
    with pytest.raises(WireError):
        Frames().feed(struct.pack("!4sIII", b"OTX1", len(fields), 0, 0) + fields)


def test_a_frame_that_says_it_is_huge_is_refused_before_it_is_held() -> None:
    with pytest.raises(WireError):
        Frames().feed(b"OTX1" + b"\x00\x00\x00\x10" + b"\xff" * 8)


def test_exchanges_arrive_in_order(path: Path) -> None:
    got: list[Exchange] = []
    with Listener(path, got.append):
        sink = SocketSink(path)
        sent = [exchange(n) for n in range(200)]
        assert all(sink.offer(one) for one in sent)
        until(lambda: len(got) == 200)
        sink.close()
    assert got == sent
    assert sink.counts["sent"] == sink.counts["taken"] == 200


def test_with_nobody_there_memory_is_bounded_and_drops_are_counted(path: Path) -> None:
    sink = SocketSink(path, waiting_bytes=100_000)
    taken = sum(sink.offer(exchange(n, said="x" * 1000)) for n in range(2000))
    assert sink.waiting_bytes < 105_000
    assert taken == sink.counts["taken"]
    assert sink.counts["nobody"] == 2000 - taken > 0
    sink.close(0.1)


def test_what_is_dropped_does_not_depend_on_the_size_of_the_answer(path: Path) -> None:
    sink = SocketSink(path, waiting_bytes=10_000)
    while sink.offer(exchange()):
        pass
    assert not sink.offer(exchange(said=""))  # a small one would still fit
    empty = SocketSink(path, waiting_bytes=10_000)
    assert empty.offer(exchange(said="x" * 500_000))  # a large one is taken where there is room for any


def test_a_monitor_that_starts_late_or_again_gets_what_waits(path: Path) -> None:
    got: list[Exchange] = []
    sink = SocketSink(path)
    sink.offer(exchange(1))
    with Listener(path, got.append):
        until(lambda: len(got) == 1)
    sink.offer(exchange(2))
    time.sleep(0.05)
    with Listener(path, got.append):
        until(lambda: any(one.id == "req-2" for one in got) or sink.counts["sent"] == 2)
        sink.offer(exchange(3))
        until(lambda: any(one.id == "req-3" for one in got))
    sink.close()
    assert sink.counts["reached"] >= 2


def test_malformed_bytes_end_their_connection_and_nothing_else(path: Path) -> None:
    got: list[Exchange] = []
    with Listener(path, got.append) as listener:
        for junk in (b"GET / HTTP/1.1\r\n\r\n" * 10, b"\x00" * 100):
            bad = socket.socket(socket.AF_UNIX)
            bad.connect(str(path))
            bad.sendall(junk)
            assert bad.recv(1) == b""
            bad.close()
        sink = SocketSink(path)
        sink.offer(exchange())
        until(lambda: len(got) == 1)
        sink.close()
        assert listener.counts["malformed"] == 2


def test_one_exchange_that_cannot_be_taken_does_not_end_the_listening(path: Path) -> None:
    got: list[str] = []

    def take(one: Exchange) -> None:
        if one.id == "req-0":
            raise RuntimeError("no")
        got.append(one.id)

    with Listener(path, take) as listener:
        sink = SocketSink(path)
        sink.offer(exchange(0))
        sink.offer(exchange(1))
        until(lambda: got == ["req-1"])
        assert listener.counts["failed"] == 1
        sink.close()


def test_too_many_connections_are_refused(path: Path) -> None:
    with Listener(path, print, connections=2) as listener:
        held = []
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX)
            one.connect(str(path))
            held.append(one)
        until(lambda: listener.counts["refused"] == 2)
        for one in held:
            one.close()


def test_long_answers_are_cut_and_say_so_and_long_requests_are_not_sent(path: Path) -> None:
    got: list[Exchange] = []
    with Listener(path, got.append):
        sink = SocketSink(path)
        assert not sink.offer(exchange(1, request=b"x" * (REQUEST_BYTES + 1)))
        sink.offer(exchange(2, response=b"x" * (ANSWER_BYTES + 1)))
        until(lambda: len(got) == 1)
        sink.close()
    assert got[0].cut
    assert len(got[0].response) == ANSWER_BYTES
    assert sink.counts["too_long"] == 1


def test_the_socket_is_for_this_user_alone(path: Path) -> None:
    with Listener(path, print):
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()
