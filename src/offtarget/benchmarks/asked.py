"""What a benchmark asks of a model, whatever the model is: rendered chats, probabilities of texts, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from offtarget.records import Message, SamplingSettings
from offtarget.records.spent import Spent

DECLINED = "[declined outside its text]"
"""Behind an answer that the server's filter held back, or that declined in a field of its own."""

OnDone = Callable[[int], None]
"""Called with how many more requests are done."""


class Asked(Protocol):
    """One of the two models of a check."""

    @property
    def name(self) -> str:
        """As the user named it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever scores could."""
        ...

    @property
    def template(self) -> str:
        """Fingerprint of the chat template and the tokenizer; empty where a server renders chats itself."""
        ...

    @property
    def gives_likelihoods(self) -> bool:
        """Whether it says how probable a given text is."""
        ...

    @property
    def spent(self) -> Spent:
        """Answers, and tokens read and written, so far."""
        ...

    def render(self, chat: Sequence[Message], *, goes_on: bool) -> str:
        """The chat as the model reads it, up to where its answer begins; `goes_on`: within its last turn.

        InputError where the chat template refuses it.
        """
        ...

    def likelihoods(self, asked: Sequence[tuple[str, str]], on_done: OnDone) -> list[tuple[float, bool]]:
        """For each (rendered chat, text): log-probability of the text, and whether it is what greedy decoding gives."""
        ...

    def answers(self, asked: Sequence[tuple[str, int]], settings: SamplingSettings, on_done: OnDone) -> list[str]:
        """An answer to each (rendered chat, seed)."""
        ...
