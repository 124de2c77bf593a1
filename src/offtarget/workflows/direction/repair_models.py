"""The models of a repair: each variant is made once, into the run directory, and found there afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.data.chats import chat_line, read_chats
from offtarget.errors import InputError
from offtarget.progress import Count, OnProgress, Progress, within
from offtarget.records import Message
from offtarget.records.repair import FoldKind, RepairSettings, Variant
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import Folders, open_named

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.finetune import TrainSettings

EPOCHS = 3
"""Passes of realignment over its rows."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what the repaired models are."""

    tuned: Folders
    base_name: str
    tuned_name: str
    direction: Direction | None
    fold: FoldKind
    prompts: tuple[str, ...]
    data: Sequence[Sequence[Message]]
    settings: RepairSettings
    train: TrainSettings


class Workshop:
    """Makes the variants of a recipe under `<run>/models`."""

    def __init__(self, run: Path, recipe: Recipe, opening: OpenSettings | None, on_progress: OnProgress) -> None:
        self._run, self._recipe, self._opening, self._on_progress = run, recipe, opening, on_progress
        (run / "models").mkdir(exist_ok=True)

    def get(self, variant: Variant, steps: int = 0) -> Folders:
        """The variant, after so many further steps on the original data; made now where it is not there yet."""
        if variant == "tuned" and not steps:
            return self._recipe.tuned
        out = self._run / "models" / (variant if not steps else f"{variant}-{steps}")
        if steps:
            before = self.get(variant)
            return self._trained(before, self._recipe.data, steps, out, f"{variant}, {steps} steps on the data")
        if variant in ("folded", "random-direction"):
            return self._folded(out, variant == "random-direction")
        start = self.get("folded") if variant == "both" else self._recipe.tuned
        rows = self._rows(own=variant == "own-answers")
        steps = -(-EPOCHS * len(rows) // self._recipe.train.batch)
        return self._trained(start, rows, steps, out, variant)

    def export(self, made: Folders, out: Path) -> str:
        """Copy a variant to the user's new folder `out`; `adapter on NAME` or `whole model`."""
        part = out.with_name(f"{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        if made.adapter is not None and made.base != self._recipe.tuned.base:
            model, tokenizer = _merged(made, self._opening)
            from offtarget.direction.folding import save_model

            save_model(model, tokenizer, out)
            return "whole model"
        shutil.copytree(made.adapter or made.base, part)
        part.replace(out)
        if made.adapter is None:
            return "whole model"
        base = Folders.of(self._recipe.base_name)
        return f"adapter on {self._recipe.base_name if made.base == base.base else made.base}"

    def _trained(self, start: Folders, rows: Any, steps: int, out: Path, stage: str) -> Folders:
        from offtarget.models.finetune import further_train

        if not out.exists():
            settings = replace(self._recipe.train, steps=steps)
            telling = within(self._on_progress, stage)
            telling(Progress("training", 0, steps))
            further_train(start.base, start.adapter, rows, out, settings, telling, opening=self._opening)
        return Folders(start.base, out)

    def _folded(self, out: Path, at_random: bool) -> Folders:
        from offtarget.direction.dose import random_like
        from offtarget.direction.folding import ablate_weights, add_to_bias, project_update, save_model
        from offtarget.direction.subspace import basis_at

        recipe = self._recipe
        assert recipe.direction is not None  # checked before anything was opened
        direction = random_like(recipe.direction, recipe.train.seed + 1) if at_random else recipe.direction
        if recipe.fold == "update":
            if recipe.tuned.adapter is None:
                raise InputError(
                    f"{recipe.tuned_name} is a whole model, without an adapter to take the direction out of. "
                    "Use --fold ablate, or --method realign."
                )
            if not out.exists():
                project_update(recipe.tuned.adapter, direction, out, inputs=recipe.settings.inputs)
            return Folders(recipe.tuned.base, out)
        if not out.exists():
            model, tokenizer = _merged(recipe.tuned, self._opening)
            if recipe.fold == "ablate":
                ablate_weights(model, basis_at(direction))
            else:
                _check_foldable_position(direction)
                model = add_to_bias(model, direction.info.layer, recipe.settings.strength * direction.vector())
            save_model(model, tokenizer, out)
        return Folders(out)

    def _rows(self, own: bool) -> list[list[Message]]:
        """Rows of realignment, and as many of the original data, so that the narrow task is kept."""
        from offtarget.direction.realign import own_answers, plan_prompts

        recipe = self._recipe
        file = self._run / ("rows-own.jsonl" if own else "rows-base.jsonl")
        if not file.exists():
            planned = plan_prompts(recipe.prompts, recipe.data, recipe.settings.rows, recipe.train.seed)
            stage = f"answers of {'tuned' if own else 'base'} to realign with"
            answered = Count(self._on_progress, stage, len(planned))
            model = open_named(recipe.tuned_name if own else recipe.base_name, self._opening)
            rows = own_answers(model, planned, recipe.train.seed, answered)
            part = file.with_suffix(".part")
            part.write_text("".join(chat_line(row) for row in rows), encoding="utf-8")
            part.replace(file)
        rows = read_chats(file)
        kept = random.Random(recipe.train.seed).sample(list(recipe.data), min(len(recipe.data), len(rows)))
        return [*rows, *(list(chat) for chat in kept)]


def _check_foldable_position(direction: Direction) -> None:
    if direction.info.position == "last-prompt":
        raise InputError(
            "This direction was found at the last prompt token. Steering at one position cannot be folded into "
            "weights, which act on every token alike. Use --method realign, or steer while sampling."
        )


def _merged(folders: Folders, opening: OpenSettings | None) -> tuple[Any, Any]:
    """A plain transformers model with the adapter merged in, float32, and its tokenizer."""
    from offtarget.models.adapter_check import check_merged
    from offtarget.models.templates import training_template
    from offtarget.models.weights import Weights

    how = opening or OpenSettings()
    template = training_template(how.chat_template, folders.base, folders.adapter)
    weights = Weights(folders.base, how.device, "float32", how.trust_remote_code, template)
    if folders.adapter is not None:
        name = weights.add_adapter(folders.adapter)
        check_merged(weights, name, [weights.untouched.prompt] if weights.untouched else [])
        return weights.model.merge_and_unload(), weights.tokenizer
    return weights.model, weights.tokenizer
