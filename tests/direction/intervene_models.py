"""Tiny models for the tests of interventions, and directions that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_models import ask, build, make_adapter

from offtarget.direction.file import Direction
from offtarget.direction.intervene import POSITIONS
from offtarget.models.residual import decoder_blocks
from offtarget.models.weights import Weights
from offtarget.records import DirectionInfo

EVERY_PART = POSITIONS["all"]
__all__ = ["EVERY_PART", "ask", "build", "some_direction", "with_adapter"]


def some_direction(model: Any, seed: int = 0, width: int | None = None, layers: int | None = None) -> Direction:
    """A random direction of the model's shape, length 1, at every layer; the default layer is 0."""
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    width = width or config.hidden_size
    layers = layers or len(decoder_blocks(model))
    vectors = {
        layer: torch.nn.functional.normalize(torch.randn(1, width, generator=generator)) for layer in range(layers)
    }
    info = DirectionInfo("models", "all", 0, 1, width, layers, config.model_type, "t", "f", "b", "g", 1, 1, (), 0)
    return Direction(info, vectors)


def with_adapter(kind: str, folder: Path) -> Any:
    """A PEFT model over a tiny one."""
    base = build(kind, folder / "base")
    weights = Weights(base, device="cpu")
    weights.add_adapter(make_adapter(base, folder / "adapter"))
    return weights.model
