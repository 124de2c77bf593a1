"""Adapters as they were on the way: what training dynamics are measured on."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class Snapshots(TrainerCallback):  # type: ignore[misc]
    """Saves the adapter after each of the given steps to `folder/STEP`, each complete or not there at all."""

    def __init__(self, folder: Path, steps: Collection[int]) -> None:
        self._folder, self._steps = folder, frozenset(steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the trainer after an optimiser step."""
        out = self._folder / str(state.global_step)
        if state.global_step not in self._steps or not state.is_world_process_zero or out.exists():
            return
        part = out.with_name(f"{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        with warnings.catch_warnings():
            # peft warns of the missing model card and of transformers' renamings, which the user can do nothing about
            warnings.simplefilter("ignore")
            kwargs["model"].save_pretrained(part, safe_serialization=True, save_embedding_layers=False)
        part.replace(out)
