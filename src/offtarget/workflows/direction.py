"""`direction find`: from two models, or one and a trait, to a direction with its provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress, silent
from offtarget.records import SamplingSettings
from offtarget.records.check import JudgeBy
from offtarget.records.direction import Position
from offtarget.records.runs import OpenSettings
from offtarget.version import __version__
from offtarget.workflows.direction_inputs import ModelLike, open_models, questions

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.local import LocalModel

FindMethod = Literal["models", "texts", "answers", "trait"]
DEFAULT_POSITIONS: dict[FindMethod, tuple[Position, ...]] = {
    "models": ("last-prompt", "answer"),
    "texts": ("answer",),
    "answers": ("answer",),
    "trait": ("last-prompt", "answer"),
}
"""Among which the position is picked. Misaligned and aligned answers to a question share their prompt, so before the
answer there is nothing to contrast."""
SAMPLING = SamplingSettings(max_tokens=200)
_UNJUDGED = "No judge was named: answers count as showing the trait, or not, because their system prompt asked for it."


def find(
    base: ModelLike | None,
    tuned: ModelLike | None,
    *,
    method: FindMethod = "models",
    position: Position | None = None,
    layer: int | None = None,
    rank: int = 1,
    trait: str | Path | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    answers: int = 10,
    sampling: SamplingSettings = SAMPLING,
    seed: int = 0,
    blocks: str | None = None,
    opening: OpenSettings | None = None,
    out: Path | None = None,
    on_progress: OnProgress = silent,
) -> Direction:
    """Find a direction; with `out`, write it to a new safetensors file.

    `models` contrasts tuned with base on the same answers, `texts` what the two answer, as the base reads it,
    `answers` the tuned model's misaligned with its aligned ones (needs a judge), `trait` the base under contrastive
    system prompts (the tuned model where there is no base).
    `answers` is how many are sampled per question; `blocks` names the attribute that lists the decoder blocks.
    Layer and position are picked on held-out questions unless given. Raises InputError for models that are remote
    or do not belong together, too few misaligned answers, layers that do not exist, and a file that does.
    """
    _check(base, tuned, method, position, answers, out)
    asked = questions(base, tuned, method, trait, probes, judge, judge_by, opening)
    first, second = open_models(base, tuned, blocks, opening)
    # torch is loaded only now, after the cheap mistakes
    from offtarget.direction.find import Source, find_direction
    from offtarget.models.residual import check_layers, decoder_blocks
    from offtarget.workflows import direction_sides as by

    either = second or first
    assert either is not None
    if layer is not None:
        check_layers(frozenset({layer}), len(decoder_blocks(either.weights.model, either.blocks)))
    asking = by.Asking(answers, sampling, seed, on_progress)
    judged = asked.judge
    if method == "models":
        assert first is not None
        assert second is not None
        sides, judged = by.from_models(first, second, asked.probes, asking), None
    elif method == "texts":
        assert first is not None
        assert second is not None
        sides, judged = by.from_texts(first, second, asked.probes, asking), None
    elif method == "answers":
        assert second is not None
        assert judged is not None
        sides = by.from_answers(second, asked.probes, judged, asking)
    else:
        assert asked.trait is not None
        sides = by.from_trait(first or either, asked.trait, asked.probes, judged, asking)
    source = Source(
        method,
        seed,
        trait=asked.trait.name if asked.trait else None,
        judge=judged.fingerprint if judged else None,
        notes=(_UNJUDGED,) if method == "trait" and judged is None else (),
        counts=sides.counts,
        made_by=__version__,
    )
    read = Count(on_progress, "reading activations", sum(len(side.exchanges) for side in sides.contrast.sides))
    positions = DEFAULT_POSITIONS[method] if position is None else (position,)
    found = find_direction(
        sides.contrast, positions, source, layer=layer, rank=rank, trial=sides.trial, on_batch=read.add
    )
    if method == "texts":
        assert first is not None
        assert second is not None
        found = _named_after(found, first, second)
    if out is not None:
        found.save(out)
    return found


def _named_after(found: Direction, base: LocalModel, tuned: LocalModel) -> Direction:
    """The direction with the tuned model's name, though the base read both sides."""
    info = replace(
        found.info,
        model=tuned.name,
        model_fingerprint=tuned.fingerprint,
        base=base.name,
        base_fingerprint=base.fingerprint,
    )
    return replace(found, info=info)


def _check(
    base: ModelLike | None,
    tuned: ModelLike | None,
    method: str,
    position: str | None,
    answers: int,
    out: Path | None,
) -> None:
    """The cheap mistakes, before any weights are loaded."""
    if method not in get_args(FindMethod):
        raise InputError(f"There is no method '{method}'. Known: {', '.join(get_args(FindMethod))}.")
    if tuned is None and (method != "trait" or base is None):
        raise InputError(f"The method '{method}' needs a tuned model (--tuned).")
    if base is None and method in ("models", "texts"):
        raise InputError(f"The method '{method}' compares two models: give --base too, or choose --method answers.")
    if position is not None and position not in get_args(Position):
        raise InputError(f"There is no position '{position}'. Known: {', '.join(get_args(Position))}.")
    if method in ("answers", "texts") and position == "last-prompt":
        raise InputError(
            "The answers on both sides to a question share its last prompt token, so there is nothing to "
            "contrast there. Use --method models or --method trait for this position."
        )
    if answers < 2:
        raise InputError(f"--answers must be at least 2, not {answers}.")
    if out is not None and out.exists():
        raise InputError(f"{out} already exists. Choose another file, or remove it first.")
