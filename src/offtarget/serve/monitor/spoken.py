"""What a model said in an answer of the three endpoints, whole or streamed: text, reasoning, calls, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offtarget.records import Message
from offtarget.records.answers import Finish, ToolCall
from offtarget.records.exchanges import Api
from offtarget.serve.monitor.events import DONE, loaded, objects_of


class Unreadable(Exception):
    """An exchange that cannot be scored; the text says why, in the same words for all of its kind."""

    def __init__(self, why: str, *, of_answer: bool = True) -> None:
        """`of_answer`: whether the answer is why, and not the request or the way between, which are no arm's doing."""
        super().__init__(why)
        self.of_answer = of_answer


BROKEN = "the answer is not what the endpoint gives"
ERROR = "the answer holds an error"
EMPTY = "the answer has no choice"
UNFINISHED = "the stream ended before the answer did"
_REASONING = ("reasoning_content", "reasoning", "thinking")
_ENDS: Mapping[str, Finish] = {"length": "length", "content_filter": "content_filter", "refusal": "refusal"}
_DELTAS = {"response.output_text.delta": "content", "response.refusal.delta": "refusal"}
"""Events of /v1/responses that bring a piece of an answer, and the field of `Spoken` that takes it."""


@dataclass(slots=True)
class Spoken:
    """One choice of an answer, as far as it was put together."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    ended: str | None = None

    @property
    def message(self) -> Message:
        """As a turn of the assistant; a refusal in a field of its own is part of what it says."""
        calls = tuple(
            ToolCall(one.get("name", ""), one.get("arguments", ""), one.get("id", ""))
            for _, one in sorted(self.calls.items())
        )
        said = "".join(self.content)
        refused = "".join(self.refusal)
        content = "\n".join(part for part in (said, refused) if part)
        return Message("assistant", content, reasoning="".join(self.reasoning), calls=calls)

    @property
    def finish(self) -> Finish:
        """How it ended, in this package's words."""
        return "refusal" if any(self.refusal) else _ENDS.get(self.ended or "", "stop")


def spoken(api: Api, body: bytes, streamed: bool, *, so_far: bool = False) -> Spoken:
    """The first choice of an answer; `so_far`: as much as there is of a stream that broke off. Raises Unreadable."""
    if streamed:
        return (_responses_stream if api == "responses" else _stream)(body, so_far)
    value = loaded(body)
    if not isinstance(value, dict):
        raise Unreadable(BROKEN)
    if value.get("error"):
        raise Unreadable(ERROR)
    return _response(value) if api == "responses" else _whole(value)


def _whole(value: Mapping[str, Any]) -> Spoken:
    choice = _first(value.get("choices"))
    if choice is None:
        raise Unreadable(EMPTY if value.get("choices") == [] else BROKEN)
    found = Spoken(ended=_text_or_none(choice.get("finish_reason")))
    message = choice.get("message")
    if isinstance(message, dict):
        _take(found, message)
    elif isinstance(choice.get("text"), str):
        found.content.append(choice["text"])
    else:
        raise Unreadable(BROKEN)
    return found


def _stream(body: bytes, so_far: bool) -> Spoken:
    found, seen, done = Spoken(), False, False
    lowest: int | None = None
    choices: list[tuple[int, dict[str, Any]]] = []
    for event in objects_of(body):
        if event == DONE:
            done = True
            break
        if so_far and (not isinstance(event, dict) or event.get("error")):
            break  # where it broke off
        if not isinstance(event, dict):
            raise Unreadable(BROKEN)
        if event.get("error"):
            raise Unreadable(ERROR)
        for choice in _objects(event.get("choices")):
            index = choice.get("index", 0)
            if not isinstance(index, int):
                raise Unreadable(BROKEN)
            seen = True
            lowest = index if lowest is None else min(lowest, index)
            choices.append((index, choice))
    if not seen:
        raise Unreadable(EMPTY)
    for index, choice in choices:
        if index != lowest:
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            _take(found, delta)
        elif isinstance(choice.get("text"), str):
            found.content.append(choice["text"])
        found.ended = _text_or_none(choice.get("finish_reason")) or found.ended
    if found.ended is None and not done and not so_far:
        raise Unreadable(UNFINISHED)
    return found


def _take(found: Spoken, said: Mapping[str, Any]) -> None:
    """What a message, or one delta of it, adds."""
    found.content += _texts(said.get("content"))
    for name in _REASONING:
        if isinstance(said.get(name), str) and said[name]:
            found.reasoning.append(said[name])
            break
    if isinstance(said.get("refusal"), str):
        found.refusal.append(said["refusal"])
    calls = _objects(said.get("tool_calls"))
    if isinstance(said.get("function_call"), dict):
        calls = [{"index": 0, "function": said["function_call"]}]
    for place, call in enumerate(calls):
        index = call.get("index", place)
        held = found.calls.setdefault(index if isinstance(index, int) else place, {})
        function = call.get("function") if isinstance(call.get("function"), dict) else call.get("custom")
        parts = [("id", call.get("id"))]
        if isinstance(function, dict):
            parts += [("name", function.get("name")), ("arguments", function.get("arguments", function.get("input")))]
        for name, value in parts:
            if isinstance(value, str):
                held[name] = value if name == "id" else held.get(name, "") + value


def _response(value: Mapping[str, Any]) -> Spoken:
    """An answer of /v1/responses."""
    if value.get("status") in ("failed", "cancelled", "queued", "in_progress"):
        raise Unreadable(ERROR if value["status"] == "failed" else UNFINISHED)
    if not isinstance(value.get("output"), list):
        raise Unreadable(BROKEN)
    found = Spoken(ended="stop")
    details = value.get("incomplete_details")
    if value.get("status") == "incomplete" and isinstance(details, dict):
        found.ended = "content_filter" if details.get("reason") == "content_filter" else "length"
    for item in _objects(value["output"]):
        kind = item.get("type")
        if kind == "message":
            for part in _objects(item.get("content")):
                if part.get("type") == "refusal" and isinstance(part.get("refusal"), str):
                    found.refusal.append(part["refusal"])
                else:
                    found.content += _texts([part])
        elif kind == "reasoning":
            found.reasoning += _texts(item.get("content")) + _texts(item.get("summary"))
        elif kind in ("function_call", "custom_tool_call"):
            said = {"name": item.get("name"), "arguments": item.get("arguments", item.get("input"))}
            said["id"] = item.get("call_id")
            found.calls[len(found.calls)] = {name: one for name, one in said.items() if isinstance(one, str)}
    if not (found.content or found.refusal or found.reasoning or found.calls) and not value["output"]:
        raise Unreadable(EMPTY)
    return found


def _responses_stream(body: bytes, so_far: bool) -> Spoken:
    """The last event of a stream of /v1/responses holds the answer whole; before it the text comes in deltas."""
    begun = Spoken()
    for event in objects_of(body):
        if event == DONE or (so_far and not isinstance(event, dict)):
            break
        if not isinstance(event, dict):
            raise Unreadable(BROKEN)
        kind, response = event.get("type"), event.get("response")
        if kind in ("error", "response.failed") or event.get("error"):
            if so_far:
                break
            raise Unreadable(ERROR)
        if kind in _DELTAS and isinstance(event.get("delta"), str):
            getattr(begun, _DELTAS[kind]).append(event["delta"])
        if kind in ("response.completed", "response.incomplete"):
            if not isinstance(response, dict):
                raise Unreadable(BROKEN)
            return _response(response)
    if so_far:
        return begun
    raise Unreadable(UNFINISHED)


def _texts(content: Any) -> list[str]:
    """Content as text: a string, or the text of a list of parts."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in _objects(content) if isinstance(part.get("text"), str)]


def _first(choices: Any) -> dict[str, Any] | None:
    """The choice with the lowest number: which one counts is settled before it is known."""
    index: Callable[[dict[str, Any]], int] = lambda one: n if isinstance(n := one.get("index", 0), int) else 0  # noqa: E731
    return min(_objects(choices), key=index, default=None)


def _objects(value: Any) -> Sequence[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
