"""A scripted model for tests: yours and ours. No weights, no network, every request remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from offtarget.errors import InputError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.records import Message, SamplingSettings

Script = Mapping[str, Sequence[str]] | Callable[[SampleRequest], str]
"""Answers by the last user turn (picked by seed), or a function of the request."""


class ScriptedModel:
    """A `ChatModel` that answers from a script, and a `NumberScorer` where `probabilities` are given.

    `script` is `{last user turn: [answers]}`, the answer being number `seed mod len(answers)`, or a function of the
    request. `probabilities` maps a last user turn to reply probabilities. Requests are kept in `history`.
    InputError on a turn the script does not know.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        probabilities: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self._name = name
        self._script = script
        self._probabilities = probabilities or {}
        self.history: list[SampleRequest] = []

    @property
    def name(self) -> str:
        """The name it was made with."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Changes with the name and, for scripts that are not functions, with the script."""
        script = self._script if callable(self._script) else sorted((k, list(v)) for k, v in self._script.items())
        text = f"scripted|{self._name}|{'' if callable(script) else script}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """Answers from the script; words count as tokens, and `max_tokens` and `stop` apply to them."""
        answers = []
        for i, request in enumerate(requests):
            self.history.append(request)
            answer = _limited(self._answer(request), settings)
            answers.append(answer)
            if on_answer is not None:
                on_answer(i, answer)
        return answers

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """The scripted probabilities of these replies; empty where the script has none."""
        known = self._probabilities.get(messages[-1].content, {})
        return {reply: known[reply] for reply in replies if reply in known}

    def prefilled_length(self, messages: Sequence[Message], prefill: str) -> int:
        """Words of all of them; any script goes on with the beginning of an answer."""
        return sum(len(text.split()) for text in (*(message.content for message in messages), prefill))

    def _answer(self, request: SampleRequest) -> str:
        if callable(self._script):
            return self._script(request)
        turn = request.messages[-1].content
        answers = self._script.get(turn)
        if not answers:
            raise InputError(f"The script of {self._name} has no answer to '{turn[:80]}'.")
        return answers[request.seed % len(answers)]


def _limited(text: str, settings: SamplingSettings) -> Answer:
    found = [at for at in (text.find(stop) for stop in settings.stop) if at >= 0]
    if found:
        text = text[: min(found)]
    words = text.split()
    if len(words) > settings.max_tokens:
        return Answer(" ".join(words[: settings.max_tokens]), settings.max_tokens, "length")
    return Answer(text, len(words), "stop")
