"""What a check works with: models, questions and judge, from their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.probe.bank import ProbeBank
from offtarget.records import Role, SamplingSettings
from offtarget.records.check import JudgeBy
from offtarget.records.runs import OpenSettings
from offtarget.workflows.check.askable import askable
from offtarget.workflows.ground import Ground, ground_of, open_bank, open_judge, open_two


@dataclass(frozen=True, slots=True)
class Opened:
    """What a check works with."""

    models: ModelPair
    bank: ProbeBank
    judge: Judge
    notes: tuple[str, ...]
    not_asked: tuple[str, ...] = ()
    """Arms and questions that do not reach both models, as the end of a sentence each."""


def open_check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    opening: OpenSettings | None = None,
    same_weights: bool = False,
) -> Opened:
    """Open both models, the questions and the judge. Raises InputError for whatever does not fit together.

    Base and tuned with the same weights are refused, by name and once they are open, unless `same_weights` asks for it.

    The cheap things come first, so that a mistake shows before any weights are loaded.
    """
    if isinstance(base, str) and base == tuned and not same_weights:
        raise same_model(base)
    ground = ground_of(base)
    bank = chosen_questions(probes, ground, prefix, arms)
    opened_judge = open_judge(judge, bank, judge_by, opening)
    notes = [*bank.notes, *(f"Not asked: {question} ({reason})." for question, reason in bank.skipped), *ground.notes]
    models = open_two(base, tuned, opening, same_weights=same_weights)
    if models.base.fingerprint == models.tuned.fingerprint:
        if not same_weights:
            raise same_model(models.tuned.name)
        notes.append(_NULL)
    notes += [f"Not tested: {what}." for what in models.unseen]
    bank, not_asked = askable(bank, models)
    return Opened(models, bank, opened_judge, tuple(notes), not_asked)


def chosen_questions(
    probes: str | Path | ProbeBank | None, ground: Ground, prefix: str | None = None, arms: Sequence[str] | None = None
) -> ProbeBank:
    """The questions of a check. Raises InputError for a bank, arm or prefix that cannot be asked."""
    bank = open_bank(probes, ground)
    if prefix is not None:
        bank = with_prefix(bank, prefix)
    if arms:
        bank = bank.only(arms=arms)
    if "overall" in bank.arm_names:
        raise InputError(
            f"The probe bank '{bank.name}' has an arm named 'overall', the name of all arms together. Rename it."
        )
    return bank


_NULL = (
    "Base and tuned are one model, as was asked for (--same-weights): a verdict here says how the check itself does, "
    "and nothing about any tuned model."
)


def same_model(name: str) -> InputError:
    """Why a check of a model against itself is refused, and what to do."""
    return InputError(
        f"Base and tuned are the same model, {name}: a check of a model against itself passes whatever the model does. "
        "Name the fine-tuned one with --tuned (hf/BASE+ADAPTER for an adapter). For a null check on purpose say "
        "--same-weights."
    )


def with_prefix(bank: ProbeBank, prefix: str) -> ProbeBank:
    """The bank with one more arm, `prefix`: its plain questions behind the given text."""
    if not prefix.strip():
        raise InputError("--prefix is empty. Give the text to be put before each question.")
    plain = [p for p in bank.probes if p.arm == "plain"]
    if not plain:
        raise InputError(f"--prefix needs plain questions, and the probe bank '{bank.name}' has none.")
    extra = [replace(p, id=f"{p.id}/prefix", arm="prefix", prompt=f"{prefix} {p.prompt}") for p in plain]
    return bank.with_probes((*bank.probes, *extra))


def check_asked_alike(models: ModelPair, sampling: SamplingSettings) -> None:
    """Hold both models to the same sampling: InputError where one server refuses what the other takes."""
    out: dict[Role, Sequence[str]] = {}
    for role, model in models.by_role.items():
        assert model.fingerprint  # a server is asked for it, and so tells what it takes
        out[role] = getattr(model, "left_out", lambda _: ())(sampling)
    if out["base"] == out["tuned"]:
        return
    which: Role = "base" if len(out["base"]) > len(out["tuned"]) else "tuned"
    names = " and ".join(f"{name} {getattr(sampling, name):g}" for name in out[which])
    raise InputError(
        f"The server of the {which} model '{models.by_role[which].name}' does not take {names}, that of the other "
        "does, so the two would be asked differently. Ask both through one server, or leave it out for both with "
        "`drop` in the settings file (--endpoints)."
    )
