"""Checkpoints that can be trusted after a crash: each is marked when it is complete, and old ones are removed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from offtarget.rundir import flush_to_disk

MARK = "complete"
"""File that is written into a checkpoint after everything else; it holds the seconds of training until then."""


def complete_checkpoints(folder: Path) -> dict[int, Path]:
    """Step -> folder of every checkpoint that was written to its end, earliest first."""
    found = {}
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if step.isdigit() and (path / MARK).exists():
            found[int(step)] = path
    return dict(sorted(found.items()))


def drop_torn(folder: Path) -> None:
    """Remove checkpoints a crash has left half-written, so that their step can be written again."""
    whole = set(complete_checkpoints(folder).values())
    for path in folder.glob("checkpoint-*"):
        if path not in whole:
            shutil.rmtree(path)


class Retention(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint as complete and keeps the newest few, and the best one; knows how long training took."""

    def __init__(self, keep: int, best: Callable[[], int | None], folder: Path) -> None:
        self._keep, self._best = keep, best
        last = next(reversed(complete_checkpoints(folder).values()), None)
        self._earlier = 0.0 if last is None else float((last / MARK).read_text() or 0)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training, those before the checkpoint it went on from included."""
        return self._earlier + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer before the first step."""
        self._began = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer when a checkpoint is on disk."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        checkpoint = folder / f"checkpoint-{state.global_step}"
        for path in checkpoint.iterdir():
            flush_to_disk(path)
        (checkpoint / MARK).write_text(f"{self.seconds:.1f}")
        flush_to_disk(checkpoint)
        steps = list(complete_checkpoints(folder))
        for step in steps[: -self._keep]:
            if step != self._best():
                shutil.rmtree(folder / f"checkpoint-{step}")
