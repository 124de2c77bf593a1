"""Requests that wait for a model are sampled together: one thread, one batch at a time, a bounded line."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from offtarget.errors import InputError
from offtarget.models.chat import Answer, ChatModel, PromptHolder, SampleRequest
from offtarget.records import SamplingSettings

WAITING = 512
"""Requests that may wait; beyond them clients are told to come again."""
TOGETHER = 64
"""Answers of one batch."""


class Full(Exception):
    """As many requests wait as may."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer, and how long its prompt was."""

    answer: Answer
    prompt_tokens: int
    """0 where the model cannot tell."""


@dataclass(slots=True)
class _Wanted:
    model: str
    request: SampleRequest
    settings: SamplingSettings
    future: Future[Sampled] = field(default_factory=Future)
    prompt_tokens: int = 0


class Batches:
    """Samples what is asked of some models. Safe in threads; weights are used by its own thread alone."""

    def __init__(self, models: Mapping[str, ChatModel], waiting: int = WAITING, together: int = TOGETHER) -> None:
        self._models, self._most, self._together = models, waiting, together
        self._line: deque[_Wanted] = deque()
        self._change = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="sampling", daemon=True)
        self._thread.start()

    def ask(self, model: str, request: SampleRequest, settings: SamplingSettings) -> Future[Sampled]:
        """An answer to come. Raises Full. A future that is cancelled while it waits is never sampled.

        The future raises InputError for a chat that the model cannot be asked.
        """
        wanted = _Wanted(model, request, settings)
        with self._change:
            self._line = deque(one for one in self._line if not one.future.cancelled())
            if len(self._line) >= self._most:
                raise Full
            self._line.append(wanted)
            self._change.notify()
        return wanted.future

    def close(self) -> None:
        """Take no more; what waits is given up."""
        with self._change:
            self._ended = True
            for wanted in self._line:
                wanted.future.cancel()
            self._line.clear()
            self._change.notify()
        self._thread.join(5)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            ready = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if ready:
                self._sample(ready)

    def _next(self) -> list[_Wanted] | None:
        """The request that waited longest, with others that can be sampled beside it."""
        with self._change:
            while not self._line and not self._ended:
                self._change.wait()
            if self._ended:
                return None
            first = self._line[0]
            batch: list[_Wanted] = []
            rest: deque[_Wanted] = deque()
            for one in self._line:
                alike = (one.model, one.settings) == (first.model, first.settings)
                (batch if alike and len(batch) < self._together else rest).append(one)
            self._line = rest
            return batch

    def _sample(self, batch: list[_Wanted]) -> None:
        model, settings = self._models[batch[0].model], batch[0].settings
        asked = [one for one in batch if _fits(model, one)]

        def done(index: int, answer: Answer) -> None:
            one = asked[index]
            if not one.future.done():
                one.future.set_result(Sampled(answer, one.prompt_tokens))

        try:
            if asked:
                model.sample([one.request for one in asked], settings, done)
        except Exception as error:  # the thread goes on whatever one batch met
            for one in asked:
                if not one.future.done():
                    one.future.set_exception(error)


def _fits(model: ChatModel, wanted: _Wanted) -> bool:
    """Whether a model can be asked that: one chat that it cannot be must not end a batch of others."""
    if not isinstance(model, PromptHolder):
        return True
    context = getattr(model, "context", None)
    try:
        wanted.prompt_tokens = model.prompt_length(wanted.request.messages)
        if context is not None and wanted.prompt_tokens >= context:
            raise InputError(
                f"The chat has {wanted.prompt_tokens} tokens, and the model takes {context} with its answer."
            )
    except Exception as error:
        wanted.future.set_exception(error)
        return False
    return True
