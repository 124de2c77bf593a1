"""The ASGI app of served models: chat completions, streamed and not, and the list of models.

A streamed answer comes as one piece of content as soon as it is sampled whole: batches are sampled together.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any

from offtarget.errors import OfftargetError
from offtarget.models.chat import ChatModel
from offtarget.serve.models.batches import Batches, Full, Sampled
from offtarget.serve.models.requests import LONGEST, Asked, read_request

BODY_BYTES = 8 * 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ModelsApp:
    """Answers chats with the models given, by name; with a key, whoever lacks it gets 401."""

    def __init__(self, models: Mapping[str, ChatModel], key: str = "", longest: int = LONGEST) -> None:
        self._names, self._key, self._longest = tuple(models), key.encode(), longest
        self._batches = Batches(models)
        self._since = int(time.time())

    def close(self) -> None:
        """End the sampling."""
        self._batches.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix("/v1")
        if scope["method"] == "GET" and path == "/healthz":
            await _reply(send, 200, {"status": "ok"})
        elif not self._allowed(scope):
            await _reply(send, 401, _error("This server wants its key as a bearer token.", "invalid_api_key"))
        elif scope["method"] == "GET" and path == "/models":
            rows = [{"id": n, "object": "model", "created": self._since, "owned_by": "offtarget"} for n in self._names]
            await _reply(send, 200, {"object": "list", "data": rows})
        elif scope["method"] == "POST" and path == "/chat/completions":
            await self._chat(receive, send)
        else:
            await _reply(send, 404, _error(f"There is no {scope['method']} {scope['path'][:100]} here.", "not_found"))

    def _allowed(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return not self._key or hmac.compare_digest(given, b"Bearer " + self._key)

    async def _chat(self, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            await _reply(send, 413, _error("The body is longer than 8 MiB.", "too_large"))
            return
        try:
            asked = read_request(body, self._longest)
        except OfftargetError as error:
            await _reply(send, 400, _error(str(error), "invalid_request_error"))
            return
        if asked.model not in self._names:
            said = f"There is no model '{asked.model[:100]}' here, but: {', '.join(self._names)}."
            await _reply(send, 404, _error(said, "model_not_found"))
            return
        try:
            futures = [self._batches.ask(asked.model, one, asked.settings) for one in asked.requests()]
        except Full:
            said = "As many requests wait as may. Come again in a moment."
            await _reply(send, 503, _error(said, "overloaded", "server_error"), [(b"retry-after", b"1")])
            return
        waiting = asyncio.gather(*map(asyncio.wrap_future, futures))
        gone = asyncio.ensure_future(_gone(receive))
        both: set[asyncio.Future[Any]] = {waiting, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():  # the client left: what was not begun is never sampled
            waiting.cancel()
            for future in futures:
                future.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return
        gone.cancel()
        try:
            sampled = waiting.result()
        except OfftargetError as error:
            await _reply(send, 400, _error(str(error), "invalid_request_error"))
        except Exception:
            await _reply(send, 500, _error("The model failed at this request.", "model_failed", "server_error"))
        else:
            await _answer(send, asked, sampled)


async def _answer(send: Send, asked: Asked, sampled: list[Sampled]) -> None:
    made = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": asked.model}
    if not asked.stream:
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": one.answer.text},
                "logprobs": None,
                "finish_reason": one.answer.finish,
            }
            for number, one in enumerate(sampled)
        ]
        await _reply(send, 200, {**made, "object": "chat.completion", "choices": choices, "usage": _usage(sampled)})
        return
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in _events({**made, "object": "chat.completion.chunk"}, asked, sampled):
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _events(made: dict[str, Any], asked: Asked, sampled: list[Sampled]) -> Iterator[bytes]:
    for number, one in enumerate(sampled):
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        if one.answer.text:
            deltas.append(({"content": one.answer.text}, None))
        deltas.append(({}, one.answer.finish))
        for delta, finish in deltas:
            choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield _event({**made, "choices": [choice]})
    if asked.usage:
        yield _event({**made, "choices": [], "usage": _usage(sampled)})


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _usage(sampled: list[Sampled]) -> dict[str, int]:
    read, wrote = sampled[0].prompt_tokens, sum(one.answer.tokens for one in sampled)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _error(message: str, code: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def _reply(
    send: Send, status: int, value: Mapping[str, Any], headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
