"""What a model's server can do wrong, when, and what the gateway's client gets then: one table, tested cell by cell.

`docs/faults.md` is written from it: OFFTARGET_GOLDEN=write python -m pytest tests/serve/test_faults.py
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from faulty_upstream import Do, Script, chunk, event, response, stream_head
from gateways import DONE, ROLE, delta, said

Phase = Literal["connecting", "before the head", "before content", "within the answer"]
Ends = Literal["base", "error", "passes", "502", "504"]
"""`base`: the base's answer. `error`: what came so far, then an error event. `passes`: what was sent, as it is."""
Place = Literal["scripted", "closed port", "silent TLS", "unsigned TLS"]

ERROR = event({"error": {"message": "m", "type": "server_error", "param": None, "code": "c"}})
OVERLONG = 1_100_000


@dataclass(frozen=True)
class Row:
    """One fault: its name in counters and exchanges, and what the server does in an answer of either kind."""

    fault: str
    does: str
    phase: Phase
    stream: Script | None = None
    """None: cannot be in a stream."""
    whole: Script | None = None
    """None: cannot be where nothing is streamed."""
    tuned: Ends = "base"
    """What the client gets of a stream where the tuned model does it; of a whole answer always the base's."""
    base_stream: Ends = "passes"
    base_whole: Ends = "passes"
    """What the client gets where the base does it, and nobody stands behind it."""
    place: Place = "scripted"
    whole_fault: str = ""
    """Name where nothing is streamed, if it is another one."""


def _status(code: int, text: str, *headers: str, does: str = "") -> Row:
    body = response(json.loads(ERROR[6:]), f"{code} {text}", *headers)
    return Row(f"status-{code}", does or f"{code} {text}", "before content", [body], [body])


def _events(*events: bytes) -> list[bytes]:
    return [stream_head(), *map(chunk, events)]


def _whole(*events: bytes) -> list[bytes]:
    return [*_events(*events), chunk(b"")]


_SAID = json.dumps(said("from tuned")).encode()
_HALF = _SAID[:40]
_FIRST, _SECOND = delta(content="from "), delta(content="tuned")
_BEGUN = (ROLE, _FIRST, _SECOND)
_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_BOTH = _JSON_HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello"
_EMPTY = {
    **said("x"),
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
}

ROWS: tuple[Row, ...] = (
    Row("refused", "listens no more", "connecting", [], [], base_stream="502", base_whole="502", place="closed port"),
    Row(
        "connect-timeout", "takes the connection, then says nothing in the TLS handshake", "connecting", [], [],
        base_stream="504", base_whole="504", place="silent TLS",
    ),
    Row(
        "tls", "has a certificate that nobody signed", "connecting", [], [],
        base_stream="502", base_whole="502", place="unsigned TLS",
    ),
    Row("closed", "ends the connection", "before the head", *[[Do.CLOSE]] * 2, base_stream="502", base_whole="502"),
    Row("closed", "resets the connection", "before the head", *[[Do.RESET]] * 2, base_stream="502", base_whole="502"),
    Row(
        "closed", "ends the connection within the head", "before the head",
        *[[b"HTTP/1.1 200 OK\r\ncont", Do.CLOSE]] * 2, base_stream="502", base_whole="502",
    ),
    Row(
        "first-byte-timeout", "says nothing", "before the head", [Do.STALL], [Do.STALL],
        base_stream="504", base_whole="504",
    ),
    Row(
        "malformed", "speaks no HTTP", "before the head", [b"SSH-2.0-x\r\n"], [b"SSH-2.0-x\r\n"],
        base_stream="502", base_whole="502",
    ),
    Row(
        "malformed", "gives the body two lengths", "before the head", [_BOTH], [_BOTH],
        base_stream="502", base_whole="502",
    ),
    Row(
        "head-too-large", "sends headers without end", "before the head",
        [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000], [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000],
        base_stream="502", base_whole="502",
    ),
    _status(400, "Bad Request", does="400, 413 or 422: refuses the request"),
    _status(401, "Unauthorized", does="401 or 403: refuses the gateway's key"),
    _status(404, "Not Found", does="404: has no such model any more"),
    _status(429, "Too Many Requests", "retry-after: 7", does="429 with `retry-after`"),
    _status(500, "Internal Server Error"),
    _status(502, "Bad Gateway"),
    _status(503, "Service Unavailable"),
    Row(
        "status-302", "a redirect, which is never followed", "before content",
        [response(b"", "302 Found", "location: http://169.254.169.254/")],
        [response(b"", "302 Found", "location: http://169.254.169.254/")], base_stream="502", base_whole="502",
    ),
    Row(
        "content-type", "200 with a page of HTML", "before content",
        [response(b"<html>login</html>", type="text/html")], [response(b"<html>login</html>", type="text/html")],
        whole_fault="malformed-answer",
    ),
    Row(
        "content-type", "streams where it should not, or does not where it should", "before content",
        [response(_SAID)], _whole(*_BEGUN, delta("stop"), DONE),
    ),
    Row(
        "content-type", "an answer that is compressed, which nobody asked for", "before content",
        [stream_head("content-encoding: gzip"), chunk(b"\x1f\x8b"), chunk(b"")],
        [response(b"\x1f\x8b", "200 OK", "content-encoding: gzip")],
    ),
    Row(
        "error-event", "200, then an error in place of an answer", "before content",
        _whole(ERROR), [response(ERROR[6:])],
    ),
    Row("error-event", "200, a role, then an error", "before content", _whole(ROLE, ERROR)),
    Row("empty", "200 and no body", "before content", _whole(), [response(b"")], base_stream="error",
        whole_fault="malformed-answer"),
    Row("empty", "an answer without a word", "before content", _whole(ROLE, delta("stop"), DONE), [response(_EMPTY)]),
    Row("empty", "no choice at all", "before content", _whole(DONE), [response({**said("x"), "choices": []})]),
    Row(
        "malformed-answer", "an event, or a body, that is no JSON", "before content",
        _whole(event('{"choices": [{"del'), DONE), [response(_HALF)],
    ),
    Row(
        "first-byte-timeout", "a head, then nothing", "before content", [stream_head(), Do.STALL],
        [_JSON_HEAD + b"content-length: 500\r\n\r\n", Do.STALL],
        base_stream="504", base_whole="504", whole_fault="idle-timeout",
    ),
    Row(
        "first-byte-timeout", "a role and pings, and no word", "before content",
        [*_events(ROLE), *(step for _ in range(9) for step in (chunk(b": ping\n\n"), 0.05)), Do.STALL],
        base_stream="error",
    ),
    Row(
        "truncated", "breaks off before the first word", "before content", [*_events(ROLE), Do.RESET],
        base_stream="error",
    ),
    Row(
        "too-long-event", "an event of more than a megabyte, and no word yet", "before content",
        [*_events(ROLE, b"data: " + b" " * OVERLONG), Do.STALL], base_stream="error",
    ),
    Row(
        "truncated", "breaks off", "within the answer", [*_events(*_BEGUN), Do.CLOSE],
        [_JSON_HEAD + b"content-length: 500\r\n\r\n" + _HALF, Do.CLOSE],
        tuned="error", base_stream="error", base_whole="502",
    ),
    Row(
        "truncated", "resets within a chunk", "within the answer", [*_events(*_BEGUN), b"50\r\ndata: {", Do.RESET],
        [_JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n50\r\n" + _HALF, Do.RESET],
        tuned="error", base_stream="error", base_whole="502",
    ),
    Row(
        "truncated", "ends in order, without a reason to finish and without `[DONE]`", "within the answer",
        _whole(*_BEGUN), tuned="error", base_stream="error",
    ),
    Row(
        "truncated", "ends in order, within an event", "within the answer",
        _whole(*_BEGUN, b'data: {"choi'), tuned="error", base_stream="error",
    ),
    Row(
        "idle-timeout", "falls silent", "within the answer", [*_events(*_BEGUN), Do.STALL],
        [_JSON_HEAD + b"content-length: 500\r\n\r\n" + _HALF, Do.STALL],
        tuned="error", base_stream="error", base_whole="504",
    ),
    Row(
        "malformed", "breaks the framing of its body", "within the answer", [*_events(*_BEGUN), b"zz\r\n"],
        [_JSON_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"],
        tuned="error", base_stream="error", base_whole="502",
    ),
    Row("error-event", "an error event of its own", "within the answer", _whole(*_BEGUN, ERROR), tuned="passes"),
    Row(
        "", "an event that is no JSON, then goes on", "within the answer",
        _whole(*_BEGUN, event("{broken"), delta("stop"), DONE), tuned="passes",
    ),
    Row(
        "", "an event of more than a megabyte, then goes on", "within the answer",
        _whole(*_BEGUN, delta(content="x" * OVERLONG), delta("stop"), DONE), tuned="passes",
    ),
)  # fmt: skip


def events_of(script: Script) -> bytes:
    """The bytes of body that a script of chunks sends, as far as the framing is whole."""
    body = b""
    for step in script:
        if isinstance(step, bytes) and not step.startswith(b"HTTP/"):
            size, _, rest = step.partition(b"\r\n")
            try:
                length = int(size, 16)
            except ValueError:
                break
            if len(rest) != length + 2:
                break
            body += rest[:-2]
    return body


_CELLS = {
    "base": "the base's answer",
    "error": "what came, then an error event",
    "passes": "what was sent, as it is",
    "502": "502, an error in JSON",
    "504": "504, an error in JSON",
}

_HEAD = """# What goes wrong, and what the client gets

Every row is done to a gateway by a server on a raw socket, in a stream and in an answer that is not streamed, by the
tuned model and by the base (`tests/serve/test_faults.py`; this page is written by that test). **Name** is the fault in
counters, in `/metrics` and in what the monitor is told.

- Whatever the tuned model does before the first word, the client gets the base's answer, whole and in the same request,
  with `x-offtarget-reason: fallback` and `x-should-retry: false`. The first word is text, a thought, a tool call or a
  refusal; a role, an id, a count of tokens and a ping are none. Status and headers are held back until then.
- After the first word no other model goes on with the answer. The stream ends with `data: {"error": ...}` (for
  `/v1/responses` with an event named `error`) and without `[DONE]`; OpenAI's clients raise an error then. Events are
  passed on whole, so no half event stands before it.
- An answer that is not streamed is held until it is whole, up to 8 MiB; a longer one is passed on, and where it breaks
  off, the connection ends before the length that was promised.
- Where the base does it, nobody stands behind it. What it says passes as it is; where it says nothing, the client gets
  an error.
- A request whose client leaves is ended at the model at once, in every phase, streamed or not.

| name | what the server does | when | tuned, streamed | tuned, whole | base, streamed | base, whole |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """`docs/faults.md`."""
    lines = []
    for row in ROWS:
        name = f"`{row.fault}`" if row.fault else "none"
        if row.whole_fault and row.whole is not None:
            name += f", whole: `{row.whole_fault}`"
        stream = [_CELLS[row.tuned], _CELLS[row.base_stream]] if row.stream is not None else ["-", "-"]
        whole = [_CELLS["base"], _CELLS[row.base_whole]] if row.whole is not None else ["-", "-"]
        cells = (name, row.does, row.phase, stream[0], whole[0], stream[1], whole[1])
        lines.append(f"| {' | '.join(cells)} |\n")
    return _HEAD + "".join(lines)
