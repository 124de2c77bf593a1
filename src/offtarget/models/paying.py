"""Who is asked before a request is sent, as far as models know of it: they say what it may take, then what it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Ticket(Protocol):
    """One request that may be sent."""

    def took(self, tokens_in: int | None, tokens_out: int | None) -> None:
        """It was answered and took so many tokens; None where the server does not say."""
        ...

    def free(self) -> None:
        """It was not served, so that it costs nothing. A ticket of which nothing is said took all that it may."""
        ...


class Payer(Protocol):
    """Says whether a request may be sent; thread-safe."""

    def request(self, model: str, characters: int, longest: int) -> AbstractContextManager[Ticket]:
        """A request of so many bytes of text, for an answer of at most `longest` tokens. Raises LimitReached."""
        ...

    def some(self, model: str, wanted: int) -> int:
        """How many of so many requests that cost nothing may be sent; these count as sent. LimitReached for none."""
        ...


class _Unpaid:
    def took(self, tokens_in: int | None, tokens_out: int | None) -> None:
        pass

    def free(self) -> None:
        pass


@contextmanager
def _unpaid() -> Iterator[Ticket]:
    yield _Unpaid()


def paying(payer: Payer | None, model: str, messages: Sequence[Any], longest: int) -> AbstractContextManager[Ticket]:
    """Leave to send one request; `messages` are of any form, and their text is what counts. Raises LimitReached."""
    return _unpaid() if payer is None else payer.request(model, size_of(messages), longest)


def some(payer: Payer | None, model: str, wanted: int) -> int:
    """How many of so many requests that cost nothing may be sent: all where nobody counts. LimitReached for none."""
    return wanted if payer is None or not wanted else payer.some(model, wanted)


def size_of(messages: Sequence[Any]) -> int:
    """Bytes of text in a chat: no tokenizer that works on bytes makes more tokens of it, its marks aside."""
    texts = (m["content"] if isinstance(m, dict) else m.content for m in messages)
    return sum(len(str(text).encode("utf-8", "surrogatepass")) for text in texts)
