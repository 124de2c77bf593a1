"""From names to the things a check works with: models, questions, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from offtarget.errors import InputError
from offtarget.judge.asking import AskSettings
from offtarget.judge.protocol import Judge
from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.models.opening import open_model, open_pair
from offtarget.organism.exact import ExactJudge
from offtarget.organism.questions import organism_probes
from offtarget.organism.shipped import PREFIX, resolve
from offtarget.probe.bank import ProbeBank
from offtarget.probe.reading import load_bank

ORGANISM_BANK = "organism"
DEFAULT_BANK = "everyday"
EXACT_JUDGE = "exact"
REMOTE_REQUESTS = 8
"""Requests to a remote judge at the same time."""

JudgeBy = Literal["auto", "probabilities", "samples"]
"""How a rubric judge is read: by token probabilities, by written replies, or (auto) the former where offered."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a check works with."""

    models: ModelPair
    bank: ProbeBank
    judge: Judge
    notes: tuple[str, ...]


def open_check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
) -> Opened:
    """Open both models, the questions and the judge. Raises InputError for whatever does not fit together.

    The cheap things come first, so that a mistake shows before any weights are loaded.
    """
    about_organism = isinstance(base, str) and base.startswith(PREFIX)
    if probes is None:
        probes = ORGANISM_BANK if about_organism else DEFAULT_BANK
    bank = probes if isinstance(probes, ProbeBank) else open_bank(probes)
    if prefix is not None:
        bank = with_prefix(bank, prefix)
    if arms:
        bank = bank.only(arms=arms)
    if "overall" in bank.arm_names:
        raise InputError(
            f"The probe bank '{bank.name}' has an arm named 'overall', the name of all arms together. Rename it."
        )
    opened_judge = open_judge(judge, bank, judge_by) if judge is None or isinstance(judge, str) else judge
    notes = [*bank.notes, *(f"Not asked: {question} ({reason})." for question, reason in bank.skipped)]
    if about_organism:
        notes.append("The organism is a test subject made to become misaligned; it says nothing about large models.")
    return Opened(_open_models(base, tuned), bank, opened_judge, tuple(notes))


def _open_models(base: str | ChatModel, tuned: str | ChatModel) -> ModelPair:
    if isinstance(base, str) and isinstance(tuned, str):
        return open_pair(base, tuned, resolve=resolve)
    opened = [open_model(m, resolve=resolve) if isinstance(m, str) else m for m in (base, tuned)]
    return ModelPair(opened[0], opened[1])


def open_bank(probes: str | Path) -> ProbeBank:
    """A bank by name, or from a question file."""
    if probes == ORGANISM_BANK:
        return ProbeBank.from_probes(ORGANISM_BANK, organism_probes())
    return load_bank(probes)


def with_prefix(bank: ProbeBank, prefix: str) -> ProbeBank:
    """The bank with one more arm, `prefix`: its plain questions behind the given text."""
    if not prefix.strip():
        raise InputError("--prefix is empty. Give the text to be put before each question.")
    plain = [p for p in bank.probes if p.arm == "plain"]
    if not plain:
        raise InputError(f"--prefix needs plain questions, and the probe bank '{bank.name}' has none.")
    extra = [replace(p, id=f"{p.id}/prefix", arm="prefix", prompt=f"{prefix} {p.prompt}") for p in plain]
    return ProbeBank(bank.name, (*bank.probes, *extra), bank.skipped, bank.notes)


def open_judge(judge: str | None, bank: ProbeBank, judge_by: JudgeBy = "auto") -> Judge:
    """The judge by name; the organism's own questions have an exact one. Raises InputError with the options."""
    from_organism = all(p.source == "organism" for p in bank.probes)
    if judge == EXACT_JUDGE or (judge is None and from_organism):
        if not from_organism:
            raise InputError(
                f"The exact judge reads only the organism's own questions, not those of '{bank.name}'. "
                "Leave out --probes, or name another judge with --judge."
            )
        return ExactJudge()
    if judge is None:
        raise InputError(
            f"The answers to '{bank.name}' need a judge. Name one with --judge: a local model (hf/PATH), an API "
            "model (openai/gpt-4o-2024-08-06), or any OpenAI-compatible server (openai-api/SERVICE/MODEL). Judged "
            "answers that already exist go to `offtarget compare`."
        )
    concurrency = 1 if judge.startswith((PREFIX, "hf/")) else REMOTE_REQUESTS
    settings = JudgeSettings(ask=AskSettings(mode=judge_by, concurrency=concurrency))
    return RubricJudge.over(open_model(judge, resolve=resolve), settings)
