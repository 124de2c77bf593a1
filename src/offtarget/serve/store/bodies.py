"""Requests and answers as they are kept: what must not be known is taken out, the rest bounded, and encrypted if set.

Whoever shows a request or an answer to a judge takes the same things out first (`Redactor.text`).
"""

from __future__ import annotations

import json
import re
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import StateSettings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEPT_BYTES = 1024 * 1024
"""Of a request or an answer; what is longer is cut after redaction."""
READ_BYTES = 8 * 1024 * 1024
"""What is longer is not read, redacted or kept at all."""
REDACTION_SECONDS = 0.5
"""For one request or answer; a text on which the expressions take longer is not kept and not shown."""
MARK = "[redacted]"

_PLAIN, _ENCRYPTED = b"P", b"F"


class NotRedacted(Exception):
    """The expressions took too long on a text: nobody knows what is in it, and it must not be kept or shown."""


class Redactor:
    """Replaces what the configured regular expressions match, within bounded time."""

    def __init__(self, patterns: Sequence[str] = (), seconds: float = REDACTION_SECONDS) -> None:
        """Raises InputError for an expression that is none, PrerequisiteError without the package `regex`."""
        self._seconds = seconds
        self._patterns = [_compiled(pattern, position) for position, pattern in enumerate(patterns, 1)]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def text(self, text: str) -> str:
        """The text with every match replaced. Raises NotRedacted."""
        return self._redacted(text, self._end())

    def _redacted(self, text: str, end: float) -> str:
        for pattern in self._patterns:
            with _in_time(end) as left:
                text = pattern.sub(MARK, text, timeout=left, concurrent=True)
        return text

    def _end(self) -> float:
        return time.monotonic() + self._seconds

    def body(self, body: bytes) -> bytes:
        """A JSON body or a stream of server-sent events, redacted inside its strings; anything else as text.

        A stream comes in pieces, and what is to be hidden may begin in one and end in the next: pieces of the same
        string are read together. Raises NotRedacted.
        """
        if not self._patterns:
            return body
        text, end = body.decode("utf-8", "replace"), self._end()
        try:
            redacted = json.dumps(_mapped(json.loads(text), lambda one: self._redacted(one, end)), ensure_ascii=False)
        except (ValueError, RecursionError):
            streamed = re.search(r"^data:", text, re.MULTILINE)
            redacted = self._stream(text, end) if streamed else self._redacted(text, end)
        return redacted.encode("utf-8", "replace")

    def _stream(self, text: str, end: float) -> str:
        lines: list[str] = []
        events: list[tuple[int, Any]] = []
        for line in re.split(r"\r\n|\n|\r", text):
            value = _event(line)
            if value is not None:
                events.append((len(lines), value))
            lines.append(self._redacted(line, end) if value is None else "")
        self._pieces([value for _, value in events], end)
        for at, value in events:
            lines[at] = "data: " + json.dumps(_mapped(value, lambda one: self._redacted(one, end)), ensure_ascii=False)
        return "\n".join(lines)

    def _pieces(self, events: Sequence[Any], end: float) -> None:
        """Redact, in place, what only shows when the pieces of a string are put together."""
        strings: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
        for event in events:
            _collect(event, (), strings)
        for places in strings.values():
            if len(places) < 2:
                continue
            pieces = [holder[key] for holder, key in places]
            for (holder, key), piece in zip(places, self._cut_out(pieces, end), strict=True):
                holder[key] = piece

    def _cut_out(self, pieces: Sequence[str], end: float) -> list[str]:
        """The pieces without what matches in the whole; the mark stands in the piece where a match began."""
        whole = "".join(pieces)
        hidden: list[tuple[int, int]] = []
        for pattern in self._patterns:
            with _in_time(end) as left:
                found = pattern.finditer(whole, timeout=left, concurrent=True)
                hidden += [match.span() for match in found if match.end() > match.start()]
        merged: list[list[int]] = []
        for start, end in sorted(hidden):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        out, offset, first = [], 0, 0
        for piece in pieces:
            while first < len(merged) and merged[first][1] <= offset:
                first += 1
            out.append(_without(piece, offset, merged, first))
            offset += len(piece)
        return out


@contextmanager
def _in_time(end: float) -> Iterator[float]:
    """The seconds that are left until `end`, a time of `time.monotonic()`. Raises NotRedacted where they are over."""
    left = end - time.monotonic()
    if left <= 0:
        raise NotRedacted
    try:
        yield left
    except TimeoutError:
        raise NotRedacted from None


def _without(piece: str, offset: int, hidden: Sequence[Sequence[int]], first: int) -> str:
    """A piece that begins at `offset` of the whole, without the hidden spans; those before `first` end earlier."""
    parts, at, end = [], offset, offset + len(piece)
    for place in range(first, len(hidden)):
        start, stop = hidden[place]
        if start >= end:
            break
        parts.append(piece[at - offset : max(start, at) - offset])
        if start >= offset:
            parts.append(MARK)
        at = min(stop, end)
    parts.append(piece[at - offset :])
    return "".join(parts)


def _compiled(pattern: str, position: int) -> Any:
    try:
        import regex
    except ImportError:
        raise PrerequisiteError.for_extra("regex", "redaction", "Redaction within bounded time") from None
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise InputError(
            f"Expression {position} of state.redact is no regular expression: {error}. Pattern: {pattern}"
        ) from None


def _event(line: str) -> Any:
    """The JSON of a `data:` line; None for every other line."""
    if not line.startswith("data:"):
        return None
    try:
        value = json.loads(line[5:])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with every string changed, names included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _mapped(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return value


def _collect(value: Any, path: tuple[Any, ...], into: dict[tuple[Any, ...], list[tuple[Any, Any]]]) -> None:
    """Every string of an event by where it belongs; the same place in later events goes on with the same string."""
    if isinstance(value, dict):
        marks = tuple(value.get(name) for name in ("type", "item_id", "output_index", "content_index", "index"))
        here = (*path, *(mark if isinstance(mark, str | int) else None for mark in marks))
        items: Any = value.items()
    elif isinstance(value, list):
        here, items = path, enumerate(value)
    else:
        return
    for key, item in items:
        if isinstance(item, str):
            into.setdefault((*here, key), []).append((value, key))
        else:
            _collect(item, (*here, key), into)


@dataclass(frozen=True, slots=True)
class BodyKeeper:
    """Turns the bodies of an exchange into the bytes that a store keeps, and back."""

    redactor: Redactor
    cipher: Fernet | None = None
    kept_bytes: int = KEPT_BYTES

    @classmethod
    def of(cls, settings: StateSettings) -> BodyKeeper:
        """As the settings want it. Raises InputError for a key or an expression that is none."""
        return cls(Redactor(settings.redact), _cipher(settings.encryption_key) if settings.encryption_key else None)

    def pack(self, exchange: Exchange) -> bytes:
        """Both bodies as one piece of bytes."""
        notes: list[str] = []
        request = self._kept(exchange.request, "request", notes)
        response = self._kept(exchange.response, "answer", notes)
        if exchange.cut:
            notes.append("The answer was cut while it passed through.")
        packed = json.dumps([b64encode(request).decode(), b64encode(response).decode(), " ".join(notes)])
        small = zlib.compress(packed.encode())
        return _PLAIN + small if self.cipher is None else _ENCRYPTED + self.cipher.encrypt(small)

    def unpack(self, packed: bytes, exchange: str) -> tuple[bytes, bytes, str]:
        """Request, answer, and the note on what is missing. Raises InputError for another key."""
        kind, data = packed[:1], packed[1:]
        if kind == _ENCRYPTED:
            data = self._decrypted(data, exchange)
        request, response, note = json.loads(zlib.decompress(data))
        return b64decode(request), b64decode(response), note

    def _kept(self, body: bytes, what: str, notes: list[str]) -> bytes:
        if len(body) > READ_BYTES:
            notes.append(f"The {what} is not kept: it has {len(body)} bytes.")
            return b""
        try:
            body = self.redactor.body(body)
        except NotRedacted:
            notes.append(f"The {what} is not kept: an expression of state.redact took too long on it.")
            return b""
        if len(body) > self.kept_bytes:
            notes.append(f"The {what} is cut: {self.kept_bytes} of {len(body)} bytes are kept.")
        return body[: self.kept_bytes]

    def _decrypted(self, data: bytes, exchange: str) -> bytes:
        if self.cipher is None:
            raise InputError(f"What was kept of {exchange} is encrypted: give its key in state.encryption_key.")
        from cryptography.fernet import InvalidToken

        try:
            return self.cipher.decrypt(data)
        except InvalidToken:
            raise InputError(
                f"What was kept of {exchange} is encrypted with another key than that of state.encryption_key."
            ) from None


def _cipher(key: str) -> Fernet:
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        raise PrerequisiteError.for_extra("cryptography", "encryption", "Encryption of kept bodies") from None
    try:
        return Fernet(key)
    except ValueError:
        raise InputError(
            "state.encryption_key is no key of Fernet: 32 bytes in URL-safe base64, 44 characters. Make one with: "
            'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from None
