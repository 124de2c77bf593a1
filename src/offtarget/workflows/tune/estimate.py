"""What a training has to do, by its rows: tokens that go through a base and tokens that are learned.

A linear layer does 2 floating-point operations per parameter and token forwards, as many for the gradient of what it
was given, and as many again for its own weights where those are trained (arXiv 2001.08361, section 2.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from offtarget.records import Row
from offtarget.records.tune import TuneSettings
from offtarget.workflows.guesses import FULL, LORA, Load

CHARACTERS = 4.0
"""Of a token, in English."""
TEMPLATE = 30
"""Tokens that a chat template adds to a row, more or less."""
PADDING = 1.05
"""Tokens of a batch per token of its rows, which stand side by side by length."""
AFTER = 15.0
"""Seconds of saving and of trying what was saved, more or less."""


def steps_of(rows: int, settings: TuneSettings) -> int:
    """Optimiser steps of a training on one device."""
    if settings.max_steps is not None:
        return settings.max_steps
    return max(1, math.ceil(math.ceil(rows / (settings.batch * settings.accumulate)) * settings.epochs))


def to_train(rows: Sequence[Row], settings: TuneSettings) -> Load:
    """What a training of these rows has to do."""
    read, learned = 0.0, 0.0
    for row in rows:
        before: float = TEMPLATE
        for place, message in enumerate(row.messages):
            tokens = len(message.text) / CHARACTERS
            if message.role == "assistant" and message.learned and place:
                read, learned = read + before + tokens, learned + tokens
            before += tokens
    times = settings.epochs
    if settings.max_steps is not None:
        times = settings.max_steps * settings.batch * settings.accumulate / max(1, len(rows))
    passes = FULL if settings.method == "full" else LORA
    return Load(
        trained=times * PADDING * (passes + bool(settings.checkpointing)) * read,
        learned=times * passes * learned,
        aside=AFTER,
    )
