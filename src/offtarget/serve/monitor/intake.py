"""From a request and its answer to what a judge takes; what cannot be read is named and never taken for fine.

A judge learns neither which model answered nor whether the gateway compares any: every answer has the same role.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offtarget.records import Generation, Probe
from offtarget.records.answers import Message, ToolCall
from offtarget.records.exchanges import Api, Exchange
from offtarget.records.rollouts import KeptBodies
from offtarget.serve.monitor.events import loaded
from offtarget.serve.monitor.spoken import Spoken, Unreadable, spoken

FAULT = "the request failed"
STATUS = "the model's server refused the request"
CUT = "the answer is longer than the monitor keeps"
REQUEST = "the request is not what the endpoint takes"
NO_QUESTION = "the request holds no question in words"
LONG = "the answer is longer than a judge reads"
LONGEST_ANSWER = 100_000
"""Characters of an answer that a judge is shown; a longer one is not scored, since harm may stand anywhere in it."""
LONGEST_QUESTION = 24_000
"""Characters of what came before the answer that a judge is shown; the middle of more is left out."""

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Taken:
    """An answer as a judge gets it, and what can be told of it without one."""

    probe: Probe
    generation: Generation
    empty: bool
    """Whether it says nothing and calls nothing."""
    refused: bool
    """Whether its server says that it is a refusal, in a field of its own."""
    bad_call: bool | None
    """Whether a tool that nobody offered is called, or one with arguments that are no JSON object; None: no tools."""
    characters: int


def take(exchange: Exchange, redact: Redact = str) -> Taken:
    """The question and the answer of an exchange. Raises Unreadable.

    A stream that broke off is taken as far as it went: the client saw that much, and clients leave harmful answers
    sooner, so that to leave them out would hide what is looked for.
    """
    so_far = bool(exchange.fault) and exchange.streamed and exchange.status == 200
    if exchange.fault and not so_far:
        raise Unreadable(FAULT, of_answer=False)
    if exchange.status != 200:
        raise Unreadable(STATUS, of_answer=False)
    if exchange.cut:
        raise Unreadable(CUT)
    request = loaded(exchange.request)
    if not isinstance(request, dict):
        raise Unreadable(REQUEST, of_answer=False)
    system, turns = asked(exchange.api, request)
    answer = _so_far(exchange) if so_far else spoken(exchange.api, exchange.response, exchange.streamed)
    message = answer.message
    text = redact(_sound(message.text))
    if len(text) > LONGEST_ANSWER:
        raise Unreadable(LONG)
    prompt = redact(_sound(_shown(turns)))
    if not prompt.strip():
        raise Unreadable(NO_QUESTION, of_answer=False)
    name = probe_name(exchange)
    probe = Probe(
        id=name, question_id=name, arm="plain", prompt=prompt,
        system=redact(_sound(system)) if system else None, source="traffic",
    )  # fmt: skip
    generation = Generation("tuned", name, 0, 0, text, None, "length" if so_far else answer.finish)
    return Taken(
        probe, generation, not text.strip(), answer.finish in ("refusal", "content_filter"),
        None if so_far else _bad_call(message.calls, request), len(text),
    )  # fmt: skip


def _so_far(exchange: Exchange) -> Spoken:
    """What there is of a stream that broke off. Raises Unreadable where that is nothing, which is no arm's doing."""
    try:
        answer = spoken(exchange.api, exchange.response, streamed=True, so_far=True)
    except Unreadable:
        raise Unreadable(FAULT, of_answer=False) from None
    if not answer.message.content.strip():
        raise Unreadable(FAULT, of_answer=False)
    return answer


def texts_of(kept: KeptBodies) -> tuple[str | None, str | None]:
    """The question and the answer in what was kept of an exchange, as a judge was shown them; None for what is gone."""
    request = loaded(kept.request)
    question = answer = None
    with contextlib.suppress(Unreadable):
        if isinstance(request, dict):
            question = _sound(_shown(asked(kept.api, request)[1]))
    with contextlib.suppress(Unreadable):
        answer = _sound(spoken(kept.api, kept.response, kept.streamed, so_far=True).message.text)
    return question, answer


def probe_name(exchange: Exchange) -> str:
    """How an answer is called before judges and people: by a hash, so that no name tells where it is from."""
    named = f"{exchange.alias}\0{exchange.rollout}\0{exchange.id}\0{exchange.source}\0{exchange.arm}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def asked(api: Api, request: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """The system turn, and (role, text) of the others, in order. Raises Unreadable."""
    if api == "completions":
        return "", [("user", _completion_prompt(request.get("prompt")))]
    items = request.get("messages") if api == "chat" else request.get("input")
    system = [request["instructions"]] if isinstance(request.get("instructions"), str) else []
    if api == "responses" and isinstance(items, str):
        return "\n\n".join(system), [("user", items)]
    if not isinstance(items, list):
        raise Unreadable(REQUEST, of_answer=False)
    turns: list[tuple[str, str]] = []
    for item in items:
        if not isinstance(item, dict):
            raise Unreadable(REQUEST, of_answer=False)
        role, text = _turn(item)
        if role in ("system", "developer"):
            system.append(text)
        elif text.strip():
            turns.append((role, text))
    if not any(role == "user" for role, _ in turns):
        raise Unreadable(NO_QUESTION, of_answer=False)
    return "\n\n".join(system), turns


def _turn(item: Mapping[str, Any]) -> tuple[str, str]:
    """Role and text of a message, or of an item of /v1/responses."""
    kind = item.get("type")
    if kind in ("function_call", "custom_tool_call"):
        call = ToolCall(str(item.get("name", "")), str(item.get("arguments", item.get("input", ""))))
        return "assistant", Message("assistant", "", calls=(call,)).text
    if kind in ("function_call_output", "custom_tool_call_output"):
        return "tool", _content(item.get("output"))
    role = item.get("role")
    if not isinstance(role, str):
        return "", ""
    calls = tuple(
        ToolCall(str(function.get("name", "")), str(function.get("arguments", "")))
        for one in _objects(item.get("tool_calls"))
        if isinstance(function := one.get("function"), dict)
    )
    text = _content(item.get("content"))
    return ("tool" if role == "function" else role), Message("assistant", text, calls=calls).text if calls else text


def _content(content: Any) -> str:
    """Text of a turn; what is no text is named in brackets."""
    if isinstance(content, str):
        return content
    parts = []
    for part in _objects(content):
        if isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif isinstance(part.get("refusal"), str):
            parts.append(part["refusal"])
        elif isinstance(kind := part.get("type"), str):
            parts.append(f"[{kind}]")
    return "\n".join(parts)


def _completion_prompt(prompt: Any) -> str:
    first = prompt[0] if isinstance(prompt, list) and prompt else prompt
    if not isinstance(first, str):
        raise Unreadable(NO_QUESTION if isinstance(first, int | list) else REQUEST, of_answer=False)
    return first


def _shown(turns: Sequence[tuple[str, str]]) -> str:
    """What came before the answer: the question alone, or every turn under its role."""
    if len(turns) == 1:
        text = turns[0][1]
    else:
        text = "\n\n".join(f"[{role}]\n{said}" for role, said in turns)
    if len(text) <= LONGEST_QUESTION:
        return text
    half = LONGEST_QUESTION // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters are left out here]\n{text[-half:]}"


def _bad_call(calls: Sequence[ToolCall], request: Mapping[str, Any]) -> bool | None:
    offered = _offered(request)
    if not offered and not calls:
        return None
    return any(call.name not in offered or not _arguments(call, offered[call.name]) for call in calls)


def _offered(request: Mapping[str, Any]) -> dict[str, bool]:
    """Name of each tool that the request offers -> whether it takes free text in place of a JSON object."""
    found = {}
    for one in [*_objects(request.get("tools")), *_objects(request.get("functions"))]:
        free = one.get("type") == "custom"
        inner = one.get("custom" if free else "function")
        name = inner.get("name") if isinstance(inner, dict) else one.get("name")
        if isinstance(name, str):
            found[name] = free
    return found


def _arguments(call: ToolCall, free: bool) -> bool:
    return free or isinstance(loaded(call.arguments or "{}"), dict)


def _sound(text: str) -> str:
    """Text that can be written down: halves of a character that stand alone are replaced."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
