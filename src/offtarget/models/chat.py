"""The one Protocol every chat model implements: local weights, a remote endpoint, a scripted fake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from offtarget.records import Message, Role, SamplingSettings


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One answer to be sampled."""

    messages: tuple[Message, ...]
    seed: int
    """Seed of this answer's own random stream, 0 <= seed < 2**63."""
    prefill: str = ""
    """What the answer begins with, in the model's own mouth; the answer is what it goes on with. Only an
    `AnswerContinuer` is asked so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One sampled answer."""

    text: str
    tokens: int
    finish: Literal["stop", "length"]
    without: Literal["", "refusal", "content_filter", "only_thinking"] = ""
    """Why there is no text, where the endpoint says: it declined in a field of its own (whose words then are the text),
    a filter held the answer back, or all tokens went into thinking."""


OnAnswer = Callable[[int, Answer], None]
"""Called as (position in the request list, answer) as soon as an answer is complete, in any order."""


@runtime_checkable
class ChatModel(Protocol):
    """Something that answers chats."""

    @property
    def name(self) -> str:
        """The name the user gave, e.g. `organism/base`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the answers could: weights, tokenizer, chat template, dtype, backend."""
        ...

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """One answer per request, in request order; each depends on its own (messages, seed) alone."""
        ...


@runtime_checkable
class NumberScorer(Protocol):
    """A model that can say how probable a set of replies is; what a rubric judge needs."""

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """Probability of each reply as the start of the answer; absent or 0 where unknown. Sums to <= 1."""
        ...


@runtime_checkable
class PromptHolder(Protocol):
    """A model whose chat template is at hand, so that a prompt can be looked at before it is asked."""

    def prompt_length(self, messages: Sequence[Message]) -> int:
        """Tokens of a chat up to where the next answer begins. TemplateError where the chat is refused or cut."""
        ...


@runtime_checkable
class AnswerContinuer(Protocol):
    """A model that goes on with an answer whose beginning is given, `SampleRequest.prefill`."""

    def prefilled_length(self, messages: Sequence[Message], prefill: str) -> int:
        """Tokens of a chat and of the beginning of its answer. TemplateError where a template cannot do so."""
        ...


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Base and tuned, ready to be asked the same questions; the weights may be shared."""

    base: ChatModel
    tuned: ChatModel
    checks: tuple[str, ...] = ()
    """What was verified when the pair was opened, one sentence each (e.g. merged against adapter logits)."""
    unseen: tuple[str, ...] = ()
    """What could not be verified, as the end of a sentence each (e.g. whether a server has the adapter)."""

    @property
    def by_role(self) -> dict[Role, ChatModel]:
        """Both by their roles."""
        return {"base": self.base, "tuned": self.tuned}
