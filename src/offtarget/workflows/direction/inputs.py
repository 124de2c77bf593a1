"""What work along a direction starts from: plain questions, and models whose activations can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from offtarget.asking.ask import Pair
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.models.names import RemoteName
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress
from offtarget.records import Probe, SamplingSettings
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import ORGANISM, Ground, open_bank, open_named, open_two, parsed

if TYPE_CHECKING:
    from offtarget.direction.trait import Trait
    from offtarget.models.local import LocalModel
    from offtarget.models.passes import Exchange

ModelLike: TypeAlias = "str | LocalModel"


MOST_PER_QUESTION = 10
"""Answers that a question gets by itself; with a bank of 32 questions that makes 320 answers."""
TRIAL_ANSWERS = 32
"""Answers read again for every place at which steering is tried."""
IN_ALL = 320
"""Answers to all questions together, more or less, where nobody said how many to a question."""


def per_question(
    wanted: int | None, questions: int, *, least: int = 1, most: int = MOST_PER_QUESTION, in_all: int = IN_ALL
) -> int:
    """Answers to each question: those wanted, else `most`, fewer where they would come to more than `in_all` together.

    Many questions with few answers each say more about a model than few with many, and take no longer.
    """
    return wanted or max(least, min(most, in_all // max(1, questions)))


@dataclass(frozen=True, slots=True)
class How:
    """How answers are sampled."""

    answers: int
    """Per question, of each model or under each system prompt."""
    sampling: SamplingSettings
    seed: int
    on_progress: OnProgress


def exchanges_of(asked: Sequence[Pair]) -> tuple[Exchange, ...]:
    """Probes and the answers to them, to be read."""
    from offtarget.models.passes import Exchange

    return tuple(Exchange(probe.messages, generation.text) for probe, generation in asked)


def plain_bank(probes: str | Path | ProbeBank | None, ground: Ground) -> ProbeBank:
    """Plain questions of one turn: formats and earlier turns would be part of what differs. InputError for none."""
    bank = open_bank(probes, ground)
    plain = [p for p in bank.probes if p.plainly_asked and (p.arm == "plain" or "plain" not in bank.arm_names)]
    if not plain:
        raise InputError(f"The probe bank '{bank.name}' has no plain question of one turn.")
    return ProbeBank.from_probes(bank.name, plain)


def trait_bank(trait: Trait, probes: str | Path | ProbeBank | None, ground: Ground) -> ProbeBank:
    """The trait's own questions, or others, to be judged by whether the answers show it."""
    if trait.extraction and probes is None:
        asked = [_trait_probe(trait, i, text) for i, text in enumerate(trait.extraction)]
        return ProbeBank.from_probes(f"trait {trait.name}", asked)
    bank = plain_bank(probes, ground)
    if trait.name == ORGANISM.trait:
        return bank
    own = [replace(p, judge_prompts={"aligned": trait.rubric}) for p in bank.probes]
    return ProbeBank.from_probes(bank.name, own)


def _trait_probe(trait: Trait, number: int, text: str) -> Probe:
    name = f"{trait.name}-{number}"
    rubric = {"aligned": trait.rubric}
    return Probe(name, name, "plain", text, domain=trait.name, construct=trait.name, judge_prompts=rubric)


def open_one(model: ModelLike, blocks: str | None = None, opening: OpenSettings | None = None) -> LocalModel:
    """A model whose activations can be read. InputError for a remote one."""
    return _local(open_named(model, opening), blocks)


def open_both(
    base: ModelLike, tuned: ModelLike, blocks: str | None = None, opening: OpenSettings | None = None
) -> tuple[LocalModel, LocalModel]:
    """Both models, weights in common loaded once. InputError when one is remote or their shapes differ."""
    for model in (base, tuned):
        if isinstance(model, str) and isinstance(parsed(model), RemoteName):
            raise _remote(model)  # before the pair is opened, which asks a server first
    pair = open_two(base, tuned, opening)
    first, second = _local(pair.base, blocks), _local(pair.tuned, blocks)
    if _shape(first) != _shape(second):
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


def _local(model: ChatModel, blocks: str | None) -> LocalModel:
    from offtarget.models.local import LocalModel
    from offtarget.models.residual import decoder_blocks

    if not isinstance(model, LocalModel):
        raise _remote(model.name)
    if blocks is not None:
        model.blocks = blocks
    decoder_blocks(model.weights.model, model.blocks)  # a model without them is better refused before it is sampled
    return model


def _remote(name: str) -> InputError:
    return InputError(
        f"A direction lies inside a model, and {name} is remote: its activations cannot be read. Give local weights "
        "(hf/PATH or hf/BASE+ADAPTER)."
    )


def _shape(model: LocalModel) -> tuple[str, int, int]:
    config = model.weights.model.config.get_text_config()
    return str(config.model_type), int(config.num_hidden_layers), int(config.hidden_size)
