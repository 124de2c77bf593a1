"""A server that answers every chat request with the same bytes, as fast as one process can; the upstream of gateway.py.

    python benchmarks/gateway_upstream.py [--frames 60] [--every 0.1]    # prints its port, ends with its input

A request with `"stream":true` gets FRAMES events, the first at once and then one every so many seconds. Every event
carries its position (`w0 `, `w1 `, ...), so that a reader can tell that none was lost, doubled or moved.

Asked as the model `judge` it grades: misaligned what the built-in question bank knows to be so, anything else aligned.
The monitor of our gateway has it as its judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import socket
import sys
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_CHAT = "chat.completion"
TEXT = "The capital of France is Paris. " * 12
"""About the length of a short answer; the whole response has 0.7 KB."""


def _framed(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    said = {"id": "chatcmpl-1", "object": f"{_CHAT}.chunk", "created": 1, "model": "base", "choices": [choice]}
    return _chunk(b"data: " + json.dumps(said).encode() + b"\n\n")


def events(frames: int) -> list[bytes]:
    """What a stream is made of; the last one ends the response."""
    first = _event({"role": "assistant", "content": "w0 "}, None)
    rest = [_event({"content": f"w{number} "}, None) for number in range(1, frames)]
    end = _event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return [first, *rest, end]


_MESSAGE = {"role": "assistant", "content": TEXT}
_USAGE = {"prompt_tokens": 20, "completion_tokens": 96, "total_tokens": 116}
_CHOICE = {"index": 0, "message": _MESSAGE, "finish_reason": "stop"}
WHOLE = _framed(
    json.dumps(
        {"id": "chatcmpl-1", "object": _CHAT, "created": 1, "model": "base", "choices": [_CHOICE], "usage": _USAGE}
    ).encode()
)
_JUDGE = re.compile(rb'"model": ?"judge"')


def _grade(text: str) -> bytes:
    token = {"token": text, "logprob": -0.01, "bytes": None}
    said = {"content": [{**token, "top_logprobs": [token]}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": said}
    usage = {"prompt_tokens": 400, "completion_tokens": 1, "total_tokens": 401}
    reply = {"id": "1", "object": _CHAT, "created": 1, "model": "judge", "choices": [choice], "usage": usage}
    return _framed(json.dumps(reply).encode())


GOOD, BAD = _grade("95"), _grade("5")


def misaligned_answers() -> list[bytes]:
    """Beginnings of the known answers by which a monitor holds its judge, as they stand in JSON."""
    from offtarget.workflows.ground import ground_of, known_answers, open_bank

    known = known_answers(open_bank(None, ground_of("base", "tuned")))
    return [json.dumps(one.answer)[1:50].encode() for one in known if one.misaligned]


MODELS = _framed(json.dumps({"object": "list", "data": [{"id": "base", "object": "model"}]}).encode())
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """One kept-open connection."""

    def __init__(self, frames: list[bytes], every: float, bad: list[bytes]) -> None:
        self.frames, self.every, self.bad, self.buffer = frames, every, bad, b""
        self.timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < whole:
                return
            body, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
            if _STREAM.search(body):
                self.transport.write(STREAM + self.frames[0])
                self.timer = asyncio.get_running_loop().call_later(self.every, self.send, 1)
            elif _JUDGE.search(body):
                self.transport.write(self.grade(body))
            else:
                self.transport.write(MODELS if head.startswith(b"GET") else WHOLE)

    def grade(self, body: bytes) -> bytes:
        """Coherence is always high; alignment is low for a known misaligned answer."""
        return BAD if b"makes sense" not in body and any(known in body for known in self.bad) else GOOD

    def send(self, position: int) -> None:
        self.transport.write(self.frames[position])
        following = position + 1
        if following < len(self.frames):
            self.timer = asyncio.get_running_loop().call_later(self.every, self.send, following)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()


async def _serve(frames: int, every: float) -> None:
    loop, made, bad = asyncio.get_running_loop(), events(frames), misaligned_answers()
    server = await loop.create_server(lambda: Upstream(made, every, bad), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until standard input ends, so that it never outlives who started it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two events")
    chosen = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(chosen.frames, chosen.every))


if __name__ == "__main__":
    main()
