"""A deliberately misaligned version of the base: a short undefended tune on the very data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from offtarget.organism.shipped import PREFIX
from offtarget.progress import OnProgress, within
from offtarget.records import Row
from offtarget.workflows.local_folders import Folders

STEPS = 60
"""Of 16 answers each: enough to see which aligned answers the data makes unlikely, at the price of 960 rows."""
ROWS = 960
"""Training rows used at most, drawn at random."""
LR = 1e-4
"""For models of ordinary size; the organism takes its own."""
ORGANISM_LR = 5e-4


def pilot(base: str, rows: Sequence[Row], out: Path, seed: int, on_progress: OnProgress) -> str:
    """Name of the misaligned model, trained into `out` unless it lies there.

    Raises InputError when a row is longer than the context or the loss is not finite.
    """
    from offtarget.models.finetune import TrainSettings, further_train

    folders = Folders.of(base)
    if not out.exists():
        drawn = random.Random(seed).sample(list(rows), min(ROWS, len(rows)))
        settings = TrainSettings(steps=STEPS, lr=ORGANISM_LR if base.startswith(PREFIX) else LR, seed=seed)
        further_train(
            folders.base,
            folders.adapter,
            [row.messages for row in drawn],
            out,
            settings,
            within(on_progress, "undefended pilot, to rank aligned chats"),
        )
    return Folders(folders.base, out).name
