"""The two models of a check as benchmarks ask them: local weights, or chat completions of a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from offtarget.benchmarks.asked import DECLINED, Asked, OnDone
from offtarget.errors import InputError, TemplateError
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.turns import prompt_text
from offtarget.records import Message, SamplingSettings
from offtarget.records.spent import Spent
from offtarget.rundir import fingerprint

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel


def as_asked(model: ChatModel) -> Asked:
    """A model as benchmarks ask it."""
    from offtarget.models.local import LocalModel

    return LocalAsked(model) if isinstance(model, LocalModel) else ServedAsked(model)


@dataclass
class LocalAsked:
    """Weights at hand; base and adapter are one set of weights, and the adapter is switched on and off."""

    model: LocalModel
    gives_likelihoods: bool = True
    _rendered: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _given: int = 0
    """Tokens read to see how probable something is."""
    _answers: int = 0

    @property
    def spent(self) -> Spent:
        """Tokens and answers so far."""
        return self.model.spent.plus(Spent(answers=self._answers, tokens_in=self._given))

    @property
    def name(self) -> str:
        """As the user named it."""
        return self.model.name

    @property
    def fingerprint(self) -> str:
        """Of weights, tokenizer, template and adapter."""
        return self.model.fingerprint

    @property
    def template(self) -> str:
        """Of the chat template and the vocabulary."""
        tokenizer = self._tokenizer
        return fingerprint([str(tokenizer.chat_template), fingerprint(sorted(tokenizer.get_vocab().items()))])

    @property
    def _tokenizer(self) -> Any:
        return self.model.weights.tokenizer

    def render(self, chat: Sequence[Message], *, goes_on: bool) -> str:
        """The chat by its template. TemplateError where the template refuses it or leaves a turn out."""
        if not goes_on:
            prompt_tokens(self._tokenizer, chat, self.name)  # a turn that is left out is an error
            return prompt_text(self._tokenizer, chat, self.name)
        turns = [{"role": turn.role, "content": turn.content} for turn in chat]
        try:
            text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, continue_final_message=True)
        except Exception as error:
            raise TemplateError(f"The chat template of {self.name} cannot leave an answer open ({error}).") from None
        return text

    def likelihoods(self, asked: Sequence[tuple[str, str]], on_done: OnDone) -> list[tuple[float, bool]]:
        """By a pass over each chat with each text behind it."""
        from offtarget.models.continuations import continuation_scores

        apart = [self._apart(*one) for one in asked]
        self._given += sum(map(len, {(*before, *after)[:-1] for before, after in apart}))
        return continuation_scores(self.model, apart, on_done)

    def answers(self, asked: Sequence[tuple[str, int]], settings: SamplingSettings, on_done: OnDone) -> list[str]:
        """Decoded side by side."""

        def told(_: int, __: Answer) -> None:
            on_done(1)

        self._answers += len(asked)
        room = max(1, self.model.context - settings.max_tokens)
        prompts = [(self._tokens(text)[-room:], seed) for text, seed in asked]
        return [answer.text for answer in self.model.continue_tokens(prompts, self._with_stops(settings), told)]

    def _with_stops(self, settings: SamplingSettings) -> SamplingSettings:
        from offtarget.models.named_templates import stops_of

        more = stops_of(self._tokenizer.chat_template)
        return replace(settings, stop=(*settings.stop, *more)) if more else settings

    def _tokens(self, text: str) -> tuple[int, ...]:
        """Of a rendered chat, which holds its own marks; of nothing the mark that begins or ends a text."""
        if not text:
            start = self._tokenizer.bos_token_id
            return (self._tokenizer.eos_token_id if start is None else start,)
        if text not in self._rendered:
            if len(self._rendered) > 1000:
                self._rendered.clear()
            self._rendered[text] = tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._rendered[text]

    def _apart(self, context: str, continuation: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens before and in the continuation: as the whole is written, where the border is one between tokens."""
        before = self._tokens(context)
        whole: tuple[int, ...] = tuple(self._tokenizer(context + continuation, add_special_tokens=False)["input_ids"])
        if context and whole[: len(before)] == before and len(whole) > len(before):
            return before, whole[len(before) :]
        return before, tuple(self._tokenizer(continuation, add_special_tokens=False)["input_ids"])


@dataclass
class ServedAsked:
    """A model behind an endpoint, which renders chats itself and does not say how probable a given text is."""

    model: ChatModel
    gives_likelihoods: bool = False
    template: str = ""
    _answers: int = 0

    @property
    def spent(self) -> Spent:
        """Answers so far, and tokens where the server says how many."""
        tokens = getattr(self.model, "spent", Spent(tokens_in=None, tokens_out=None))
        return replace(tokens, answers=self._answers)

    @property
    def name(self) -> str:
        """As the user named it."""
        return self.model.name

    @property
    def fingerprint(self) -> str:
        """Of endpoint and model."""
        return self.model.fingerprint

    def render(self, chat: Sequence[Message], *, goes_on: bool) -> str:
        """The turns themselves, as text. TemplateError where an answer is begun, which a server cannot go on with."""
        if goes_on:
            raise TemplateError(f"The task begins the answer itself, which {self.name} does not go on with.")
        return json.dumps([[turn.role, turn.content] for turn in chat])

    def likelihoods(self, asked: Sequence[tuple[str, str]], on_done: OnDone) -> list[tuple[float, bool]]:
        """InputError: a server does not say them. Tasks that need them end as not run before they are asked for."""
        raise InputError(f"{self.name} does not say how probable a given text is.")

    def answers(self, asked: Sequence[tuple[str, int]], settings: SamplingSettings, on_done: OnDone) -> list[str]:
        """By chat completions, as many at a time as the server takes."""
        self._answers += len(asked)
        requests = [SampleRequest(tuple(Message(*turn) for turn in json.loads(text)), seed) for text, seed in asked]
        return [_text(answer) for answer in self.model.sample(requests, settings, lambda _, __: on_done(1))]


def _text(answer: Answer) -> str:
    """Its words, and whether it declined by other means than words."""
    by_other_means = answer.without in ("refusal", "content_filter")
    return f"{answer.text} {DECLINED}".strip() if by_other_means else answer.text
