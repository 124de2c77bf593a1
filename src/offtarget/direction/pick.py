"""Which layer and position to use a direction at: held-out separation first, then what steering there does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from offtarget.direction.file import Direction
from offtarget.direction.intervene import POSITIONS, Steer
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, OnBatch, changed_log_probabilities
from offtarget.records import LayerQuality
from offtarget.records.direction import Position

TOLERANCE = 0.05
"""Layers this close to the best AUROC are held to separate as well."""
CHANCE = 0.5
"""AUROC of what tells nothing apart. A place counts from where its lower bound lies above this."""
ALPHA = 0.05
"""How often one of all lower bounds of a search may be wrong; each has its even share of it."""
MOST_TRIALS = 8
"""Places tried by steering; spread over depth when more separate as well."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Answers that should become likelier when the model is steered: a test of effect that needs no judge."""

    model: LocalModel
    exchanges: Sequence[Exchange]
    sign: Literal[1, -1]
    """+1 adds the direction, -1 subtracts it."""


@dataclass(frozen=True, slots=True)
class Pick:
    """The place picked, with the qualities at its position."""

    layer: int
    position: Position
    qualities: tuple[LayerQuality, ...]
    notes: tuple[str, ...]


def pick(
    qualities: Mapping[Position, Sequence[LayerQuality]],
    direction_at: Callable[[Position], Direction],
    layer: int | None,
    trial: Trial | None,
    on_trial: OnBatch | None = None,
) -> Pick:
    """The place with the largest effect among those that separate best; without a trial, the best cosine.

    The effect of a place is the gain in mean log-probability per answer token, in nats, when the model is steered
    there by one difference of means. Places at chance are out as long as another is not. A direction can separate
    perfectly where it does nothing (AUROC is 1 at many layers), and steering that destroys the model makes every
    answer less likely. `layer` restricts the choice; `on_trial` hears of the exchanges tried at every place.
    """
    places = [(p, q) for p, found in qualities.items() for q in found if layer is None or q.layer == layer]
    places = [(p, q) for p, q in places if separates(q)] or places
    best = max(q.auroc or 0.0 for _, q in places)
    close = [(p, q) for p, q in places if (q.auroc or 0.0) >= best - TOLERANCE]
    if trial is None:
        position, chosen = max(close, key=lambda place: place[1].explained)
        return Pick(chosen.layer, position, tuple(qualities[position]), ())
    tried = _spread(close, MOST_TRIALS)
    edits = [Steer(direction_at(p), trial.sign, [quality.layer], POSITIONS[p]) for p, quality in tried]
    plain, *steered = map(_mean, changed_log_probabilities(trial.model, trial.exchanges, edits, on_batch=on_trial))
    effects = {(p, quality.layer): mean - plain for (p, quality), mean in zip(tried, steered, strict=True)}
    position, number = max(effects, key=lambda place: effects[place])
    gain = effects[position, number]
    note = (
        f"Place picked among {len(effects)} by steering {'+' if trial.sign > 0 else '-'}1: {gain:+.2f} nats per token "
        f"of the answers it should bring about"
    )
    if gain <= 0:
        note += "; nowhere did it help, so do not expect steering to work"
    found = tuple(replace(q, effect=effects.get((position, q.layer))) for q in qualities[position])
    return Pick(number, position, found, (note + ".",))


def separates(quality: LayerQuality) -> bool:
    """Whether a direction is shown to tell both sides apart at a layer, by the bound and not by the estimate."""
    return quality.auroc_low is not None and quality.auroc_low > CHANCE


def _spread(places: list[tuple[Position, LayerQuality]], most: int) -> list[tuple[Position, LayerQuality]]:
    if len(places) <= most:
        return places
    return [places[round(i * (len(places) - 1) / (most - 1))] for i in range(most)]


def _mean(answers: Sequence[Sequence[float]]) -> float:
    """Over the tokens of an answer, then over answers."""
    return sum(sum(tokens) / len(tokens) for tokens in answers) / len(answers)
