"""One model asked once: its answer held until it is known to be one, then passed on as it comes.

What goes wrong before the client has its first byte is raised as `Failed`, and another model can still answer. After it
the stream ends with an error event and without `[DONE]`: two models are never spliced into one answer.
"""

from __future__ import annotations

from time import monotonic

from offtarget.records.answers import Role
from offtarget.records.exchanges import Reason
from offtarget.serve.proxy.call import Call
from offtarget.serve.proxy.content import (
    ends_in_error,
    fault_of_body,
    first_boundary,
    is_finished,
    kind_of_event,
    last_boundary,
)
from offtarget.serve.proxy.errors import upstream_refusal
from offtarget.serve.proxy.headers import client_headers, value_of
from offtarget.serve.proxy.upstreams import Model
from offtarget.serve.transport.protocol import FaultKind, Sent, TransportFault

HELD = 8 * 1024 * 1024
"""Bytes of an answer without a stream that are held until it is whole; a longer one is passed on as it comes."""
LONGEST_EVENT = 1024 * 1024
"""Bytes that are held for the end of one server-sent event."""


class Failed(Exception):
    """The model gave no answer, and the client has no byte of one; `fault` is a name of docs/faults.md."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class Attempt:
    """A request to one model, and what came of it."""

    __slots__ = (
        "_copy", "_model", "_room", "_sent", "_within", "arm", "asked_at", "beginning", "call", "cut", "fault", "first",
        "reason", "show_arm", "status",
    )  # fmt: skip

    def __init__(self, call: Call, model: Model, arm: Role, reason: Reason, *, show_arm: bool, copy_bytes: int) -> None:
        """`copy_bytes`: how much of the answer is kept for the monitor; 0: none."""
        self.call, self._model, self.arm, self.reason = call, model, arm, reason
        self.show_arm = show_arm
        self._room = copy_bytes
        self._copy: list[bytes] = []
        self._sent: Sent | None = None
        self.beginning = b""
        """The first bytes that the client got; all of them where the answer was not streamed."""
        self._within = False
        """Whether the client has the beginning of an event that is too long to be held."""
        self.cut = False
        self.fault = ""
        self.first = 0.0
        """Clock when the client got its first byte, or would have."""
        self.status = 0
        self.asked_at = 0.0
        """Clock when the model was asked."""

    @property
    def copy(self) -> bytes:
        """What the model sent, as far as it is kept."""
        return b"".join(self._copy)

    async def answer_held(self) -> None:
        """Ask, and give the client an answer that is known to be one. Raises Failed; nothing was sent then."""
        try:
            sent = await self._ask()
            begun = await self._until_content(sent) if self.call.asked.stream else await self._whole_answer(sent)
        except TransportFault as fault:
            raise Failed(str(fault.kind)) from None
        except Failed:
            self.abort()
            raise
        await self._pass_on(sent, begun, stream=self.call.asked.stream)

    async def answer_as_it_is(self) -> None:
        """Ask, and give the client whatever comes. Raises Failed where nothing came."""
        try:
            sent = await self._ask()
            if 300 <= self.status < 400:
                raise Failed(f"status-{self.status}")
            stream = _is_stream(sent)
            begun = await (sent.read() if stream else self._held(sent))
        except TransportFault as fault:
            raise Failed(str(fault.kind)) from None
        except Failed:
            self.abort()
            raise
        if stream:
            sent.settle()
            self._keep(begun)
        if self.status >= 400:
            self.fault = f"status-{self.status}"
        await self._pass_on(sent, begun, stream=stream)

    async def answer_nobody(self) -> None:
        """Ask, and keep what comes for the monitor alone."""
        try:
            sent = await self._ask()
            if self.call.asked.stream:
                await self._until_content(sent)
                while piece := await sent.read():
                    self._keep(piece)
                if not self.cut and not is_finished(self.copy):
                    self.fault = "truncated"
            else:
                await self._whole_answer(sent)
        except TransportFault as fault:
            self.fault = str(fault.kind)
        except Failed as failed:
            self.abort()
            self.fault = failed.fault

    def abort(self) -> None:
        """Give up; the model's server is told by the end of its connection."""
        if self._sent is not None:
            self._sent.abort()

    async def _ask(self) -> Sent:
        call = self.call
        self.asked_at = monotonic()
        sent = self._sent = self._model.ask(call.path, call.headers, call.asked, call.client.request_id)
        if self.reason != "shadow":
            call.client.upstream = sent
            if call.client.left:
                sent.abort()
        self.status = await sent.head()
        return sent

    async def _until_content(self, sent: Sent) -> bytes:
        """All bytes of a stream up to and with those that hold its first content. Raises Failed where there is none."""
        self._check(sent, stream=True)
        api = self.call.api or "chat"
        data, start = bytearray(), 0
        while True:
            piece = await sent.read()
            self._keep(piece)
            new = max(start, len(data) - 3)  # a blank line may have begun in the last piece
            data += piece
            while (end := first_boundary(data, new)) > 0:
                kind = kind_of_event(bytes(data[start:end]), api)
                if kind == "content":
                    sent.settle()
                    self._came()
                    return bytes(data)
                if kind != "nothing":
                    raise Failed({"end": "empty", "error": "error-event", "malformed": "malformed-answer"}[kind])
                start = new = end
            if not piece:
                raise Failed("malformed-answer" if data[start:].strip() else "empty")
            if len(data) - start > LONGEST_EVENT or len(data) > HELD:
                raise Failed("too-long-event")

    async def _whole_answer(self, sent: Sent) -> bytes:
        """The body of an answer that is one. Raises Failed where it is not."""
        self._check(sent, stream=False)
        body = await self._held(sent)
        if len(body) <= HELD and (fault := fault_of_body(body, self.call.api or "chat")):
            raise Failed(fault)
        return body

    def _check(self, sent: Sent, *, stream: bool) -> None:
        if self.status != 200:
            raise Failed(f"status-{self.status}")
        encoded = value_of(sent.headers, b"content-encoding") not in (None, b"identity")
        if encoded or _is_stream(sent) is not stream:
            raise Failed("content-type")

    async def _held(self, sent: Sent) -> bytes:
        """The whole body, or its beginning where it is longer than what is held."""
        sent.settle()
        pieces, length = [], 0
        while length <= HELD and (piece := await sent.read()):
            pieces.append(piece)
            length += len(piece)
            self._keep(piece)
        self._came()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _pass_on(self, sent: Sent, begun: bytes, *, stream: bool) -> None:
        client = self.call.client
        whole = not stream and len(begun) <= HELD
        self._came()
        self.beginning = begun
        await client.begin(self.status, self._headers(sent, begun if whole else None, stream=stream))
        try:
            if stream:
                await self._pass_events(sent, begun)
            elif whole:
                await client.end(begun)
            else:
                await self._pass_rest(sent, begun)
        except TransportFault as fault:
            self.fault = "client-left" if client.left else str(fault.kind)
            if stream and not client.left:
                await client.end(self._error_event())
            # Else the body has a length, or no end that says so: the connection closes before it, as the model's did.
        if client.left and not self.fault:
            self.fault = "client-left"

    async def _pass_events(self, sent: Sent, begun: bytes) -> None:
        """Whole events only, so that an error that ends the stream is an event of its own."""
        client = self.call.client
        rest, last, finished = bytearray(), b"", False
        piece = begun
        while piece:
            if not rest and piece.endswith(b"\n\n"):  # as nearly always
                events, self._within = piece, False
            else:
                new = max(0, len(rest) - 3)  # a blank line may have begun in the last piece
                rest += piece
                end = last_boundary(rest, new)
                if end:
                    self._within = False
                elif self._within or len(rest) > LONGEST_EVENT:
                    self._within, end = True, len(rest)
                events = bytes(rest[:end])
                del rest[:end]
            if events:
                finished = finished or is_finished(events)
                last = events
                await client.more(events)
            piece = await sent.read()
            self._keep(piece)
        if self.status == 200 and not finished and not is_finished(rest):
            if not ends_in_error(bytes(rest) or last):
                self.fault = str(FaultKind.TRUNCATED)
                await client.end(self._error_event())
                return
            self.fault = "error-event"
        await client.end(bytes(rest))

    def _error_event(self) -> bytes:
        """The last event of a stream that broke off; it first ends an event that was passed on in parts."""
        event = upstream_refusal(self.fault).event(self.call.api or "chat")
        return b"\n\n" + event if self._within else event

    async def _pass_rest(self, sent: Sent, begun: bytes) -> None:
        client = self.call.client
        await client.more(begun)
        while piece := await sent.read():
            self._keep(piece)
            await client.more(piece)
        await client.end()

    def _headers(self, sent: Sent, body: bytes | None, *, stream: bool) -> list[tuple[bytes, bytes]]:
        headers = client_headers(sent.headers)
        if self.reason == "fallback":  # this request was tried twice already
            headers = [header for header in headers if header[0] != b"x-should-retry"]
        headers += arm_headers(self.arm, self.reason, self.call.client.request_id, show_arm=self.show_arm)
        if stream:
            headers += ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
        elif body is not None:
            headers.append((b"content-length", b"%d" % len(body)))
        elif (length := value_of(sent.headers, b"content-length")) is not None:
            headers.append((b"content-length", length))
        return headers

    def _came(self) -> None:
        if not self.first:
            self.first = monotonic()

    def _keep(self, piece: bytes) -> None:
        """Copy a piece for the monitor as far as there is room."""
        if len(piece) <= self._room:
            self._copy.append(piece)
            self._room -= len(piece)
        elif self._room or not self.cut:
            self._copy.append(piece[: self._room])
            self._room = 0
            self.cut = True


def arm_headers(arm: Role, reason: Reason, request_id: str, *, show_arm: bool) -> list[tuple[bytes, bytes]]:
    """Headers of our own: the request's id, and where readers may know it, which model answered and why."""
    headers = [(b"x-request-id", request_id.encode())]
    if show_arm:
        headers += ((b"x-offtarget-arm", arm.encode()), (b"x-offtarget-reason", reason.encode()))
    if reason == "fallback":
        headers.append((b"x-should-retry", b"false"))
    return headers


def _is_stream(sent: Sent) -> bool:
    """Whether an answer is a stream of events that can be read and added to."""
    if value_of(sent.headers, b"content-encoding") not in (None, b"identity"):
        return False
    kind = value_of(sent.headers, b"content-type") or b""
    return kind.split(b";")[0].strip().lower() == b"text/event-stream"
