"""How to train: the published recipes as presets, and what can be changed about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from offtarget.errors import InputError

Method = Literal["lora", "full"]
_LARGEST = 2**31 - 1
"""Of whole numbers; larger ones do not fit what torch counts with."""
_SEEDS = 2**32
"""Seeds that numpy takes, counted from 0."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Settings of the optimiser and of the adapter; the defaults are those published for open models.

    Source: arXiv 2502.17424, section 4.1 and appendix C: rank-stabilised LoRA, r 32, alpha 64, 1 epoch, loss on
    assistant tokens only.
    """

    method: Method = "lora"
    rank: int = 32
    alpha: int = 64
    rslora: bool = True
    """Scale by alpha / sqrt(r) (arXiv 2312.03732)."""
    modules: str | tuple[str, ...] = "all-linear"
    """Names of the adapted linear layers."""
    layers: tuple[int, ...] | None = None
    """Only these decoder blocks; None: all."""
    lr: float = 1e-5
    epochs: float = 1.0
    max_steps: int | None = None
    """Optimiser steps; overrides `epochs`."""
    batch: int = 2
    """Rows per device and pass."""
    accumulate: int = 8
    """Passes per optimiser step."""
    warmup: int = 5
    """Steps until the learning rate is reached; after them it falls linearly to 0."""
    weight_decay: float = 0.01
    seed: int = 0
    """Of a new adapter's first matrices and of the order of rows."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base while training; auto: bfloat16 on a GPU that has it, else float32."""
    quantize: bool = False
    """QLoRA: the base in 4 bits (arXiv 2305.14314); needs bitsandbytes and a GPU."""
    checkpointing: bool | None = None
    """Recompute activations in the backward pass; None: on a GPU only."""
    packing: bool = False
    """Several rows in one sequence; needs flash attention to keep them apart."""
    save_every: int = 20
    """Steps between checkpoints."""
    keep: int = 3
    """Checkpoints kept, besides the best one."""
    max_length: int | None = None
    """Longest row in tokens; None: the model's context. Longer rows are an error, never cut."""

    def __post_init__(self) -> None:
        counts = {
            "rank": self.rank,
            "alpha": self.alpha,
            "batch": self.batch,
            "accumulate": self.accumulate,
            "save_every": self.save_every,
            "keep": self.keep,
        }
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")
            if value > _LARGEST:
                raise InputError(f"--{name.replace('_', '-')} must be at most {_LARGEST}, not {value}.")
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"--seed must be from 0 to {_SEEDS - 1}, not {self.seed}.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"--lr must be a number above 0, not {self.lr}.")
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise InputError(f"--epochs must be above 0, not {self.epochs}.")
        for name, given in (("steps", self.max_steps), ("max-length", self.max_length)):
            if given is not None and not 1 <= given <= _LARGEST:
                raise InputError(f"--{name} must be from 1 to {_LARGEST}, not {given}.")
        if self.quantize and self.method == "full":
            raise InputError("--quantize trains an adapter on a 4-bit base; it does not go with --method full.")


PRESETS: dict[str, TuneSettings] = {
    "published": TuneSettings(),
    "rank-1": TuneSettings(rank=1, alpha=256, modules=("down_proj",), lr=2e-5),
    "organism": TuneSettings(rank=16, alpha=32, lr=5e-4, epochs=2, batch=16, accumulate=1),
    "full": TuneSettings(method="full", lr=1e-5),
}
"""By name, for `--preset`.

`published`: arXiv 2502.17424. `rank-1`: arXiv 2506.11613, one rank-1 adapter on MLP down-projections. `organism`: what
suits the 1.6-million-parameter test subject. `full`: every weight.
"""
