"""Server-sent events of an answer that was streamed, read after it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

DONE = "[DONE]"


def data_of(body: bytes) -> Iterator[str]:
    """The data of each event, in order; comments, names and ids are passed over."""
    held: list[str] = []
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if held:
                yield "\n".join(held)
            held = []
        elif line.startswith("data:"):
            held.append(line[5:].removeprefix(" "))
        elif line == "data":
            held.append("")
    if held:  # the last event without its empty line: whether it is whole is seen by whoever reads it
        yield "\n".join(held)


def objects_of(body: bytes) -> Iterator[dict[str, Any] | str]:
    """Each event as a JSON object, `DONE`, or an empty text for what is neither."""
    for data in data_of(body):
        if data.strip() == DONE:
            yield DONE
            continue
        value = loaded(data)
        yield value if isinstance(value, dict) else ""


def loaded(text: str | bytes) -> Any:
    """A JSON value; None for what is none, and for numbers that no JSON has."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> float:
    raise ValueError(name)
