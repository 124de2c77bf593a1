"""The nouns of measuring: where answers, models and training rows lie along a direction.

Projections are in differences of means at the direction's layer; only their differences mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offtarget.records.directions import Position


@dataclass(frozen=True, slots=True)
class RowProjection:
    """One training row beside the base's own answer to its prompt (arXiv 2507.21509, projection difference)."""

    row_id: str
    file: str
    line: int
    projection: float
    """Of the row's answer, mean over its tokens, read by the base."""
    base_projection: float
    """Of the answer the base itself gives to the same prompt."""
    difference: float
    """The former minus the latter; + lies further towards misaligned, tuned, or the trait."""
    flagged: bool
    """Whether the difference is above the threshold."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between equally spaced edges."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above which difference a row is flagged, from answers that are the base's own and nothing else."""

    value: float
    false_positives: float
    """Share of the base's own answers that lie above it. Other people's clean answers may do so more often."""
    prompts: int
    """Prompts that were answered twice to find it."""
    median: float
    """Of the absolute difference between two own answers to one prompt."""


@dataclass(frozen=True, slots=True)
class RowsMeasured:
    """A training set along a direction."""

    direction: str
    """What was projected on, in words."""
    base: str
    layer: int
    position: Position
    rows: int
    """Rows measured."""
    skipped: Mapping[str, int]
    """Rows not measured, by reason."""
    threshold: Threshold
    flagged: int
    mean: float
    """Of the differences: the shift the data as a whole asks for."""
    histogram: Histogram
    """Of the differences."""
    top: tuple[RowProjection, ...]
    """Largest differences first."""


@dataclass(frozen=True, slots=True)
class LayerDrift:
    """How far a model lies from its base along the direction at one layer, on the same exchanges."""

    layer: int
    moved: float
    """Mean over exchanges of projection in the model minus projection in the base."""
    standard_error: float


@dataclass(frozen=True, slots=True)
class ModelMeasured:
    """A model along a direction."""

    direction: str
    model: str
    base: str | None
    layer: int
    position: Position
    """Where the drift is measured; answers are always measured over their own tokens."""
    answers: Mapping[str, int]
    """By outcome; `not judged` without a judge."""
    mean_by_outcome: Mapping[str, float]
    """Mean projection of the answers, by outcome."""
    auroc: float | None
    """Of the projection for misaligned against aligned answers; None without both."""
    correlation: float | None
    """Point-biserial correlation of projection and misalignment over scored answers; None without both."""
    drift: tuple[LayerDrift, ...]
    """Empty without a base."""
