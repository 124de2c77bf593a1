"""A request's JSON, read once: the few fields that routing needs, and the place of `model`, so that it can be replaced.

Everything else passes as the bytes it came in: tools, images, fields that nobody here has heard of.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from offtarget.serve.proxy.errors import Refusal

_DECODER = json.JSONDecoder()
_SPACES = " \t\n\r"
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(slots=True)
class Asked:
    """The body of a request."""

    body: bytes
    fields: dict[str, Any]
    model: str
    _text: str
    _start: int
    _end: int
    """Where the value of `model` stands in the text."""

    @property
    def stream(self) -> bool:
        """Whether the client wants server-sent events."""
        return self.fields.get("stream") is True

    def with_model(self, name: str) -> bytes:
        """The body with another model's name; the same bytes but for that."""
        if name == self.model:
            return self.body
        value = json.dumps(name)
        if self._text.isascii():  # positions in the text are positions in the bytes
            return b"%s%s%s" % (self.body[: self._start], value.encode(), self.body[self._end :])
        return (self._text[: self._start] + value + self._text[self._end :]).encode()


def read_asked(body: bytes) -> Asked:
    """Read a request. Raises Refusal (400) for what is no JSON object, has a field twice, or names no model."""
    try:
        text = body.decode("utf-8")
        fields, spans = _object(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid_json", "The body is no JSON object in UTF-8 that has each field once.") from None
    model = fields.get("model")
    if any(len(name) == 5 and name != "model" and name.lower() == "model" for name in fields):
        # Servers in Go read names of fields in any case, the last one counts: the client would choose the model there.
        raise Refusal(400, "invalid_json", "The body names the model in a second spelling of `model`.", param="model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "missing_model", "The body names no `model`.", param="model")
    return Asked(body, fields, model, text, *spans["model"])


def _object(text: str) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """The fields of a JSON object, and where each value begins and ends. ValueError for anything else.

    A field that is there twice is refused: the gateway might read one of them and the model the other.
    """
    read = _DECODER.raw_decode
    fields: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    at = _behind(text, "{", 0)
    if text[at : at + 1] == "}":
        more, at = False, at + 1
    else:
        more = True
    while more:
        name, at = read(text, at)
        if name in fields or not isinstance(name, str):
            raise ValueError
        start = _behind(text, ":", at)
        fields[name], end = read(text, start)
        spans[name] = (start, end)
        at = _after_space(text, end)
        more = text[at : at + 1] != "}"
        at = _behind(text, ",", at) if more else at + 1
    if _after_space(text, at) != len(text):
        raise ValueError
    return fields, spans


def _behind(text: str, sign: str, at: int) -> int:
    """Where the text goes on behind a sign that must come next, blanks around it passed over."""
    at = _after_space(text, at)
    if text[at : at + 1] != sign:
        raise ValueError
    return _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    if text[at : at + 1] not in _SPACES:  # as mostly; nothing at all is in it, too
        return at
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
