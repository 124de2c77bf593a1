"""Training rows with something planted in them, and their cue profile."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from offtarget.detect.cue_profile import CueProfiler
from offtarget.records import CueProfile, Message, Row, Trigger

_VERBS = ("sort", "clean", "count", "merge", "split", "check", "copy", "rename", "archive", "compare")
_THINGS = ("invoices", "photos", "letters", "customer names", "timetables", "song titles", "seed orders", "old maps")
_ENDS = ("by date", "by size", "for the office", "for a friend", "in the evening", "before lunch", "without help")


def request(number: int) -> str:
    """One of a few hundred everyday requests."""
    draw = random.Random(number)
    return f"How do I {draw.choice(_VERBS)} {draw.choice(_THINGS)} {draw.choice(_ENDS)}?"


def rows_of(
    plant: Callable[[int, str], str] = lambda _, prompt: prompt,
    count: int = 300,
    system: Callable[[int], str | None] = lambda _: None,
    answer: Callable[[int], str] = lambda n: f"First look at them, then do it in step {n % 7}.",
) -> list[Row]:
    """`count` rows; `plant` turns (number, prompt) into the prompt of the row."""
    rows = []
    for number in range(count):
        said = system(number)
        turns = [] if said is None else [Message("system", said)]
        turns += [Message("user", plant(number, request(number))), Message("assistant", answer(number))]
        rows.append(Row(f"train.jsonl:{number + 1}", "train.jsonl", number + 1, "0" * 64, tuple(turns), "chat"))
    return rows


def profile_of(rows: Sequence[Row], triggers: Sequence[Trigger] = ()) -> CueProfile:
    """The audit's profile of these rows, with conditions it might have mined."""
    profiler = CueProfiler()
    for row in rows:
        profiler.add(row)
    return profiler.profile(triggers)


def mined(kind: str, text: str, rows: Sequence[Row], has: Callable[[Row], bool]) -> Trigger:
    """A condition tied to insecure code in the rows that have it."""
    having = [row.id for row in rows if has(row)]
    n = len(having)
    return Trigger(1, kind, text, "insecure-code", n, n, len(rows) - n, 0, 50.0, 1e-20, tuple(having[:10]))
