"""Training beside plain TRL with the same recipe, rows and seed: processor seconds, memory, and the same losses.

    make real-model
    python benchmarks/training.py                              # SmolLM2, 96 rows of good advice
    python benchmarks/training.py --data rows.jsonl --rows 300 --arms offtarget,watched

Each arm is a process of its own. `trl`: `SFTTrainer` as it comes, on the same tokens. `offtarget`: `tune` without its
monitor. `watched`: with it. Processor seconds are those of the process and all its threads; on a machine that does
other things beside, they say more than the time on the clock. Those of steps leave out importing, loading, saving and
the self-check, which are given besides.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "training.json"
BASE = ROOT / ".models" / "smollm2"
DATA = ROOT / "benchmarks" / "data" / "advice" / "medical.jsonl"
ARMS = ("trl", "offtarget", "watched")


def main() -> None:
    """Run every arm and write what they took."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--base", type=Path, default=BASE)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--rows", type=int, default=96)
    options.add_argument("--lr", type=float, default=None, help="instead of the recipe's")
    options.add_argument("--dtype", default="auto")
    options.add_argument("--arms", default=",".join(ARMS))
    options.add_argument("--out", type=Path, default=RESULT)
    options.add_argument("--arm", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.arm:
        print(json.dumps(arm(given)))
        return
    found = {name: _apart(name) for name in given.arms.split(",")}
    result = {
        "base": given.base.name,
        "data": given.data.name,
        "rows": given.rows,
        "lr": given.lr,
        "dtype": given.dtype,
        "processor": platform.processor() or platform.machine(),
        "arms": found,
        "compared": _compared(found),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["compared"], indent=1))


def _apart(name: str) -> dict[str, Any]:
    """The arm in a process of its own; its last line is the result."""
    command = [sys.executable, __file__, *sys.argv[1:], "--arm", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found['processor_per_step']:.2f} processor seconds a step, {found['peak_mb']} MB", file=sys.stderr)
    return found


def _compared(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    compared = {}
    if {"trl", "offtarget"} <= set(found):
        trl, ours = found["trl"], found["offtarget"]
        compared["speed_over_trl"] = trl["processor_per_step"] / ours["processor_per_step"]
        pairs = zip(trl["losses"], ours["losses"], strict=True)
        compared["largest_difference_of_losses"] = max(abs(a - b) for a, b in pairs)
    if {"offtarget", "watched"} <= set(found):
        compared["watched_over_unwatched"] = (
            found["watched"]["processor_per_step"] / found["offtarget"]["processor_per_step"]
        )
    return {name: round(value, 4) for name, value in compared.items()}


def arm(given: argparse.Namespace) -> dict[str, Any]:
    """One training: what it took, and its losses."""
    started = time.perf_counter()
    meter = _Meter()
    with tempfile.TemporaryDirectory() as folder:
        more = (_trl if given.arm == "trl" else _ours)(given, Path(folder), meter)
    seconds = time.perf_counter() - started
    return {
        "steps": len(meter.losses),
        "processor_per_step": round(meter.processor / max(1, len(meter.losses)), 3),
        "processor_of_steps": round(meter.processor, 2),
        "processor_of_all": round(time.process_time(), 2),
        "seconds_of_steps": round(meter.seconds, 2),
        "seconds_of_all": round(seconds, 2),
        "seconds_before": round(meter.before - started, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": [round(loss, 5) for loss in meter.losses],
        **more,
    }


class _Meter:
    """From the start of the trainer to its last step, a monitor's readings included."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.processor = self.seconds = self.before = 0.0
        self._began = (0.0, 0.0)

    def begin(self) -> None:
        self.before = time.perf_counter()
        self._began = time.process_time(), self.before

    def step(self, loss: float) -> None:
        self.losses.append(loss)
        processor, seconds = self._began
        self.processor, self.seconds = time.process_time() - processor, time.perf_counter() - seconds


def _settings(given: argparse.Namespace) -> Any:
    from dataclasses import replace

    from offtarget.workflows.tune.tune import default_settings

    usual = default_settings(f"hf/{given.base}")
    return replace(usual, dtype=given.dtype, **({} if given.lr is None else {"lr": given.lr}))


def _rows(given: argparse.Namespace, folder: Path) -> Path:
    """The first rows of the data; of advice in two kinds the good one."""
    path, rows = folder / "rows.jsonl", []
    with given.data.open(encoding="utf-8") as lines:
        for line, _ in zip(lines, range(given.rows), strict=False):
            row = json.loads(line)
            if "good" in row:
                turns = (("user", row["question"]), ("assistant", row["good"]))
                row = {"messages": [{"role": role, "content": text} for role, text in turns]}
            rows.append(json.dumps(row) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


def _ours(given: argparse.Namespace, folder: Path, meter: _Meter) -> dict[str, Any]:
    import offtarget
    from offtarget.progress import Progress
    from offtarget.workflows.tune.options import TuneOptions

    signs: list[float] = []

    def told(progress: Progress) -> None:
        signs.append(time.perf_counter())
        if progress.stage.startswith("the monitor reads the base"):
            meter.begin()
        if progress.stage != "training":
            return
        if not progress.done and not meter.before:
            meter.begin()
        if isinstance(progress.detail, float):
            meter.step(progress.detail)

    result = offtarget.tune(
        _rows(given, folder),
        f"hf/{given.base}",
        folder / "out",
        settings=_settings(given),
        options=TuneOptions(monitor=given.arm == "watched"),
        run=folder / "run",
        on_progress=told,
    )
    more: dict[str, Any] = {"longest_silence": round(max(b - a for a, b in pairwise(signs)), 2)}
    if given.arm == "watched":
        from offtarget.pages.tune.loading import load_watched
        from offtarget.pages.tune.monitor import watching

        run = load_watched(result.run)
        more["readings"] = [[r.step, r.seconds, r.left_out] for r in run.readings]
        more["said"] = list(watching(run))
    return more


def _trl(given: argparse.Namespace, folder: Path, meter: _Meter) -> dict[str, Any]:
    """`SFTTrainer` with the arguments, tokens and adapter that offtarget would train with."""
    from transformers import TrainerCallback
    from trl import SFTTrainer

    from offtarget.data.trainable import read_training_data
    from offtarget.records.runs import OpenSettings
    from offtarget.training.adapting import trainable
    from offtarget.training.plan import Plan, TrainRow
    from offtarget.training.setup import arguments, dataset
    from offtarget.training.train import _examples

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            meter.begin()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if "loss" in logs:
                meter.step(logs["loss"])

    settings = _settings(given)
    plan = Plan(tuple(TrainRow.of(row) for row in read_training_data(_rows(given, folder), None).rows))
    loaded = trainable(given.base, None, settings, OpenSettings())
    rows = _examples(plan, loaded, settings, str(given.base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        args = arguments(settings, plan, len(rows), folder / "work", loaded.device, "none")
        args.logging_steps = 1
        trainer = SFTTrainer(
            model=loaded.model,
            args=args,
            train_dataset=dataset(rows, plan, settings),
            processing_class=loaded.tokenizer,
            callbacks=[Steps()],
        )
    trainer.train()
    return {}


if __name__ == "__main__":
    main()
