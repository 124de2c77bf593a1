"""A deliberately misaligned version of the base: a short undefended tune on the very data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from offtarget.progress import OnProgress, within
from offtarget.records import Row
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import Folders, ground_of

STEPS = 60
"""Of 16 answers each: enough to see which aligned answers the data makes unlikely, at the price of 960 rows."""
ROWS = 960
"""Training rows used at most, drawn at random."""


def pilot(
    base: str, rows: Sequence[Row], out: Path, seed: int, opening: OpenSettings | None, on_progress: OnProgress
) -> str:
    """Name of the misaligned model, trained into `out` unless it lies there.

    Raises InputError when a row is longer than the context or the loss is not finite.
    """
    from offtarget.models.finetune import TrainSettings, further_train

    folders = Folders.of(base)
    if not out.exists():
        drawn = random.Random(seed).sample(list(rows), min(ROWS, len(rows)))
        settings = TrainSettings(steps=STEPS, lr=ground_of(base).lr, seed=seed)
        further_train(
            folders.base,
            folders.adapter,
            [row.messages for row in drawn],
            out,
            settings,
            within(on_progress, "undefended pilot, to rank aligned chats"),
            opening=opening,
        )
    return Folders(folders.base, out).name
