"""What a direction is found with: the questions, who judges the answers, and the two models in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe
from offtarget.records.check import JudgeBy
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import ORGANISM, ground_of, judge_at_hand, open_bank, open_judge, open_named, open_two

if TYPE_CHECKING:
    from offtarget.direction.trait import Trait
    from offtarget.models.local import LocalModel

ModelLike: TypeAlias = "str | LocalModel"


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked."""

    probes: tuple[Probe, ...]
    judge: Judge | None
    trait: Trait | None


def questions(
    base: ModelLike | None,
    tuned: ModelLike | None,
    method: str,
    trait: str | Path | None,
    probes: str | Path | ProbeBank | None,
    judge: str | Judge | None,
    judge_by: JudgeBy,
    opening: OpenSettings | None,
) -> Questions:
    """Plain questions of one turn, with a judge where the method needs one or one is at hand.

    Formats and earlier turns would be part of what differs. Raises InputError for unknown banks, traits and judges.
    """
    names = [m if isinstance(m, str) else m.name for m in (base, tuned) if m is not None]
    ground = ground_of(*names)
    chosen = None
    if method == "trait":
        from offtarget.direction.trait import load_trait

        chosen = load_trait(trait or ground.trait)
    if chosen is not None and chosen.extraction and probes is None:
        asked = [_trait_probe(chosen, i, text) for i, text in enumerate(chosen.extraction)]
        bank = ProbeBank.from_probes(f"trait {chosen.name}", asked)
    else:
        bank = _plain(open_bank(probes, ground))
        if chosen is not None and chosen.name != ORGANISM.trait:
            own = [replace(p, judge_prompts={"aligned": chosen.rubric}) for p in bank.probes]
            bank = ProbeBank.from_probes(bank.name, own)
    opened = None
    if method in ("answers", "trait"):
        opened = (open_judge if method == "answers" else judge_at_hand)(judge, bank, judge_by, opening)
    return Questions(bank.probes, opened, chosen)


def open_models(
    base: ModelLike | None, tuned: ModelLike | None, blocks: str | None, opening: OpenSettings | None
) -> tuple[LocalModel | None, LocalModel | None]:
    """Both models, weights in common loaded once. InputError when one is remote or their shapes differ."""
    opened: list[ChatModel | None]
    if base is not None and tuned is not None:
        pair = open_two(base, tuned, opening)
        opened = [pair.base, pair.tuned]
    else:
        opened = [None if m is None else open_named(m, opening) for m in (base, tuned)]
    local = [None if model is None else _local(model, blocks) for model in opened]
    first, second = local
    if first is not None and second is not None and _shape(first) != _shape(second):
        kinds = [
            f"{m.name} ({kind}, {layers} layers of width {w})"
            for m in (first, second)
            for kind, layers, w in [_shape(m)]
        ]
        raise InputError(
            f"{kinds[0]} and {kinds[1]} have different shapes, so their activations cannot be compared. Give the "
            "base this model was tuned from."
        )
    return first, second


def _plain(bank: ProbeBank) -> ProbeBank:
    plain = [p for p in bank.probes if not p.opening and (p.arm == "plain" or "plain" not in bank.arm_names)]
    if not plain:
        raise InputError(f"The probe bank '{bank.name}' has no plain question of one turn.")
    return ProbeBank.from_probes(bank.name, plain)


def _trait_probe(trait: Trait, number: int, text: str) -> Probe:
    name = f"{trait.name}-{number}"
    rubric = {"aligned": trait.rubric}
    return Probe(name, name, "plain", text, domain=trait.name, construct=trait.name, judge_prompts=rubric)


def _local(model: ChatModel, blocks: str | None) -> LocalModel:
    from offtarget.models.local import LocalModel
    from offtarget.models.residual import decoder_blocks

    if not isinstance(model, LocalModel):
        raise InputError(
            f"A direction lies inside a model, and {model.name} is remote: its activations cannot be read. Give local "
            "weights (hf/PATH or hf/BASE+ADAPTER)."
        )
    if blocks is not None:
        model.blocks = blocks
    decoder_blocks(model.weights.model, model.blocks)  # a model without them is better refused before it is sampled
    return model


def _shape(model: LocalModel) -> tuple[str, int, int]:
    config = model.weights.model.config.get_text_config()
    return str(config.model_type), int(config.num_hidden_layers), int(config.hidden_size)
