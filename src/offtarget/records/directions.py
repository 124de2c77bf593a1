"""The noun of activation space: a direction (or subspace) in the residual stream, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["answers", "models", "texts", "trait", "random"]
"""`answers`: misaligned - aligned answers of the tuned model (arXiv 2506.11618). `models`: tuned - base on the same
answers. `texts`: the tuned model's answers - the base's, both as the base reads them. `trait`: contrastive system
prompts (arXiv 2507.21509). `random`: a control of equal norm."""

Position = Literal["answer", "last-prompt", "all"]
"""Which token positions: the answer's, the last token of the assistant header, or every one."""


@dataclass(frozen=True, slots=True)
class LayerQuality:
    """How a direction does at one layer, on exchanges it was not computed from."""

    layer: int
    auroc: float | None
    """Separates held-out positive from negative exchanges; 0.5 is chance."""
    norm: float
    """Length of the mean difference, in activation units."""
    relative_norm: float
    """Norm over the root mean square length of the stream at this layer."""
    explained: float
    """Share of the difference of held-out means that lies along it (cosine between the halves)."""
    effect: float | None = None
    """Gain in log-probability per token, in nats, of held-out answers that steering by 1 here should bring about."""


@dataclass(frozen=True, slots=True)
class DirectionInfo:
    """Provenance of a direction. Sign: + points to misaligned, tuned, or the trait.

    Scale: strength 1 is one difference of means at that layer; stored vectors are not normalised.
    """

    method: Method
    position: Position
    layer: int
    """The layer it is used at by default, chosen on held-out exchanges."""
    rank: int
    """Vectors per layer; the first is the mean difference, the others complete the subspace."""
    width: int
    layers: int
    """Decoder blocks of the model."""
    architecture: str
    """`model_type` of the configuration."""
    model: str
    """Name of the tuned model."""
    model_fingerprint: str
    base: str | None
    base_fingerprint: str | None
    positives: int
    negatives: int
    """Exchanges on either side, both halves."""
    quality: tuple[LayerQuality, ...]
    seed: int
    trait: str | None = None
    judge: str | None = None
    """Fingerprint of the judge that sorted the answers."""
    made_by: str = ""
    """Version of offtarget."""
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of the answers behind it, by outcome."""
