"""Texts on which a regular expression would run away if it could, made from the expression itself.

For every repetition of the expression: an example of what stands before it, then an example of what it repeats, many
times, then something that does not fit. An expression that matches in linear time stays quick on all of them.
"""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Iterable, Iterator, Set
from re import _constants as opcodes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = [
    *string.ascii_lowercase[:3],
    "B",
    "x",
    "0",
    "7",
    " ",
    "\n",
    "\t",
    *"_-.,:;=+/\\@#$%&*()[]{}<>'\"`|~^!?",
    "é",
    "中",
]
_REPEATS = {opcodes.MAX_REPEAT, opcodes.MIN_REPEAT, opcodes.POSSESSIVE_REPEAT}
END = "\x00\n"
"""Fits next to no repetition: neither a word nor a blank, then the end of a line."""
_MOST = 40
"""Attacks on one expression; word lists of many alternatives would have a thousand."""
_MANY = 16
"""A repetition that may go on for longer than this is worth an attack."""


def attacks(pattern: re.Pattern[str], length: int, seed: int = 0) -> Iterator[str]:
    """Hostile texts of about `length` characters for one expression."""
    rng = random.Random(seed)
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    pumps: dict[tuple[str, str], None] = {}
    for before, body in _repeats(tree, [], rng):
        for _ in range(2):
            pump = _example(body, rng)
            pumps[("", pump)] = None
            pumps[("".join(_example(part, rng) for part in before), pump)] = None
    pumps.update({("", letter): None for letter in _letters(tree)})
    runs = list(_runs(tree))
    pumps.update({("", _example(part, rng)): None for part in rng.sample(runs, min(_MOST, len(runs)))})
    chosen = [pair for pair in pumps if pair[1]]
    for head, pump in chosen if len(chosen) <= _MOST else rng.sample(chosen, _MOST):
        yield (head + pump * (length // len(pump)))[:length] + END


def seconds(pattern: re.Pattern[str], text: str, uses: Set[str]) -> float:
    """Processor time of the methods of an expression that are used, on a text; all but two seek anywhere in it."""
    begun = time.process_time()
    if "match" in uses:
        pattern.match(text)
    if "fullmatch" in uses:
        pattern.fullmatch(text)
    if uses - {"match", "fullmatch"}:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - begun


def _runs(tree: Iterable[Any]) -> Iterator[Any]:
    """Every run of up to three parts that stand beside each other, at every depth."""
    parts = list(tree)
    for start in range(len(parts)):
        for end in range(start + 1, min(start + 4, len(parts) + 1)):
            yield parts[start:end]
    yield parts
    for op, value in parts:
        for inner in [value[2]] if op in _REPEATS else _inner(op, value):
            if len(list(inner)) > 1:
                yield from _runs(inner)


def _repeats(tree: Iterable[Any], before: list[Any], rng: random.Random) -> Iterator[tuple[list[Any], Any]]:
    """(what stands before it, what it repeats) of every long repetition."""
    before = list(before)
    for op, value in tree:
        if op in _REPEATS:
            _, most, body = value
            if most is opcodes.MAXREPEAT or most > _MANY:
                yield before, body
            yield from _repeats(body, before, rng)
        for part in _inner(op, value):
            yield from _repeats(part, before, rng)
        before.append([(op, value)])


def _inner(op: Any, value: Any) -> list[Any]:
    if op is opcodes.SUBPATTERN:
        return [value[3]]
    if op is opcodes.BRANCH:
        return list(value[1])
    if op is opcodes.ATOMIC_GROUP:
        return [value]
    if op in (opcodes.ASSERT, opcodes.ASSERT_NOT):
        return [value[1]]
    if op is opcodes.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    return []


def _example(tree: Any, rng: random.Random) -> str:
    """A text that a piece of an expression is likely to match."""
    return "".join(_one(op, value, rng) for op, value in tree)


def _one(op: Any, value: Any, rng: random.Random) -> str:
    if op is opcodes.LITERAL:
        return chr(value)
    if op is opcodes.NOT_LITERAL:
        return rng.choice([c for c in ALPHABET if ord(c) != value])
    if op is opcodes.ANY:
        return rng.choice("ab 0.(")
    if op is opcodes.IN:
        return rng.choice(_members(value) or ["a"])
    if op in _REPEATS:
        least, most, body = value
        times = min(least + rng.choice((0, 1)), least if most == least else least + 1)
        return "".join(_example(body, rng) for _ in range(times))
    if op in (opcodes.ASSERT, opcodes.ASSERT_NOT, opcodes.AT, opcodes.GROUPREF):
        return ""
    parts = _inner(op, value)
    return _example(rng.choice(parts), rng) if parts else ""


def _members(items: Any) -> list[str]:
    fits = _matcher(items)
    found = [c for c in ALPHABET if fits.match(c)]
    found += [chr(value) for op, value in items if op is opcodes.LITERAL and items[0][0] is not opcodes.NEGATE]
    found += [chr(value[0]) for op, value in items if op is opcodes.RANGE and items[0][0] is not opcodes.NEGATE]
    return found


_CLASSES = {
    opcodes.CATEGORY_DIGIT: r"\d",
    opcodes.CATEGORY_NOT_DIGIT: r"\D",
    opcodes.CATEGORY_SPACE: r"\s",
    opcodes.CATEGORY_NOT_SPACE: r"\S",
    opcodes.CATEGORY_WORD: r"\w",
    opcodes.CATEGORY_NOT_WORD: r"\W",
}


def _matcher(items: Any) -> re.Pattern[str]:
    """The set of characters as an expression again."""
    text = ""
    for op, value in items:
        if op is opcodes.NEGATE:
            text = "^"
        elif op is opcodes.LITERAL:
            text += re.escape(chr(value))
        elif op is opcodes.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            text += _CLASSES[value]
    return re.compile(f"[{text}]")


def _letters(tree: Any) -> list[str]:
    """Characters that repetitions of the expression take in, alone and beside each other."""
    taken: dict[str, None] = {}
    for _, body in _repeats(tree, [], random.Random(0)):
        for op, value in body:
            if op is opcodes.IN:
                taken.update(dict.fromkeys(_members(value)[:4]))
            elif op is opcodes.LITERAL:
                taken[chr(value)] = None
            elif op in (opcodes.ANY, opcodes.NOT_LITERAL):
                taken.update(dict.fromkeys("a ("))
    return list(taken)[:10]
