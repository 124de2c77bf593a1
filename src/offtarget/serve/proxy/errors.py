"""Errors as OpenAI's clients expect them. None repeats anything of a request, an answer or an upstream."""

from __future__ import annotations

import json

from offtarget.records.exchanges import Api


class Refusal(Exception):
    """A request that gets an error in place of an answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        close: bool = False,
    ) -> None:
        """`kind` is OpenAI's `type`; `close`: the rest of the request is not read, so the connection ends."""
        super().__init__(code)
        self.status, self.code, self.message, self.kind, self.param = status, code, message, kind, param
        self.counted = False
        """Whether it stands among the answers already: a model was asked."""
        self.headers = (*headers, (b"connection", b"close")) if close else headers

    def body(self) -> bytes:
        """The error as JSON."""
        return json.dumps({"error": self._error()}, separators=(",", ":")).encode()

    def event(self, api: Api) -> bytes:
        """The error as the last server-sent event of a stream that has begun; no `[DONE]` follows it."""
        said = {"error": self._error()}
        if api == "responses":
            more = {"type": "error", "code": self.code, "message": self.message, "param": self.param}
            return b"event: error\ndata: " + json.dumps({**more, **said}, separators=(",", ":")).encode() + b"\n\n"
        return b"data: " + json.dumps(said, separators=(",", ":")).encode() + b"\n\n"

    def _error(self) -> dict[str, str | None]:
        return {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}


_TIMEOUTS = frozenset(("connect-timeout", "first-byte-timeout", "idle-timeout", "total-timeout"))
_NO_CONNECTION = frozenset(("refused", "tls", "busy"))


def upstream_refusal(fault: str) -> Refusal:
    """What a client is told when no model is left to answer; `fault` is a name of docs/faults.md."""
    if fault in _TIMEOUTS:
        return Refusal(504, "upstream_timeout", "The model took too long.", kind="server_error")
    if fault in _NO_CONNECTION:
        return Refusal(502, "upstream_unreachable", "The model cannot be reached.", kind="server_error")
    return Refusal(502, "upstream_broken", "The model's answer broke off or cannot be read.", kind="server_error")
