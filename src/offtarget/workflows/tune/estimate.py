"""How long a training takes on this processor, before anything is loaded: what is to be computed, by its speed.

A linear layer does 2 floating-point operations per parameter and token forwards, as many for the gradient of what it
was given, and as many again for its own weights where those are trained (arXiv 2001.08361, section 2.1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from offtarget.records import Row
from offtarget.records.tune import TuneSettings
from offtarget.workflows.tune.size import size_of

CHARACTERS = 4.0
"""Of a token, in English."""
TEMPLATE = 30
"""Tokens that a chat template adds to a row, more or less."""
PADDING = 1.05
"""Tokens of a batch per token of its rows, which stand side by side by length."""
BEFORE, AFTER = 15.0, 15.0
"""Seconds of importing and loading, and of saving and of trying what was saved, more or less."""
REACHED = 0.5
"""Of the speed of large matrix products, what the passes of a training reach (docs/results/training.md)."""
SIDE, TRYING = 512, 0.3
"""Of the matrices that the speed is measured with, and for how many seconds."""


def operations(base: str, rows: Sequence[Row], settings: TuneSettings) -> float | None:
    """Floating-point operations of a training; None where the base's size is not known without fetching it."""
    size = size_of(base)
    if size is None:
        return None
    read, learned = 0.0, 0.0
    for row in rows:
        before: float = TEMPLATE
        for place, message in enumerate(row.messages):
            tokens = len(message.text) / CHARACTERS
            if message.role == "assistant" and message.learned and place:
                read, learned = read + before + tokens, learned + tokens
            before += tokens
    each = 6 if settings.method == "full" else 4
    once = PADDING * (each + 2 * bool(settings.checkpointing)) * size.body * read + each * size.head * learned
    if settings.max_steps is None:
        return once * settings.epochs
    return once * settings.max_steps * settings.batch * settings.accumulate / max(1, len(rows))


def gpu() -> bool:
    """Whether a training would go to a GPU, as far as that is seen without loading a tensor library."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def on_this_processor(work: float) -> float:
    """Seconds that so many operations of a training take here, with all that comes before and after it."""
    return BEFORE + work / (REACHED * _speed()) + AFTER


def _speed() -> float:
    """Operations per second of a large matrix product, beside whatever else the machine does now; a median."""
    import numpy as np

    one, took = np.ones((SIDE, SIDE), dtype=np.float32), list[float]()
    while not took or sum(took) < TRYING:
        began = time.perf_counter()
        one @ one
        took.append(time.perf_counter() - began)
    return float(2 * SIDE**3 / np.median(took))
