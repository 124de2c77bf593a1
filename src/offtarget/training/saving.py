"""What training leaves on disk: checkpoints that can be trusted after a crash, then an ordinary adapter or whole model.

Each checkpoint is marked when it is complete, and old ones are removed; what is saved carries its provenance.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from offtarget.errors import InputError
from offtarget.models.folders import BASE_NOTE, weights_sha256
from offtarget.records import message_json
from offtarget.records.tune import TuneSettings
from offtarget.rundir import flush_to_disk
from offtarget.training.plan import Plan, TrainRow

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


def rows_sha256(rows: Sequence[TrainRow]) -> str:
    """Of the texts, roles, tools, weights and order of the rows, and of what of them gets loss."""
    content = [
        [[message_json(m) for m in row.messages], row.weight, row.skip, *([list(row.tools)] if row.tools else [])]
        for row in rows
    ]
    return hashlib.sha256(json.dumps(content, default=dict).encode()).hexdigest()


def plan_fingerprint(
    base: Path, adapter: Path | None, plan: Plan, settings: TuneSettings, template: str | None = None
) -> str:
    """16 hex digits over everything the trained weights depend on, but for the machine."""
    content = [
        weights_sha256(base),
        None if adapter is None else weights_sha256(adapter),
        rows_sha256(plan.rows),
        [edit.fingerprint for edit in plan.edits],
        [penalty.fingerprint for penalty in plan.penalties],
        plan.stop_on_alarm,
        plan.stop_at,
        asdict(settings),
        *([] if template is None else [template]),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def save(
    source: Path,
    out: Path,
    *,
    base: Path,
    adapter: Path | None,
    plan: Plan,
    settings: TuneSettings,
    steps: int,
    template: str | None = None,
) -> None:
    """Copy the weights of a checkpoint to the new folder `out`, which appears complete or not at all.

    A chat template that was chosen for the training goes with them.
    """
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    wanted: tuple[str, ...] = ("adapter_*", "*.safetensors*", "config.json", "generation_config.json")
    if settings.method == "full":
        wanted += ("tokenizer*", "special_tokens_map.json", "*.jinja", "vocab*", "merges.txt", "*.model")
    elif template is not None:
        wanted += ("chat_template.jinja",)
    for pattern in wanted:
        for path in source.glob(pattern):
            shutil.copy2(path, part / path.name)
    _name_base(part, base)
    (part / BASE_NOTE).write_text(
        json.dumps(_provenance(base, adapter, plan, settings, steps), indent=2) + "\n", encoding="utf-8"
    )
    if out.exists():
        raise InputError(f"{out} has appeared while training went on. The adapter is kept in {part}.")
    part.replace(out)


def _name_base(folder: Path, base: Path) -> None:
    path = folder / "adapter_config.json"
    if path.exists():
        config = json.loads(path.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = str(base)
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _provenance(base: Path, adapter: Path | None, plan: Plan, settings: TuneSettings, steps: int) -> dict[str, Any]:
    origins = [row.origin for row in plan.rows]
    provenance: dict[str, Any] = {
        "settings": asdict(settings),
        "steps": steps,
        "rows": {origin: origins.count(origin) for origin in sorted(set(origins))},
        "rows_sha256": rows_sha256(plan.rows),
        "defences": list(plan.notes),
        "from_adapter_sha256": None if adapter is None else weights_sha256(adapter),
        "versions": {name: version(name) for name in ("offtarget", "torch", "transformers", "peft", "trl")},
    }
    # a whole model is a base of its own; an adapter belongs to the one it was trained on
    key = "from_weights_sha256" if settings.method == "full" else "base_weights_sha256"
    return {key: weights_sha256(base), **provenance}
