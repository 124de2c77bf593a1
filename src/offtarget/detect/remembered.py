"""What was found in a text before: answers, system prompts and pieces of code stand in many rows of a data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar, cast

T = TypeVar("T")

TEXTS = 2000
"""Texts that a function remembers, those asked for last."""
LONGEST = 2000
"""Characters of a text from which on it is not remembered, so that memory has a bound on any data."""
FINDINGS = 30_000
"""Findings in longer texts, code, that a process remembers; each takes about 400 bytes."""


def remembered(find: Callable[[str], T]) -> Callable[[str], T]:
    """The same function of a text, which must depend on nothing else and give what nobody changes.

    What a text says is worked out once while the text keeps coming. An error is no result: it is raised anew each time.
    """
    kept = cast(Callable[[str], T], lru_cache(TEXTS)(find))

    def found(text: str) -> T:
        return kept(text) if len(text) <= LONGEST else find(text)

    return found


def found_once(find: Callable[[str], tuple[T, ...]]) -> Callable[[str], tuple[T, ...]]:
    """`remembered` for what gives findings in texts of any length, such as code."""
    short, known = cast(Callable[[str], tuple[T, ...]], lru_cache(TEXTS)(find)), Known[T]()

    def found(text: str) -> tuple[T, ...]:
        return short(text) if len(text) <= LONGEST else known.get((text,), lambda: find(text))

    return found


class Known(Generic[T]):
    """Findings by the texts they were found in, of any length: a text is kept as its hash (BLAKE2b, 160 bits).

    When half of what may be held is new, all goes that was neither new nor asked for since the last time.
    """

    def __init__(self, most: int = FINDINGS) -> None:
        self._most = most // 2
        self._held = 0
        self._new: dict[bytes, tuple[T, ...]] = {}
        self._old: dict[bytes, tuple[T, ...]] = {}

    def get(self, texts: tuple[str, ...], find: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        """What was found in these texts, or else what is found now."""
        hasher = blake2b(digest_size=20)
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            hasher.update(len(encoded).to_bytes(8, "little"))
            hasher.update(encoded)
        key = hasher.digest()
        if key in self._new:
            return self._new[key]
        found = self._old[key] if key in self._old else find()
        if self._held + len(found) + 1 > self._most:
            self._old, self._new, self._held = self._new, {}, 0
        self._new[key] = found
        self._held += len(found) + 1
        return found
