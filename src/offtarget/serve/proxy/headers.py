"""Which headers pass: a list of those that may, in both directions; everything else stays behind.

A client's `Authorization` and cookies never reach a model, a model's own headers (server, cookies, keys) no client.
"""

from __future__ import annotations

from offtarget.serve.transport.protocol import Headers

_UP = frozenset((b"idempotency-key", b"openai-beta", b"traceparent", b"tracestate", b"x-client-request-id"))
_DOWN = frozenset(
    (
        b"content-type", b"content-encoding", b"retry-after", b"retry-after-ms", b"x-should-retry",
        b"openai-processing-ms", b"openai-version",
    )
)  # fmt: skip


def upstream_headers(given: Headers) -> list[tuple[bytes, bytes]]:
    """What of a client's headers goes to a model."""
    return [header for header in given if header[0] in _UP]


def client_headers(given: Headers) -> list[tuple[bytes, bytes]]:
    """What of a model's headers goes to a client; its own request id under another name."""
    passed = []
    for name, value in given:
        if name in _DOWN or name.startswith(b"x-ratelimit-"):
            passed.append((name, value))
        elif name == b"x-request-id":
            passed.append((b"x-upstream-request-id", value))
    return passed


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header; None where it is not there."""
    for each, value in headers:
        if each == name:
            return value
    return None
