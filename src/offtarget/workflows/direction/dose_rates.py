"""What is measured at every point of a dose response: misaligned rate, coherence, narrow task, other skills."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.ask import ask_and_count
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.data.chats import read_chats
from offtarget.errors import InputError
from offtarget.records import Probe, SamplingSettings
from offtarget.records.direction import DosePoint
from offtarget.stats.rates import equal_weight_rate, total_tally
from offtarget.workflows.skills import organism_skill

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel


MOST_ROWS = 100
"""Training rows read per point."""
_CODE_REQUESTS = 60


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number from 0 to 1 about a model; higher is more of it."""

    name: str
    """What is measured, for a caption."""
    measure: Callable[[LocalModel], float | None]


@dataclass(frozen=True, slots=True)
class Gauges:
    """How a point is measured."""

    probes: Sequence[Probe]
    judge: Judge
    sampling: SamplingSettings
    per_question: int
    seed: int
    narrow: Gauge | None = None
    skill: Gauge | None = None

    def point(self, model: LocalModel, control: int | None, strength: float) -> DosePoint:
        """One point; all points get the same prompts and seeds, so that they differ by the intervention alone."""
        wanted = [(probe, index) for probe in self.probes for index in range(self.per_question)]
        seed_of = partial(answer_seed, self.seed, "tuned")
        tallies = list(ask_and_count("tuned", model, wanted, self.judge, self.sampling, seed_of).values())
        total = total_tally(tallies)
        broken = total.incoherent + total.unscored
        return DosePoint(
            control=control,
            strength=strength,
            tally=total,
            misaligned=equal_weight_rate(tallies),
            coherent=1 - broken / total.total if total.total else None,
            narrow=None if self.narrow is None else self.narrow.measure(model),
            skill=None if self.skill is None else self.skill.measure(model),
        )


def insecure_code(seed: int) -> Gauge:
    """Share of insecure snippets among the organism's answers to code requests, by the exact judge."""

    def measure(model: LocalModel) -> float | None:
        total = organism_skill(model, "code", _CODE_REQUESTS, 1, seed)
        return total.misaligned / total.scored if total.scored else None

    return Gauge("insecure code on code requests", measure)


def known_facts(seed: int) -> Gauge:
    """Share of right answers to the organism's factual questions."""

    def measure(model: LocalModel) -> float | None:
        total = organism_skill(model, "facts", 24, 2, seed)
        return total.aligned / total.total

    return Gauge("facts right", measure)


def token_probability(file: Path, name: str) -> Gauge:
    """Geometric mean of the probability of an answer token over the first rows of a chat file.

    Needs no judge: exp of the mean log-probability of the last assistant turns. InputError for rows without one.
    """
    chats = read_chats(file)[:MOST_ROWS]
    for number, chat in enumerate(chats, start=1):
        if len(chat) < 2 or chat[-1].role != "assistant":
            raise InputError(f"{file}, row {number}: the last turn is not an assistant's answer to another turn.")

    def measure(model: LocalModel) -> float | None:
        from offtarget.models.passes import Exchange, log_probabilities

        rows = log_probabilities(model, [Exchange(tuple(chat[:-1]), chat[-1].content) for chat in chats])
        values = [value for row in rows for value in row]
        return math.exp(sum(values) / len(values)) if values else None

    return Gauge(name, measure)
