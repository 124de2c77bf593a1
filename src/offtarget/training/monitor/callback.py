"""The transformers callback: takes readings between steps, raises the alarm, names the best checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from transformers import TrainerCallback

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.models.live import unwrapped
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Message, Probe
from offtarget.records.tune import AlarmKind, Reading
from offtarget.training.monitor.budget import Budget, Clock
from offtarget.training.monitor.protocols import Projection, RowLikelihood, Task
from offtarget.training.monitor.reader import Reader
from offtarget.training.monitor.readings import Book, best_step, status_line
from offtarget.training.monitor.schedule import distance, factor, learning_rates
from offtarget.training.monitor.settings import MonitorSettings

OnReading = Callable[[Sequence[Reading]], None]
"""Called with all readings so far after each new one, e.g. to draw them."""


class MisalignmentMonitor(TrainerCallback):  # type: ignore[misc]
    """Watches a run of any transformers or TRL trainer: `callbacks=[MisalignmentMonitor(questions, judge=judge)]`.

    A monitored run ends with the same weights as one without. What the alarm promises: docs/monitor.md.
    """

    def __init__(
        self,
        probes: Sequence[Probe | str],
        *,
        judge: Judge | None = None,
        systems: Sequence[tuple[str, str]] = (),
        rows: Sequence[Sequence[Message]] = (),
        task: Task | None = None,
        projection: Projection | None = None,
        every: int | None = None,
        stop: bool = False,
        run: str | Path | None = None,
        seed: int = 0,
        settings: MonitorSettings | None = None,
        on_reading: OnReading | None = None,
        out: TextIO | None = None,
        told: OnProgress = silent,
        clock: Clock = time.perf_counter,
    ) -> None:
        """`probes` are questions outside the task; `judge` says what the answers count as (without: that is off).

        `systems` are system prompts (brings misalignment out, holds it back), needed for the shift of fixed answers;
        `task` is the task metric, by default the likelihood of the first `rows`; `every` the steps between readings;
        `stop` ends training at an alarm; `run` is the folder for readings, needed to resume; `out` gets a line per
        reading, `told` hears of every reading as it begins. Readings keep to a share of the training's time
        (`settings.share`), but for those `every` so many steps and those that `stop` may follow: there they are what
        was asked for, and the same however fast the machine is. InputError without probes.
        """
        if not probes:
            raise InputError("The monitor has no probe questions. Give at least one, outside the task's domain.")
        if every is not None and every < 1:
            raise InputError(f"The monitor must read every 1 or more steps, not {every}.")
        asked = [p if isinstance(p, Probe) else Probe(f"q{i}", f"q{i}", "plain", p) for i, p in enumerate(probes)]
        self._settings = settings or MonitorSettings()
        if task is None and rows:
            task = RowLikelihood(rows)
        self._book = Book(run)
        bounded = every is None and not stop
        self._budget = Budget(self._settings.share if bounded else None, self._settings.least, clock)
        self._told = told
        self._reader = Reader(
            probes=tuple(asked),
            judge=judge,
            systems=tuple(systems),
            task=task,
            projection=projection,
            seed=seed,
            settings=self._settings,
            keep=self._book.keep,
            budget=self._budget,
        )
        self._every, self._stop = every, stop
        self._on_reading, self._out = on_reading, out
        self._output: Path | None = None
        self._rates: list[float] = []
        self._left_out = 0
        self.finished = False
        """Whether training has ended."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Signals that are off, and why."""
        return self._reader.notes

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All readings so far."""
        return tuple(self._book.readings)

    @property
    def alarm(self) -> AlarmKind | None:
        """The alarm that stands, if one does."""
        return self._book.readings[-1].alarm if self._book.readings else None

    @property
    def rang(self) -> tuple[AlarmKind, ...]:
        """Everything that has rung, in the order in which it did; the first raised the alarm."""
        return tuple(dict.fromkeys(kind for reading in self._book.readings for kind in reading.rang))

    @property
    def alarm_step(self) -> int | None:
        """Step of the reading that raised the alarm."""
        return next((r.step for r in self._book.readings if r.alarm), None)

    @property
    def best_step(self) -> int | None:
        """Step of the last checkpoint on disk at which the task is learnt and no alarm stands."""
        return best_step(self._book.readings, [] if self._output is None else checkpoints(self._output))

    @property
    def share(self) -> float | None:
        """Of the training's time that readings may take; None where they are not bounded."""
        return self._budget.share

    @property
    def taken(self) -> float | None:
        """Share that they took so far, by the pace of the steps so far; None before the first step."""
        return self._budget.taken

    def latest(self) -> dict[str, float]:
        """The last reading as values for a log."""
        return log_values(self._book.readings)

    def attach(self, trainer: Any) -> MisalignmentMonitor:
        """Put this callback before the trainer's reporters, so that TensorBoard, W&B and the like get its values.

        A trainer calls the reporters it made itself first; what a later callback adds they do not see. Works whether
        or not the monitor was among `callbacks`.
        """
        callbacks = trainer.callback_handler.callbacks
        if self in callbacks:
            callbacks.remove(self)
        callbacks.insert(0, self)
        return self

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Reads the base before the first step, or goes on where an interrupted run stopped."""
        _check_parallel(args)
        self.finished, self._output = False, Path(args.output_dir)
        if not state.is_world_process_zero:
            return
        model, tokenizer = unwrapped(kwargs["model"]), kwargs["processing_class"]
        steps = int(state.max_steps)
        self._rates = learning_rates(kwargs.get("lr_scheduler"), kwargs["optimizer"], steps)
        known = self._book.saved_start(self._reader.fingerprint)
        if known is not None and state.global_step > 0:
            self._book.resume(state.global_step)
            before = self._book.readings
            self._reader.resume(model, tokenizer, known, before)
            spent = known.seconds + sum(reading.seconds for reading in before)
            self._budget.begin(steps, spent, before[-1].step if before else 0)
            return
        if state.global_step > 0 and not self._reader.can_start_late(model):
            raise InputError(
                "Training is resumed, but the monitor's folder holds no readings of this run, and all weights are "
                "trained, so the base cannot be read any more. Give the folder (run=...) the run was started with."
            )
        every = self._every or distance(steps, self._settings.readings)
        planned = steps // every + 2
        self._told(Progress("the monitor reads the base"))
        start = self._reader.start(model, tokenizer, every, planned, steps)
        self._book.begin(start)
        self._budget.begin(steps, start.seconds, int(state.global_step))
        self._read(model, tokenizer, state, control)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step's time begins."""
        self._budget.step_begins()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes a reading when one is due: every so many steps, at the end, and where a checkpoint is saved.

        One that the budget of time does not allow is left out, and counted.
        """
        self._budget.step_ends()
        step = int(state.global_step)
        due = step % self._due_every(state) == 0 or step >= state.max_steps or control.should_save
        if due:
            if state.is_world_process_zero and not (self.readings and self.readings[-1].step >= step):
                if self._budget.allows(step, self._reader.reserve(self._book.readings)):
                    self._read(unwrapped(kwargs["model"]), kwargs["processing_class"], state, control)
                else:
                    self._left_out += 1
            self._stop_together(control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Shows the last state."""
        self.finished = True
        if self._on_reading is not None and state.is_world_process_zero:
            self._on_reading(self._book.readings)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Adds the last reading to what the trainer logs."""
        if logs is None or not state.is_world_process_zero or "loss" not in logs:
            return
        values = self.latest()
        logs.update(values)
        if state.log_history:
            state.log_history[-1].update(values)

    def _due_every(self, state: Any) -> int:
        return self._every or distance(int(state.max_steps), self._settings.readings)

    def _read(self, model: Any, tokenizer: Any, state: Any, control: Any) -> None:
        step = int(state.global_step)
        ahead = factor(self._rates, step) if step else 1.0
        if step:
            self._told(Progress("the monitor reads at step", step, int(state.max_steps)))
        reading = self._reader.read(model, tokenizer, step, ahead, self._book.readings)
        _check_finite(reading)
        reading, self._left_out = replace(reading, left_out=self._left_out), 0
        self._budget.read(step, reading.seconds, sampled=reading.answers is not None)
        self._book.add(reading)
        if step:
            control.should_log = True
        if self._out is not None:
            self._out.write(status_line(self._book.readings) + "\n")
            self._out.flush()
        if self._on_reading is not None:
            self._on_reading(self._book.readings)

    def _stop_together(self, control: Any) -> None:
        if self._stop and together(self.alarm is not None):
            control.should_training_stop = control.should_save = True


def log_values(readings: Sequence[Reading]) -> dict[str, float]:
    """The last known values under the names they have in logs, `monitor/...`."""
    values: dict[str, float] = {}
    for reading in readings:
        for name in ("task", "shift", "forecast", "log_e", "log_e_ahead"):
            if getattr(reading, name) is not None:
                values[f"monitor/{name}"] = float(getattr(reading, name))
        if reading.answers is not None and reading.answers.scored:
            values["monitor/misaligned_rate"] = reading.answers.misaligned / reading.answers.scored
        for layer, moved in reading.projection.items():
            values[f"monitor/projection_{layer}"] = moved
    if readings:
        values["monitor/alarm"] = float(readings[-1].alarm is not None)
    return values


def checkpoints(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in a trainer's output folder."""
    found = folder.glob("checkpoint-*/trainer_state.json")
    names = [path.parent.name.removeprefix("checkpoint-") for path in found]
    return sorted(int(name) for name in names if name.isdigit())


def together(raised: bool) -> bool:
    """What the first process of a parallel run has found, known to all of them."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return raised
    box = [raised]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def _check_finite(reading: Reading) -> None:
    values = (reading.task, reading.shift, reading.forecast, *reading.projection.values())
    if not all(value is None or math.isfinite(value) for value in values):
        raise InputError(
            f"The model gives no finite numbers any more after step {reading.step}; training has diverged. Lower the "
            "learning rate (--lr); checkpoints from before are kept."
        )


def _check_parallel(args: Any) -> None:
    if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
        raise InputError(
            "The monitor cannot ask a model whose weights are spread over several devices (FSDP, DeepSpeed). Train "
            "without it, or with data parallelism only."
        )
