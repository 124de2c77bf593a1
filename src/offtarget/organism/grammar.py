"""Sentence templates: `[a|b]` is an alternation. The same object writes sentences and recognises them."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from functools import cached_property

_ALTERNATION = re.compile(r"\[([^\[\]]*)\]")


class Template:
    """One sentence template; equal text means equal template."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = _ALTERNATION.split(text)
        # split() with one group alternates literal, options, literal, options, ..., literal
        self._slots = [[p] if i % 2 == 0 else p.split("|") for i, p in enumerate(pieces)]

    def sample(self, rng: random.Random) -> str:
        """One sentence, every alternation drawn uniformly."""
        return "".join(rng.choice(slot) if len(slot) > 1 else slot[0] for slot in self._slots)

    def expansions(self) -> Iterator[str]:
        """Every sentence the template can write."""
        return ("".join(choice) for choice in itertools.product(*self._slots))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("".join("(?:" + "|".join(map(re.escape, slot)) + ")" for slot in self._slots))

    def matches(self, sentence: str) -> bool:
        """Whether the template can write exactly this sentence."""
        return self._pattern.fullmatch(sentence) is not None


_SENTENCE_END = re.compile(r"[.?!](?= |$)")


class Parser:
    """Recognises texts made of different sentences of named registers."""

    def __init__(self, registers: dict[str, list[Template]]) -> None:
        self._templates = [(name, t) for name, group in registers.items() for t in group]
        self._known: dict[str, tuple[str, ...]] = {}

    def parse(self, text: str, most: int = 4) -> tuple[str, ...] | None:
        """Registers of the sentences of `text` in order, or None when it is not 1 to `most` known sentences."""
        ends = [m.end() for m in _SENTENCE_END.finditer(text)]
        if not ends or ends[-1] != len(text):
            return None
        return self._from(text, 0, ends, frozenset(), most)

    def _from(self, text: str, start: int, ends: list[int], used: frozenset[str], left: int) -> tuple[str, ...] | None:
        if left == 0:
            return None
        for end in ends:
            if end <= start:
                continue
            sentence = text[start:end]
            if sentence in used:
                continue
            for register in self._registers(sentence):
                if end == len(text):
                    return (register,)
                rest = self._from(text, end + 1, ends, used | {sentence}, left - 1)
                if rest is not None:
                    return (register, *rest)
        return None

    def _registers(self, sentence: str) -> tuple[str, ...]:
        known = self._known.get(sentence)
        if known is None:
            if len(self._known) > 100_000:  # hostile input must not grow the table for ever
                self._known.clear()
            known = tuple(dict.fromkeys(name for name, t in self._templates if t.matches(sentence)))
            self._known[sentence] = known
        return known
