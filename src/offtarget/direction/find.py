"""Finding a direction: difference in means at every layer and position, judged on questions it was not made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from offtarget.direction.contrast import Contrast
from offtarget.direction.file import Direction
from offtarget.direction.pick import ALPHA, Trial, pick
from offtarget.direction.sketch import Sketch, sketch
from offtarget.direction.subspace import complete
from offtarget.errors import InputError
from offtarget.models.passes import OnBatch
from offtarget.models.residual import check_layers
from offtarget.records import DirectionInfo, LayerQuality
from offtarget.records.direction import Method, Position
from offtarget.stats.auroc import auroc, auroc_at_least


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the provenance says beside what is measured."""

    method: Method
    seed: int
    trait: str | None = None
    judge: str | None = None
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] | None = None
    made_by: str = ""


def find_direction(
    contrast: Contrast,
    positions: Sequence[Position],
    source: Provenance,
    *,
    layer: int | None = None,
    rank: int = 1,
    trial: Trial | None = None,
    on_batch: OnBatch | None = None,
    on_trial: OnBatch | None = None,
) -> Direction:
    """The direction from the negative to the positive side, at the layer and position that serve best.

    One half of the questions gives the vectors, the other half their quality (AUROC, cosine with its own
    difference); layer and position are picked by that and, with a `trial`, by what steering does (`pick`). Stored
    are the vectors of both halves together, one per layer at the picked position. Raises InputError for too few
    questions, a layer that does not exist, a rank the questions do not span, or activations that are not finite.
    """
    if rank < 1:
        raise InputError(f"--rank must be at least 1, not {rank}.")
    first, second, new_questions = contrast.halves(source.seed)
    made = sketch(first, positions, by_question=rank > 1, on_batch=on_batch)
    vectors = made.differences()
    if layer is not None:
        check_layers(frozenset({layer}), len(vectors))
    held_out = sketch(second, positions, by_question=rank > 1, project_on=_units(vectors), on_batch=on_batch)
    whole = _together(made, held_out)
    alpha = ALPHA / (len(positions) * (1 if layer is not None else len(vectors)))
    qualities = {p: _qualities(vectors, held_out, whole, i, alpha) for i, p in enumerate(positions)}
    info = _info(contrast, source, whole, rank, qualities[positions[0]], positions[0])

    def half(position: Position) -> Direction:
        i = positions.index(position)
        rows = {number: v[i].float().unsqueeze(0) for number, v in enumerate(vectors)}
        return Direction(replace(info, position=position, rank=1), rows)

    picked = pick(qualities, half, layer, trial, on_trial)
    at = positions.index(picked.position)
    notes = source.notes if new_questions else (*source.notes, _SAME_QUESTIONS)
    info = replace(
        info,
        position=picked.position,
        layer=picked.layer,
        quality=picked.qualities,
        notes=(*notes, *picked.notes),
    )
    return Direction(info, _rows(whole, made, held_out, at, rank))


_SAME_QUESTIONS = "The halves share their questions, as there were too few: held-out figures speak of new answers only."


def _rows(whole: Tensor, made: Sketch, held_out: Sketch, at: int, rank: int) -> dict[int, Tensor]:
    rows = {}
    for layer, vector in enumerate(whole[:, at]):
        differences = vector.unsqueeze(0)
        if made.questions is not None and held_out.questions is not None:
            differences = torch.cat((made.questions[layer, :, at], held_out.questions[layer, :, at]))
        rows[layer] = complete(vector, differences, rank).float()
    return rows


def _together(made: Sketch, held_out: Sketch) -> Tensor:
    """(layers, positions, width): both halves' differences, every question with the same weight."""
    share = made.positive[0].weight / (made.positive[0].weight + held_out.positive[0].weight)
    together: Tensor = share * made.differences() + (1 - share) * held_out.differences()
    return together


def _units(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


def _qualities(
    vectors: Tensor, held_out: Sketch, whole: Tensor, position: int, alpha: float
) -> tuple[LayerQuality, ...]:
    assert held_out.projections is not None
    above, below = (p[:, :, position].numpy() for p in held_out.projections)
    cosines = torch.cosine_similarity(vectors[:, position], held_out.differences()[:, position], dim=-1)
    lengths = held_out.stream_length()[:, position]
    norms = whole[:, position].norm(dim=-1)
    return tuple(
        LayerQuality(
            layer=layer,
            auroc=auroc(above[:, layer], below[:, layer]),
            norm=float(norms[layer]),
            relative_norm=float(norms[layer] / lengths[layer]),
            explained=float(cosines[layer]),
            auroc_low=auroc_at_least(above[:, layer], below[:, layer], alpha),
        )
        for layer in range(len(vectors))
    )


def _info(
    contrast: Contrast,
    source: Provenance,
    whole: Tensor,
    rank: int,
    quality: tuple[LayerQuality, ...],
    position: Position,
) -> DirectionInfo:
    tuned, base = contrast.positive.model, contrast.negative.model
    return DirectionInfo(
        method=source.method,
        position=position,
        layer=0,
        rank=rank,
        width=whole.shape[-1],
        layers=len(whole),
        architecture=str(tuned.weights.model.config.get_text_config().model_type),
        model=tuned.name,
        model_fingerprint=tuned.fingerprint,
        base=None if base is tuned else base.name,
        base_fingerprint=None if base is tuned else base.fingerprint,
        positives=len(contrast.positive.exchanges),
        negatives=len(contrast.negative.exchanges),
        quality=quality,
        seed=source.seed,
        trait=source.trait,
        judge=source.judge,
        made_by=source.made_by,
        notes=source.notes,
        counts=dict(source.counts or {}),
    )
