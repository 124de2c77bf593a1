"""Chat models behind any OpenAI-compatible endpoint, through the `openai` SDK (extra `remote`)."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.names import RemoteName
from offtarget.records import Message, SamplingSettings

TOP_LOGPROBS = 20
"""Most first-token alternatives the API gives."""


class RemoteModel:
    """A `ChatModel` and `NumberScorer` over chat completions; at most `connections` requests at a time.

    Seeds are sent, but whether a server heeds them, and whether its weights change, is its own affair: the
    fingerprint covers endpoint and model name only. The key is in the client alone, never in names or messages.
    """

    def __init__(self, name: RemoteName, client: Any, connections: int = 8) -> None:
        self._name = name
        self._client = client
        self._connections = connections
        self._logprobs_offered = True
        # OpenAI itself has renamed the argument; most other servers know the old name only.
        own = name.service == "openai" and "api.openai.com" in str(client.base_url)
        self._length_argument = "max_completion_tokens" if own else "max_tokens"

    @classmethod
    def open(cls, name: RemoteName, connections: int = 8, timeout: float = 120.0, retries: int = 4) -> RemoteModel:
        """Read address and key from the environment: OPENAI_BASE_URL and OPENAI_API_KEY, or the service's own.

        InputError when they are missing; PrerequisiteError without the `openai` package.
        """
        try:
            import openai
        except ImportError:
            raise PrerequisiteError.for_extra("openai", "remote", "A remote model") from None
        address, key = _endpoint(name)
        client = openai.OpenAI(base_url=address, api_key=key, timeout=timeout, max_retries=retries)
        return cls(name, client, connections)

    def __repr__(self) -> str:
        return f"RemoteModel({self._name.text!r})"

    @property
    def name(self) -> str:
        """The name the user gave."""
        return self._name.text

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the endpoint's address and the model's name there."""
        text = f"remote|{self._client.base_url}|{self._name.model}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """One answer per request, in request order; `on_answer` is called in the calling thread.

        InputError when the endpoint refuses, cannot be reached after all retries, or answers without text.
        """
        answers: list[Answer | None] = [None] * len(requests)
        waiting: dict[Future[Answer], int] = {}
        todo = iter(enumerate(requests))
        with ThreadPoolExecutor(self._connections) as pool:
            try:
                while True:
                    while len(waiting) < self._connections and (item := next(todo, None)) is not None:
                        waiting[pool.submit(self._ask, item[1], settings)] = item[0]
                    if not waiting:
                        break
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        index = waiting.pop(future)
                        answers[index] = answer = future.result()
                        if on_answer is not None:
                            on_answer(index, answer)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [answer for answer in answers if answer is not None]

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """Probability of each reply as the first token of the answer, from the 20 most probable ones.

        Replies of several tokens and replies beyond the first 20 are absent, and everything is where the server
        offers no log probabilities. Tokens that differ only in surrounding blanks count together.
        """
        if not self._logprobs_offered:
            return {}
        response = self._request(
            messages=_turns(messages),
            **{self._length_argument: 1},
            temperature=1.0,
            seed=0,
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
        )
        given = getattr(response.choices[0], "logprobs", None) if response.choices else None
        tokens = (given.content or []) if given is not None else []
        if not tokens:
            self._logprobs_offered = False
            return {}
        wanted = set(replies)
        found: dict[str, float] = {}
        for top in tokens[0].top_logprobs or []:
            text = top.token.strip()
            if text in wanted:
                found[text] = found.get(text, 0.0) + math.exp(top.logprob)
        return found

    def _ask(self, request: SampleRequest, settings: SamplingSettings) -> Answer:
        extra: dict[str, Any] = {"stop": list(settings.stop)} if settings.stop else {}
        response = self._request(
            messages=_turns(request.messages),
            temperature=settings.temperature,
            top_p=settings.top_p,
            **{self._length_argument: settings.max_tokens},
            # Many servers keep seeds in 32 bits.
            seed=request.seed % 2**31,
            **extra,
        )
        if not response.choices:
            raise InputError(f"{self.name} answered without a choice; the endpoint does not work as expected.")
        choice = response.choices[0]
        text = choice.message.content or ""
        usage = response.usage.completion_tokens if response.usage is not None else len(text.split())
        return Answer(text, usage, "length" if choice.finish_reason == "length" else "stop")

    def _request(self, **arguments: Any) -> Any:
        import openai

        try:
            return self._client.chat.completions.create(model=self._name.model, **arguments)
        except openai.OpenAIError as error:
            raise InputError(self._explain(error)) from None
        except ValueError:  # the SDK lets the error of its JSON reader through
            raise InputError(
                f"{self.name} answered with something that is no JSON. Check that the address is that of its API."
            ) from None

    def _explain(self, error: Exception) -> str:
        """What went wrong and what to do, with the key cut out of whatever the server said."""
        status = getattr(error, "status_code", None)
        advice = {
            401: "Check the API key.",
            403: "The key may not use this model.",
            404: f"Check the model name '{self._name.model}' and the address.",
            429: "The rate limit held after all retries; ask with fewer connections.",
        }.get(status or 0, "Check the address and that the server runs.")
        said = str(getattr(error, "message", "")).replace(self._client.api_key, "[key]")[:300]
        host = re.sub(r"//[^/@]*@", "//", str(self._client.base_url))
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        return f"{self.name} at {host} failed ({kind}: {said}). {advice}"


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def _endpoint(name: RemoteName) -> tuple[str | None, str]:
    prefix = re.sub(r"[^A-Z0-9]", "_", name.service.upper())
    address, key = os.environ.get(f"{prefix}_BASE_URL"), os.environ.get(f"{prefix}_API_KEY")
    if address is None and name.service != "openai":
        default = "http://localhost:8000/v1"
        raise InputError(f"{name.text} needs the server's address: set {prefix}_BASE_URL, e.g. to {default}")
    if key is None and name.service == "openai" and address is None:
        raise InputError(f"{name.text} needs a key: set {prefix}_API_KEY (or {prefix}_BASE_URL for a local server).")
    # Servers of one's own often want no key, but the SDK refuses to start without one.
    return address, key or "none"
