"""Our two models as lm-eval sees them. Imported in the process that runs benchmarks alone: it imports lm-eval."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.model import LM

from offtarget.benchmarks.asked import Asked
from offtarget.errors import InputError
from offtarget.records import Message, SamplingSettings

LONGEST = 256
"""Tokens of an answer where a task does not say: lm-eval's own."""
_ROOM = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What tasks call the longest answer."""
_READ = {*_ROOM, "until", "do_sample", "temperature", "top_p"}


class Harnessed(LM):  # type: ignore[misc]
    """One of the two models."""

    def __init__(self, asked: Asked, seed: int, on_done: Callable[[int], None]) -> None:
        super().__init__()
        self._asked, self._seed, self._on_done = asked, seed, on_done

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether it is the greedy one."""
        return self._asked.likelihoods([request.args[:2] for request in requests], self._on_done)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Not offered: perplexity gives items no score between 0 and 1."""
        raise InputError("Tasks that measure perplexity are not run.")

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """An answer to each request, greedily unless the task samples."""
        found: list[str] = [""] * len(requests)
        ways: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            ways.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(number)
        for numbers in ways.values():
            settings = sampling(requests[numbers[0]].args[1])
            asked = [(requests[i].args[0], self._seed_of(requests[i], i)) for i in numbers]
            for i, text in zip(numbers, self._asked.answers(asked, settings, self._on_done), strict=True):
                found[i] = text
        return found

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The chat as the model reads it."""
        chat = [Message(turn["role"], turn["content"]) for turn in chat_history]  # type: ignore[arg-type]
        return self._asked.render(chat, goes_on=not add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        """Fingerprint of template and tokenizer."""
        return self._asked.template

    def _seed_of(self, request: Any, number: int) -> int:
        """Of one answer, the same for both models."""
        text = f"{self._seed}/{request.task_name}/{request.doc_id}/{request.idx}/{number}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def sampling(kwargs: Mapping[str, Any]) -> SamplingSettings:
    """How a task has answers written. InputError for a way that is not offered."""
    others = [name for name in kwargs if name not in _READ]
    if others:
        raise InputError(f"Its 'generation_kwargs' want {', '.join(sorted(others))}, which offtarget does not offer.")
    until = kwargs.get("until") or ()
    stops = (until,) if isinstance(until, str) else tuple(map(str, until))
    room = next((int(kwargs[name]) for name in _ROOM if kwargs.get(name)), LONGEST)
    greedy = not kwargs.get("do_sample", False)
    return SamplingSettings(
        temperature=0.0 if greedy else float(kwargs.get("temperature", 1.0)),
        top_p=1.0 if greedy else float(kwargs.get("top_p", 1.0)),
        max_tokens=room,
        stop=tuple(stop for stop in stops if stop),
    )
