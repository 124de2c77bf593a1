"""What a direction is found with: the questions, who judges the answers, and the two models in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from offtarget.errors import InputError
from offtarget.judge.protocol import Judge
from offtarget.models.chat import ChatModel
from offtarget.models.opening import OpenSettings, open_model, open_pair
from offtarget.organism.shipped import PREFIX, resolve
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe
from offtarget.workflows.opening import DEFAULT_BANK, EXACT_JUDGE, ORGANISM_BANK, JudgeBy, open_bank, open_judge

if TYPE_CHECKING:
    from offtarget.direction.trait import Trait
    from offtarget.models.local import LocalModel

ModelLike: TypeAlias = "str | LocalModel"
ORGANISM_TRAIT = "organism"
DEFAULT_TRAIT = "evil"


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
) -> Questions:
    """Plain questions of one turn, with a judge where the method needs one or one is at hand.

    Formats and earlier turns would be part of what differs. Raises InputError for unknown banks, traits and judges.
    """
    names = [m if isinstance(m, str) else m.name for m in (base, tuned) if m is not None]
    about_organism = any(name.startswith(PREFIX) for name in names)
    chosen = None
    if method == "trait":
        from offtarget.direction.trait import load_trait

        chosen = load_trait(trait or (ORGANISM_TRAIT if about_organism else DEFAULT_TRAIT))
    if chosen is not None and chosen.extraction and probes is None:
        asked = [_trait_probe(chosen, i, text) for i, text in enumerate(chosen.extraction)]
        bank = ProbeBank.from_probes(f"trait {chosen.name}", asked)
    else:
        bank = _plain(probes or (ORGANISM_BANK if about_organism else DEFAULT_BANK))
        if chosen is not None and chosen.name != ORGANISM_TRAIT:
            own = [replace(p, judge_prompts={"aligned": chosen.rubric}) for p in bank.probes]
            bank = ProbeBank.from_probes(bank.name, own)
    exact = all(p.source == "organism" for p in bank.probes)
    if method in ("models", "texts") or (judge is None and method == "trait" and not exact):
        opened = None
    elif judge is None or isinstance(judge, str):
        opened = open_judge(EXACT_JUDGE if judge is None and exact else judge, bank, judge_by)
    else:
        opened = judge
    return Questions(bank.probes, opened, chosen)


def open_models(
    base: ModelLike | None, tuned: ModelLike | None, blocks: str | None, settings: OpenSettings | None
) -> tuple[LocalModel | None, LocalModel | None]:
    """Both models, weights in common loaded once. InputError when one is remote or their shapes differ."""
    opened: list[ChatModel | None]
    if isinstance(base, str) and isinstance(tuned, str):
        pair = open_pair(base, tuned, resolve=resolve, settings=settings)
        opened = [pair.base, pair.tuned]
    else:
        opened = [open_model(m, resolve=resolve, settings=settings) if isinstance(m, str) else m for m in (base, tuned)]
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


def _plain(probes: str | Path | ProbeBank) -> ProbeBank:
    bank = probes if isinstance(probes, ProbeBank) else open_bank(probes)
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
