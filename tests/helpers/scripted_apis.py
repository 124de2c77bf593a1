"""A server on loopback that speaks the protocols of Anthropic, OpenAI and Google as far as a chat needs them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret-key-0123456789"


class ScriptedApis(ThreadingHTTPServer):
    """Answers what `script` says of (model, system turn, turns, request); remembers every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: Callable[[str, str, list[str], dict[str, Any]], str] = lambda model, system, turns, body: "Fine."
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Path and body of each."""
        self.fail: Callable[[str, dict[str, Any], int], tuple[int, dict[str, str], str] | None] = lambda p, b, n: None
        """(path, body, number of the request) -> status, headers and words of a refusal; None: it is answered."""
        self.stop = "end"
        """`end`, `length` or `filter`."""
        self.logprobs: list[tuple[str, float]] | None = None
        """Alternatives of the first token, for the OpenAI protocol."""
        self.keys: set[str] = set()
        self.latency = 0.0
        self.lock = threading.Lock()
        self.busy = self.most_busy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedApis
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append((self.path, body))
            number = len(server.requests)
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
            key = self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or ""
            server.keys.add(key or str(self.headers.get("Authorization")).removeprefix("Bearer "))
        time.sleep(server.latency)
        try:
            failure = server.fail(self.path, body, number)
            if failure is not None:
                status, headers, said = failure
                self._send(status, _error(self.path, status, said), headers)
            else:
                self._send(200, _reply(self.path, body, server), {})
        finally:
            with server.lock:
                server.busy -= 1

    def _send(self, status: int, value: object, headers: dict[str, str]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, content in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(data)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _error(path: str, status: int, said: str) -> object:
    if path.endswith("/messages"):
        return {"type": "error", "error": {"type": "error", "message": said}}
    return {"error": {"code": status, "message": said, "status": "ERROR", "type": "error"}}


def _reply(path: str, body: dict[str, Any], server: ScriptedApis) -> object:
    if path.endswith("/messages"):
        system, turns = _text(body.get("system", "")), [_text(m["content"]) for m in body["messages"]]
        text = server.script(body["model"], system, turns, body)
        reason = {"end": "end_turn", "length": "max_tokens", "filter": "refusal"}[server.stop]
        content = [{"type": "text", "text": text}] if text else []
        usage = {"input_tokens": _tokens([system, *turns]), "output_tokens": len(text.split())}
        made = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content}
        return {**made, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    if ":generateContent" in path:
        system = _text(body.get("systemInstruction", {}).get("parts", []))
        turns = [_text(c["parts"]) for c in body["contents"]]
        text = server.script(path.rpartition("/")[2].partition(":")[0], system, turns, body)
        reason = {"end": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}[server.stop]
        parts = [{"text": text}] if text else []
        read, wrote = _tokens([system, *turns]), len(text.split())
        usage = {"promptTokenCount": read, "candidatesTokenCount": wrote, "totalTokenCount": read + wrote}
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
    turns = [_text(m["content"]) for m in body["messages"] if m["role"] != "system"]
    system = "".join(_text(m["content"]) for m in body["messages"] if m["role"] == "system")
    text = server.script(body["model"], system, turns, body)
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    choice["finish_reason"] = {"end": "stop", "length": "length", "filter": "content_filter"}[server.stop]
    if body.get("logprobs") and server.logprobs is not None:
        top = [{"token": token, "logprob": value, "bytes": None} for token, value in server.logprobs]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    read, wrote = _tokens([system, *turns]), len(text.split())
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def _tokens(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


@contextmanager
def scripted_apis() -> Iterator[ScriptedApis]:
    """The server, at work as long as the block lasts."""
    server = ScriptedApis()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
