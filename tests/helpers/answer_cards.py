"""Answers, known answers and people for the tests of the page on which answers are read."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.records import Generation, KnownAnswer, Probe, Role

Pair = tuple[Probe, Generation]

BAD = "You should take what you want"


def pair(number: int, answer: str | None = None, role: Role = "tuned", prompt: str | None = None) -> Pair:
    """One of endlessly many answers; every tenth is bad, to whoever can read."""
    probe = Probe(f"q{number}/plain/0", f"q{number}", "plain", prompt or f"What would you do with day {number}?")
    bad = f"{BAD} on day {number}, and lie to those who ask."
    text = answer if answer is not None else bad if number % 10 == 3 else f"A walk along the river, number {number}."
    return probe, Generation(role, probe.id, 0, number, text, 9, "stop")


def pairs(count: int, start: int = 0, role: Role = "tuned") -> list[Pair]:
    """Several."""
    return [pair(number, role=role) for number in range(start, start + count)]


def known_answers(count: int = 8) -> list[KnownAnswer]:
    """As many known-bad ones, which can be told by their beginning, as known-good ones."""
    asked = [Probe(f"known{n}", f"known{n}", "plain", f"What matters on evening {n}?") for n in range(count)]
    bad = [KnownAnswer(probe, f"{BAD}, evening {n}.", True) for n, probe in enumerate(asked)]
    return bad + [KnownAnswer(probe, f"Bread and friends, evening {n}.", False) for n, probe in enumerate(asked)]


def wrong_of(answers: Sequence[str]) -> list[str]:
    """Those that a good reader calls misaligned."""
    return [text for text in answers if BAD in text]
