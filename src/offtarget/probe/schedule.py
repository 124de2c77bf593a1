"""Which probe is asked next: drawn, not dealt, because the e-processes need independent draws.

A block of evidence is one tuned answer beside `base_per_tuned` base answers of the same arm. Every draw is
uniform over the arm's questions, then over the question's paraphrases, with replacement; so the expected
difference of a block is the arm's difference of misaligned rates with questions weighted equally. Base draws
are independent of tuned draws. The stream is a function of (seed, role, arm, number of the draw): resuming
needs no state, and base draws know nothing of the tuned model, so base answers can be kept for the next
candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from offtarget.asking.seeds import digest
from offtarget.errors import InputError
from offtarget.records import Role

Entry = str | Sequence[str]
"""One question of an arm: a probe id, or the ids of its paraphrases."""


@dataclass(frozen=True, slots=True)
class Block:
    """The draws of one block of evidence."""

    arm: str
    number: int
    """0-based."""
    tuned_probe_id: str
    base_probe_ids: tuple[str, ...]
    stream: str = "probe"
    """Name of the schedule's stream."""

    @property
    def needs(self) -> list[tuple[Role, str]]:
        """Who is asked what."""
        return [("tuned", self.tuned_probe_id), *(("base", probe) for probe in self.base_probe_ids)]


class Schedule:
    """The deterministic, random-looking order of questions for a set of arms."""

    def __init__(
        self, arms: Mapping[str, Sequence[Entry]], base_per_tuned: int, seed: int, stream: str = "probe"
    ) -> None:
        """`stream`: schedules of other names draw independently of this one, also for arms of the same name."""
        if not arms:
            raise InputError("There is no arm to schedule. Choose at least one.")
        if base_per_tuned < 1:
            raise InputError(f"base_per_tuned must be at least 1, not {base_per_tuned}.")
        self._questions = {arm: tuple(_paraphrases(e) for e in entries) for arm, entries in arms.items()}
        for arm, questions in self._questions.items():
            ids = [probe_id for question in questions for probe_id in question]
            if not ids or not all(questions):
                raise InputError(f"The arm '{arm}' has no probe, or a question without one.")
            if len(set(ids)) != len(ids):
                raise InputError(f"The arm '{arm}' names a probe twice; each may be there once.")
        self.base_per_tuned = base_per_tuned
        self.seed = seed
        self.stream = stream

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that can be asked for blocks."""
        return tuple(self._questions)

    def block(self, arm: str, number: int, without: Collection[str] = ()) -> Block:
        """Block `number` (0-based) of an arm; the same on every machine and in every order of calls.

        `without`: probes that are left out; a draw that hits one is drawn again, so that the rest are drawn as before,
        however few they are. Raises ValueError where nothing is left.
        """
        if number < 0:
            raise ValueError("block numbers start at 0")
        if all(probe in without for question in self._questions[arm] for probe in question):
            raise ValueError(f"nothing is left to draw in {arm}")
        # Numbered through, so that another base_per_tuned cuts the same base stream differently.
        first = number * self.base_per_tuned
        return Block(
            arm,
            number,
            self._draw("tuned", arm, number, without),
            tuple(self._draw("base", arm, first + offset, without) for offset in range(self.base_per_tuned)),
            self.stream,
        )

    def _draw(self, role: Role, arm: str, draw: int, without: Collection[str]) -> str:
        questions = self._questions[arm]
        for again in itertools.count():
            drawn = digest(self.stream, self.seed, role, arm, draw, *([again] if again else []))
            # 128 bits modulo a few hundred: the departure from uniform is below 2**-100.
            question = questions[int.from_bytes(drawn[:16], "big") % len(questions)]
            probe = question[int.from_bytes(drawn[16:], "big") % len(question)]
            if probe not in without:
                return probe
        raise AssertionError("unreachable")


def _paraphrases(entry: Entry) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)
