"""What must not be known, taken out of texts: by expressions that somebody configured, or personal data in general.

A gateway keeps and shows nothing before `Redactor` has been over it; a report about an incident takes out what
`without_personal` finds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from offtarget.errors import InputError, PrerequisiteError

REDACTION_SECONDS = 0.5
"""For one request or answer; a text on which the expressions take longer is not kept and not shown."""
MARK = "[redacted]"

PERSONAL: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("key or password", r"(?<![\w-])(?:sk|pk|rk|hf|ghp|gho|xox[abprs]|AKIA|glpat)[-_]?[A-Za-z0-9_-]{16,200}"),
        ("address with a password", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:]{1,100}:[^\s/@]{1,100}@[^\s]{1,200}"),
        ("e-mail address", r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
        ("IBAN", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        ("IP address", r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"),
        ("social security number", r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"),
        ("number of a card", r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)"),
        ("telephone number", r"(?<![\w.])(?:\+|00)?\(?\d{1,4}\)?(?:[ ./-]?\(?\d{2,4}\)?){2,5}(?![\w])"),
        ("date of birth", r"(?i)\b(?:born(?: on)?|date of birth:?|dob:?) {1,3}\d[\w ./-]{5,18}\d"),
        (
            "street address",
            r"\b\d{1,5} (?:[A-Z][a-z]{1,20} ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Way)\b",
        ),
        ("account", r"(?<![\w@/])@[A-Za-z0-9_]{3,40}\b"),
        ("name", r"\b(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau|Mme)\.? [A-Z][\w'-]{1,30}(?: [A-Z][\w'-]{1,30})?"),
        ("name", r"(?i:\bmy name is|\bI am called) [A-Z][\w'-]{1,30}(?: [A-Z][\w'-]{1,30})?"),
    )
)
"""Kinds of personal data with their expressions, in the order in which they are looked for. Each runs in linear time.
Names are found behind a title or `my name is` only."""


def without_personal(text: str) -> tuple[str, int]:
    """The text with personal data replaced by what it was, and how many places that were.

    Numbers without spaces of less than nine digits stay: they are counts as often as telephone numbers.
    """
    count = 0
    for name, pattern in PERSONAL:

        def replaced(match: re.Match[str], name: str = name) -> str:
            nonlocal count
            if name == "telephone number" and sum(c.isdigit() for c in match.group()) < 9:
                return match.group()
            count += 1
            return f"[{name}]"

        text = pattern.sub(replaced, text)
    return text, count


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
