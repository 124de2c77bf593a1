"""From one line of a log to the exchanges in it: our own form and that of LiteLLM, or OpenTelemetry's JSON.

docs/serve-elsewhere.md says what a line may hold. A line that cannot be read is a `BadLine`, whose text says why in the
same words for all of its kind.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offtarget.records.answers import Role
from offtarget.records.exchanges import Api, Exchange
from offtarget.serve.routing.keys import conversation_key
from offtarget.serve.traffic.otlp import Span, spans

NO_JSON = "it is no JSON"
NO_OBJECT = "it is no JSON object"
NO_ARM = "it does not say which model answered: `arm` (base or tuned), or `model`"
NO_QUESTION = "it holds no question: `request`, `messages`, `input` or `prompt`"
NO_ANSWER = "it holds no answer: `response` or `answer`"
NO_MESSAGES = "a span holds no messages: switch on that your instrumentation records the content of messages"
BAD_ARM = "`arm` is neither base nor tuned"

_ASKED = ("messages", "input", "prompt")


class BadLine(Exception):
    """A line of which nothing can be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Arms:
    """By which names of models a log tells base and tuned apart; a line that says `arm` needs none."""

    base: frozenset[str] = frozenset()
    tuned: frozenset[str] = frozenset()

    def of(self, *names: Any) -> Role | None:
        """The first that is known."""
        for name in names:
            if isinstance(name, str) and name in self.tuned:
                return "tuned"
            if isinstance(name, str) and name in self.base:
                return "base"
        return None


@dataclass(frozen=True, slots=True)
class Read:
    """What a line held."""

    exchanges: tuple[Exchange, ...] = ()
    passed_over: int = 0
    """Answers of other models, and spans that are no question to a model."""
    others: tuple[str, ...] = ()
    """Names of those other models."""
    bad: tuple[str, ...] = ()
    """Why parts of the line could not be read."""


def read_line(text: bytes, arms: Arms, alias: str, rollout: int, now: float) -> Read:
    """The exchanges of a line; `now` (Unix seconds) stands where it says no time. Raises BadLine."""
    if not text.strip():
        return Read()
    try:
        return _read(json.loads(text), text, arms, alias, rollout, now)
    except (ValueError, RecursionError):
        raise BadLine(NO_JSON) from None


def _read(value: Any, text: bytes, arms: Arms, alias: str, rollout: int, now: float) -> Read:
    if not isinstance(value, dict):
        raise BadLine(NO_OBJECT)
    if "resourceSpans" in value or "resource_spans" in value:
        return _spans(value, arms, alias, rollout, now)
    arm = _arm(value, arms)
    if arm is None:
        return Read(passed_over=1, others=_named(value)[:1])
    return Read((_plain(value, arm, text, alias, rollout, now),))


def _arm(value: Mapping[str, Any], arms: Arms) -> Role | None:
    """None: of another model. Raises BadLine."""
    said = value.get("arm")
    if said in ("base", "tuned"):
        return said  # type: ignore[no-any-return]
    if said is not None:
        raise BadLine(BAD_ARM)
    names = _named(value)
    if not names:
        raise BadLine(NO_ARM)
    return arms.of(*names)


def _named(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of models that a line holds: first that of the one that answered."""
    request, response = _object(value.get("request")), _object(value.get("response"))
    names = [value.get("model"), response.get("model"), request.get("model"), value.get("model_group")]
    return tuple(name for name in names if isinstance(name, str))


def _plain(value: Mapping[str, Any], arm: Role, text: bytes, alias: str, rollout: int, now: float) -> Exchange:
    request: dict[str, Any] = dict(_object(value.get("request")) or {n: value[n] for n in _ASKED if value.get(n)})
    if not any(request.get(name) for name in _ASKED):
        raise BadLine(NO_QUESTION)
    for name in ("user", "metadata", "tools", "functions", "instructions"):
        if name in value and name not in request:
            request[name] = value[name]
    status = _status(value)
    response = _response(value, request) if status == 200 else {}
    api: Api = "responses" if "output" in response else "chat" if "messages" in request else "completions"
    at = next(
        (t for name in ("at", "startTime", "time", "timestamp") if (t := _time(value.get(name))) is not None), now
    )
    ended = _time(value.get("endTime"))
    total = _seconds(value.get("seconds")) or (0.0 if ended is None else max(0.0, ended - at))
    conversation = next(
        (str(value[n]) for n in ("conversation", "conversation_id", "session_id", "end_user") if value.get(n)), ""
    )
    return _exchange(
        _text_of(value.get("id")) or hashlib.sha256(text).hexdigest()[:32], alias, rollout, arm, conversation, request,
        response, api, status=status, at=at, first=_seconds(value.get("first_seconds")), total=total,
    )  # fmt: skip


def _response(value: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as the endpoint gives it. Raises BadLine."""
    said = value.get("response")
    if isinstance(said, dict) and any(name in said for name in ("choices", "output")):
        return said
    if isinstance(said, dict) and isinstance(said.get("content"), str | list):
        return {"choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}]}
    text = said if isinstance(said, str) else value.get("answer")
    if not isinstance(text, str):
        raise BadLine(NO_ANSWER)
    if "messages" not in request and "prompt" in request:
        return {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
    if "input" in request:
        part = {"type": "output_text", "text": text}
        return {"status": "completed", "output": [{"type": "message", "role": "assistant", "content": [part]}]}
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


def _spans(value: Mapping[str, Any], arms: Arms, alias: str, rollout: int, now: float) -> Read:
    found: list[Exchange] = []
    passed, bad = 0, list[str]()
    others: list[str] = []
    for span in spans(value):
        arm = span.arm if span.arm is not None else arms.of(*span.models)
        if not span.asks or arm is None:
            passed += 1
            others += span.models[:1] if span.asks else []
        elif not span.failed and (not span.request or not span.response):
            bad.append(NO_MESSAGES)
        else:
            found.append(_of_span(span, arm, alias, rollout, now))
    return Read(tuple(found), passed, tuple(others), tuple(bad))


def _of_span(span: Span, arm: Role, alias: str, rollout: int, now: float) -> Exchange:
    at = span.started or now
    total = max(0.0, span.ended - at) if span.ended else 0.0
    return _exchange(
        span.id, alias, rollout, arm, span.conversation, span.request, span.response, "chat",
        status=0 if span.failed else 200, at=at, first=span.first_seconds, total=total,
    )  # fmt: skip


def _exchange(
    identifier: str, alias: str, rollout: int, arm: Role, conversation: str, request: Mapping[str, Any],
    response: Mapping[str, Any], api: Api, *, status: int, at: float, first: float, total: float,
) -> Exchange:  # fmt: skip
    key = f"log:{conversation}".encode("utf-8", "surrogatepass")
    if not conversation:
        _, key = conversation_key(None, request, api, identifier)
    return Exchange(
        identifier, alias, rollout, arm, "share", "organic", hashlib.sha256(key).hexdigest(), api, at, first or total,
        total, status, False, _json(request), _json(response),
    )  # fmt: skip


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _status(value: Mapping[str, Any]) -> int:
    """HTTP status; 200 where nothing says otherwise, 0 for a failure without one."""
    said = value.get("status", 200)
    if isinstance(said, int) and not isinstance(said, bool):
        return said if 0 <= said <= 999 else 0
    return 200 if said in ("success", "ok", None) else 0


def _time(said: Any) -> float | None:
    """Unix seconds from a number or a date."""
    if isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said):
        return said / 1000 if said > 1e11 else float(said)  # milliseconds
    if isinstance(said, str):
        try:
            return datetime.fromisoformat(said).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return None


def _seconds(said: Any) -> float:
    good = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said) and said >= 0
    return float(said) if good else 0.0


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
