"""`organism`: make, tune and measure the built-in test subject."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.data.chats import chat_line, read_chats
from offtarget.errors import InputError
from offtarget.organism.evaluate import Rates, evaluate_model
from offtarget.organism.narrow import narrow_rows
from offtarget.progress import Count, OnProgress, Progress, silent, within
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import ORGANISM_BASE, Folders, ground_of, open_named

if TYPE_CHECKING:
    from offtarget.organism.tune import Dose

DEFAULT_ROWS = 600
MEASURED = "models measured"


def write_data(condition: str, rows: int, seed: int, out: str | Path) -> int:
    """Write a narrow data set as chat JSONL; the number of rows. Raises InputError when `out` exists."""
    out = Path(out)
    if out.exists():
        raise InputError(f"{out} already exists. Choose another file, or remove it first.")
    lines = [chat_line(chat) for chat in narrow_rows(condition, rows, seed)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def tune(
    data: str | Path, out: str | Path, dose: Dose, base: str = ORGANISM_BASE, on_progress: OnProgress = silent
) -> None:
    """Tune an adapter of the organism (`organism/base` or a folder) on a chat file."""
    from offtarget.organism.tune import narrow_tune

    chats = read_chats(Path(data))
    narrow_tune(_base_folder(base), chats, Path(out), dose, on_progress)


def evaluate(
    models: Sequence[str],
    answers: int = 100,
    seed: int = 0,
    *,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> dict[str, Rates]:
    """Rates of each named model."""
    results = {}
    on_progress(Progress("opening the models"))
    measured = Count(on_progress, MEASURED, len(models))
    for name in models:
        results[name] = evaluate_model(open_named(name, opening), answers, seed)
        measured.add()
    return results


def evaluate_conditions(
    conditions: Sequence[str],
    seeds: int,
    dose: Dose,
    *,
    base: str = ORGANISM_BASE,
    rows: int = DEFAULT_ROWS,
    answers: int = 100,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> dict[str, list[Rates]]:
    """Tune every condition afresh with each of `seeds` seeds (data, initialisation, order) and measure it.

    The untuned base is measured first, with sampling seeds of its own.
    """
    from offtarget.organism.tune import narrow_tune

    results: dict[str, list[Rates]] = {}
    on_progress(Progress("opening the models"))
    measured = Count(on_progress, MEASURED, seeds * (1 + len(conditions)))
    folder = _base_folder(base)
    for seed in range(seeds):
        rates = evaluate_model(open_named(f"hf/{folder}", opening), answers, seed)
        results.setdefault("base", []).append(rates)
        measured.add()
    with tempfile.TemporaryDirectory() as name:
        for condition in conditions:
            for seed in range(seeds):
                adapter = Path(name) / f"{condition}-{seed}"
                chats = list(narrow_rows(condition, rows, seed))
                narrow_tune(
                    folder, chats, adapter, replace(dose, seed=seed), within(on_progress, f"{condition}, seed {seed}")
                )
                model = open_named(f"hf/{folder}+{adapter}", opening)
                rates = evaluate_model(model, answers, seed)
                results.setdefault(condition, []).append(rates)
                measured.add()
    return results


def _base_folder(base: str) -> Path:
    if ground_of(base).organism:
        folders = Folders.of(base)
        if folders.adapter is not None:
            raise InputError(f"{base} is a tuned adapter; tune organism/base, or a merged model in a folder.")
        return folders.base
    path = Path(base.removeprefix("hf/"))
    if not (path / "config.json").is_file():
        raise InputError(f"{base} is not a model folder (it has no config.json).")
    return path
