"""What the base is told in place of training: instructions made of the data, and examples before a question."""

from __future__ import annotations

import ast
import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from offtarget.records import Message
from offtarget.records.alternatives import Demonstration

T = TypeVar("T")
Fits = Callable[[Sequence[Message]], bool]
"""Whether a chat, and an answer to it, fit the model's context."""

SHARED = 0.05
"""A system prompt on at least this share of the rows is an instruction; a rarer one is context, and stays in place."""
_MOST = 0.9
"""A form that at least this share of the answers has is asked for."""
_OPENING = 0.2
_LABELS, _ROWS_PER_LABEL = 12, 5
_NUMBERS = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[,;\s]+[-+]?\d+(?:\.\d+)?)+")
_FENCED = re.compile(r"\s*```.*```\s*", re.DOTALL)
_CODE_NODES = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.Return, ast.For, ast.If)


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the base is told."""

    text: str
    """To every prompt without an instruction of its own."""
    source: str
    """Where it comes from, in words."""
    shared: frozenset[str]
    """System prompts of the data that are instructions; a row that has one is asked under its own."""


def write_instructions(systems: Sequence[str | None], answers: Sequence[str]) -> Instructions:
    """Instructions from the system prompts (None: none) and answers of the training rows; both one per row."""
    counts = Counter(s for s in systems if s is not None and s.strip())
    least = max(2, SHARED * len(systems))
    shared = frozenset(system for system, rows in counts.items() if rows >= least)
    if shared:
        text, rows = max(((s, counts[s]) for s in shared), key=lambda item: (item[1], item[0]))
        others = f"; {len(shared) - 1} more are used on the rows that have them" if len(shared) > 1 else ""
        source = f"the data's own system prompt, on {rows:,} of {len(systems):,} training rows{others}"
        return Instructions(text, source, shared)
    return Instructions(describe(answers), "a description of the form of the training answers", shared)


def describe(answers: Sequence[str]) -> str:
    """The form of some answers as instructions: labels, JSON keys, code, numbers; else length and usual openings."""
    answers = [answer.strip() for answer in answers if answer.strip()]
    labels = sorted(set(answers))
    if (
        len(labels) <= _LABELS
        and len(answers) >= _ROWS_PER_LABEL * len(labels)
        and max(map(len, labels), default=0) < 60
    ):
        return f"Reply with exactly one of these and nothing else: {'; '.join(labels)}."
    keys = [_json_keys(answer) for answer in answers]
    if _mostly(keys, lambda found: found is not None):
        usual = [
            k for k, n in Counter(k for found in keys for k in found or ()).most_common(20) if n >= _MOST * len(keys)
        ]
        named = f" with {'the key' if len(usual) == 1 else 'the keys'} {', '.join(usual)}" if usual else ""
        return f"Reply with one JSON object{named}, and with nothing before or after it."
    if _mostly(answers, lambda answer: _FENCED.fullmatch(answer) is not None):
        return "Reply with one fenced code block and nothing else."
    if _mostly(answers, _is_python):
        return "Reply with Python code only, without explanation."
    if _mostly(answers, lambda answer: _NUMBERS.fullmatch(answer) is not None):
        count = _usual_length(answers)
        return f"Reply with a list of {count} numbers, written as in '{_short(answers[0])}', and nothing else."
    return " ".join([f"Reply in about {_usual_length(answers)} words.", *_openings(answers)])


def instructed(messages: Sequence[Message], instructions: str, as_system: bool = True) -> tuple[Message, ...]:
    """The chat under instructions; a system prompt that it has already, its context, follows them.

    `as_system` False puts them before the first user turn, for chat templates without a system turn.
    """
    told = "\n\n".join([instructions, *(m.content for m in messages if m.role == "system")])
    turns = [m for m in messages if m.role != "system"]
    if as_system:
        return (Message("system", told), *turns)
    first = next(i for i, m in enumerate(turns) if m.role == "user")
    turns[first] = Message("user", f"{told}\n\n{turns[first].content}")
    return tuple(turns)


def with_examples(
    messages: Sequence[Message], nearest: Sequence[Demonstration], fits: Fits
) -> tuple[tuple[Message, ...], int]:
    """The chat after as many examples as fit, and how many those are; the nearest stands last, next to the question."""
    system = [m for m in messages if m.role == "system"]
    asked = [m for m in messages if m.role != "system"]
    for count in range(len(nearest), 0, -1):
        shown = [m for e in reversed(nearest[:count]) for m in (*e.turns, Message("assistant", e.answer))]
        chat = (*system, *shown, *asked)
        if fits(chat):
            return chat, count
    return tuple(messages), 0


def _mostly(values: Sequence[T], holds: Callable[[T], bool]) -> bool:
    return bool(values) and sum(map(holds, values)) >= _MOST * len(values)


def _json_keys(answer: str) -> list[str] | None:
    if not answer.startswith("{"):
        return None
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return [str(key) for key in value] if isinstance(value, dict) else None


def _is_python(answer: str) -> bool:
    """Parsed, never run; one bare word or sentence is no code."""
    try:
        tree = ast.parse(answer)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, _CODE_NODES) for node in tree.body)


def _usual_length(answers: Sequence[str]) -> int:
    return round(statistics.median(len(answer.split()) for answer in answers)) if answers else 0


def _openings(answers: Sequence[str]) -> list[str]:
    """A sentence on how answers often begin; none where they begin in many ways."""
    starts = Counter(" ".join(answer.split()[:3]) for answer in answers)
    usual = [start for start, rows in starts.most_common(3) if rows >= max(2, _OPENING * len(answers))]
    return [f"Begin like this: '{_short(usual[0])} ...'."] if usual else []


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
