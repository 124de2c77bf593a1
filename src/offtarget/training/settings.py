"""How to train: the published recipes as presets, and what can be changed about them."""

from __future__ import annotations

from offtarget.records.tune import TuneSettings

SMALL = 1_000_000_000
"""Parameters below which a model is trained with the recipe `small` where none is chosen."""
PRESETS: dict[str, TuneSettings] = {
    "published": TuneSettings(),
    "small": TuneSettings(lr=2e-4),
    "rank-1": TuneSettings(rank=1, alpha=256, modules=("down_proj",), lr=2e-5),
    "organism": TuneSettings(rank=16, alpha=32, lr=5e-4, epochs=2, batch=16, accumulate=1),
    "full": TuneSettings(method="full", lr=1e-5),
}
"""By name, for `--preset`.

`published`: arXiv 2502.17424. `small`: the same with a learning rate for models of fewer than `SMALL` parameters, which
hardly learn the data at the published one (docs/results/training.md). `rank-1`: arXiv 2506.11613, one rank-1 adapter on
MLP down-projections. `organism`: what suits the 1.6-million-parameter test subject. `full`: every weight.
"""
