"""A chat completions server on loopback over local models, with the faults that real servers have."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from weakref import WeakKeyDictionary

import torch

from offtarget.models.local import LocalModel

MOST_LOGPROBS = 20
Said = tuple[list[int], list[dict[str, Any]], str]
"""Tokens of an answer, log probabilities for each and for the one that ends it, and why it ends."""
_SAID: WeakKeyDictionary[LocalModel, dict[Any, Said]] = WeakKeyDictionary()
"""What models have said, so that servers of the same models need not work it out again."""


class ModelServer(ThreadingHTTPServer):
    """Greedy answers of local models by their names, with log probabilities unless `logprobs` is off."""

    daemon_threads = True

    def __init__(
        self, models: Mapping[str, LocalModel], *, logprobs: bool = True, system: str = "", **own: Any
    ) -> None:
        """`system` is a system turn that the server's template adds; `noise` the size of its rounding, in nats."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = dict(models)
        self.logprobs = logprobs
        self.system = system
        self.noise: float = own.get("noise", 0.0)
        self.silent = False
        """Whether replies hold no words, as where all tokens go into thinking."""
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.random = torch.Generator().manual_seed(0)

    @property
    def address(self) -> str:
        """What <SERVICE>_BASE_URL is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        """One completion. KeyError for a model that is not served."""
        model = self.models[body["model"]]
        tokenizer = model.weights.tokenizer
        turns = [{"role": "system", "content": self.system}] if self.system else []
        text = tokenizer.apply_chat_template([*turns, *body["messages"]], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        how = (tuple(prompt), min(body.get("max_tokens") or 16, 64), min(body.get("top_logprobs") or 1, MOST_LOGPROBS))
        said = {} if self.noise else _SAID.setdefault(model, {})
        if how not in said:
            said[how] = self._greedy(model, *how)
        tokens, places, finish = said[how]
        answer = tokenizer.decode(tokens, skip_special_tokens=True)
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": finish,
            "message": {"role": "assistant", "content": "" if self.silent else answer},
        }
        if body.get("logprobs") and self.logprobs:
            choice["logprobs"] = {"content": places}
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(tokens)}
        usage["total_tokens"] = len(prompt) + len(tokens)
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"]}
        return {**head, "choices": [choice], "usage": usage}

    def _greedy(self, model: LocalModel, prompt: tuple[int, ...], most: int, top: int) -> Said:
        tokenizer = model.weights.tokenizer
        tokens: list[int] = []
        places: list[dict[str, Any]] = []
        with model.weights.using(model.adapter) as engine, torch.inference_mode():
            while len(tokens) < most:
                logits = engine.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, -1].float()
                if self.noise:
                    logits = logits + self.noise * torch.randn(logits.shape, generator=self.random)
                log_p = logits.log_softmax(dim=-1)
                chosen = int(log_p.argmax())
                likely = log_p.topk(top)
                pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
                places.append(
                    {
                        "token": tokenizer.decode([chosen]),
                        "logprob": float(log_p[chosen]),
                        "top_logprobs": [{"token": tokenizer.decode([t]), "logprob": v} for t, v in pairs],
                    }
                )
                if chosen in model._ends:
                    return tokens, places, "stop"
                tokens.append(chosen)
        return tokens, places, "length"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:  # one model at a time: adapters are switched in place
            self.server.asked.append(body)
            try:
                reply, status = self.server.reply(body), 200
            except KeyError:
                reply, status = {"error": {"message": f"The model '{body['model']}' does not exist."}}, 404
        self._send(status, reply)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def served(models: Mapping[str, LocalModel], **how: Any) -> Iterator[ModelServer]:
    """The server, running; it ends with the block."""
    server = ModelServer(models, **how)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
