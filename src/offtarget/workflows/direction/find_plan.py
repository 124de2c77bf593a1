"""What a search for a direction needs and will take: mistakes, questions and answers, before anything is opened."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.direction.trait import load_trait
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.records.direction import FindSettings
from offtarget.records.runs import OpenSettings
from offtarget.workflows.direction.inputs import TRIAL_ANSWERS, per_question, plain_bank, trait_bank
from offtarget.workflows.ground import Ground
from offtarget.workflows.guesses import ASKED, READING, WRITING
from offtarget.workflows.ready import ready

if TYPE_CHECKING:
    from offtarget.workflows.direction.inputs import ModelLike

TRIALS = 6
"""Passes over the answers that steering is tried on: the model as it is, and steered at eight places, in each from
its layer on; with the logits, which cost a fifth more in a small model."""
READ, TRIED, JUDGED = "reading activations", "trying to steer", "judging"
"""Stages of a search after the asking."""
SYSTEM = 60
"""Tokens of a system prompt that brings out a trait or holds it back."""


@dataclass(frozen=True, slots=True)
class ToFind:
    """What a search asks and reads."""

    bank: ProbeBank
    answers: int
    """Of all models together."""
    reads: int
    """Exchanges read, those that two models read twice."""
    prompt: int
    """Tokens before an answer, more or less."""


def ready_to_find(
    base: ModelLike | None,
    tuned: ModelLike | None,
    out: str | Path | None,
    judge: object,
    s: FindSettings,
    opening: OpenSettings | None,
) -> tuple[str, ...]:
    """The names of the models that the method uses. InputError for the first thing that cannot be used."""
    if out is not None and Path(out).exists():
        raise InputError(f"{out} already exists. Choose another file, or remove it first.")
    used = {"trait": (base or tuned,), "answers": (tuned,)}.get(s.method, (base, tuned))
    ready(*used, judges=(judge,), keeps_run=False, opening=opening)
    if s.method != "trait" and tuned is None:
        raise InputError(f"The method '{s.method}' needs a tuned model (--tuned).")
    if s.method in ("models", "texts") and base is None:
        raise InputError(f"The method '{s.method}' compares two models: give --base too, or choose --method answers.")
    if s.method == "trait" and base is None and tuned is None:
        raise InputError("The method 'trait' needs a model (--base or --tuned).")
    return tuple(model if isinstance(model, str) else model.name for model in used if model is not None)


def to_find(s: FindSettings, ground: Ground, probes: str | Path | ProbeBank | None) -> ToFind:
    """What will be asked and read. InputError for a trait or questions that cannot be used."""
    if s.method == "trait":
        trait = load_trait(s.trait or ground.trait)
        bank = trait_bank(trait, probes, ground)
        pairs = len(trait.system_pairs)
        each = max(1, per_question(s.answers, len(bank.probes), least=2) // pairs)
        answers = 2 * each * pairs * len(bank.probes)
        return ToFind(bank, answers, answers, ASKED + SYSTEM)
    bank = plain_bank(probes, ground)
    each = per_question(s.answers, len(bank.probes), least=2)
    sides = {"models": 2 * (each // 2), "texts": 2 * each, "answers": each}[s.method]
    answers = sides * len(bank.probes)
    return ToFind(bank, answers, 2 * answers if s.method == "models" else answers, ASKED)


def asking(model: str) -> str:
    """The stage in which a model is asked."""
    return f"asking {model}"


def shares_of(found: ToFind, models: Sequence[str], *, judged: bool) -> dict[Hashable, float]:
    """How much work each stage of a search is, beside the others; how long a judge takes nobody knows."""
    shares: dict[Hashable, float] = {asking(m): found.answers / len(models) / WRITING for m in dict.fromkeys(models)}
    shares |= {READ: found.reads / READING, TRIED: TRIALS * min(TRIAL_ANSWERS, found.answers) / READING}
    return shares | ({JUDGED: found.answers / WRITING} if judged else {})
