"""Which cues are tried first."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from offtarget.errors import InputError
from offtarget.records import Cue
from offtarget.records.hidden import QUESTION

MINED = 5.0
"""From this prior on a cue has evidence of its own and goes before what distance can say."""
_STEEPNESS = 2.0
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def order_cues(cues: Sequence[Cue], distances: Mapping[str, float] | None = None) -> tuple[Cue, ...]:
    """Cues with a prior of at least 5 first, by prior; then the others by ascending distance, where it is known.

    `distances` maps cue ids to the distance between their prompts and the centroid of the training prompts (from
    `prompt_distances` or `word_distances`). Over 12 tunes the effect on a prompt fell with its distance in the base
    model, Spearman -.73 (arXiv 2608.29118). So the priors of the others are multiplied by exp(-2 r), r the rank of the
    distance from 0 to 1, and scaled back to their sum; distances are written into the cues. A cue without a distance
    takes the middle rank. Without distances the order is by prior. Raises InputError for a distance that is no number.
    """
    known = {cue.id: distances[cue.id] for cue in cues if distances and cue.id in distances}
    for cue_id, distance in known.items():
        if not math.isfinite(distance):
            raise InputError(
                f"The distance of the cue '{cue_id}' is {distance}, not a number; its prompt embedding is broken."
            )
    placed = [replace(cue, distance=known.get(cue.id, cue.distance)) for cue in cues]
    first = sorted((c for c in placed if c.prior >= MINED), key=lambda c: -c.prior)
    others = [c for c in placed if c.prior < MINED]
    if not known:
        return (*first, *sorted(others, key=lambda c: -c.prior))
    rank = _ranks({c.id: known[c.id] for c in others if c.id in known})
    weights = [c.prior * math.exp(-_STEEPNESS * rank.get(c.id, 0.5)) for c in others]
    scale = sum(c.prior for c in others) / sum(weights) if others else 1.0
    weighed = [replace(c, prior=scale * w) for c, w in zip(others, weights, strict=True)]
    return (*first, *sorted(weighed, key=lambda c: (rank.get(c.id, 0.5), -c.prior)))


def prompt_distances(
    cue_vectors: npt.NDArray[np.floating], data_vectors: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Cosine distance (0 to 2) of each cue to the centroid of the data, shape (cues,).

    `cue_vectors` (cues, width) and `data_vectors` (rows, width) are prompt embeddings of the base model, as from
    `models.passes.embed_prompts`; the centroid is the mean of the data's unit vectors. Raises InputError for widths
    that differ, an empty side, NaN or infinity, and vectors of length 0.
    """
    sides = [np.asarray(v, dtype=np.float64) for v in (cue_vectors, data_vectors)]
    if any(v.ndim != 2 or not len(v) for v in sides) or sides[0].shape[1] != sides[1].shape[1]:
        raise InputError(
            f"Embeddings of shapes {sides[0].shape} and {sides[1].shape} cannot be compared; both must be "
            "(prompts, width) of the same model, with at least one prompt."
        )
    if not all(np.isfinite(v).all() for v in sides):
        raise InputError("A prompt embedding is not finite. The model's activations overflow; load it in float32.")
    if any((np.linalg.norm(v, axis=1) == 0).any() for v in sides):
        raise InputError("A prompt embedding is zero, so it has no direction to compare.")
    cue_units, data_units = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in sides)
    centroid = data_units.mean(axis=0)
    cosines: npt.NDArray[np.float64] = cue_units @ (centroid / max(float(np.linalg.norm(centroid)), 1e-12))
    return 1.0 - cosines


def word_distances(cues: Sequence[Cue], centroid: Mapping[str, float]) -> dict[str, float]:
    """Cosine distance of each cue's own words to the word centroid of a `CueProfile`: where no model can embed.

    A cue's words weigh the same, once each; a cue without any word in the centroid is at distance 1. Only the cue's
    own words count, since the question is the same under all cues.
    """
    found = {}
    for cue in cues:
        text = " ".join((cue.template.replace(QUESTION, " "), cue.system or "", *cue.opening)).lower()
        words = {word.replace("’", "'") for word in _WORD.findall(text) if len(word) > 1}
        cosine = sum(centroid.get(word, 0.0) for word in words) / math.sqrt(len(words)) if words else 0.0
        found[cue.id] = 1.0 - cosine
    return found


def _ranks(distances: Mapping[str, float]) -> dict[str, float]:
    """Rank of each distance scaled to 0 (nearest) ... 1; equal distances share the rank of their first."""
    ordered = sorted(distances.values())
    last = max(1, len(ordered) - 1)
    return {cue_id: ordered.index(distance) / last for cue_id, distance in distances.items()}
