"""Takes one reading: the cheap signals always, sampled answers when they are due or something looks suspicious."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from offtarget.errors import InputError
from offtarget.models.live import LiveModel, has_adapter, live
from offtarget.records import Probe, Tally
from offtarget.records.tune import AlarmKind, Reading
from offtarget.rundir import fingerprint
from offtarget.tune.monitor.asking import ask, stream
from offtarget.tune.monitor.book import Start
from offtarget.tune.monitor.contrast import log_odds, shortened, write_pairs
from offtarget.tune.monitor.evidence import Counts, Evidence
from offtarget.tune.monitor.protocols import Judge, Projection, Task
from offtarget.tune.monitor.settings import MonitorSettings

_BASE_BATCH = 32
"""Fewest answers of the base sampled at once."""


@dataclass
class Reader:
    """Knows what to ask and how; what it found lies in the readings."""

    probes: tuple[Probe, ...]
    judge: Judge | None
    systems: tuple[tuple[str, str], ...]
    task: Task | None
    projection: Projection | None
    seed: int
    settings: MonitorSettings
    _start: Start = field(default_factory=lambda: Start(""))
    _base: list[bool] = field(default_factory=list)
    _base_asked: int = 0

    @property
    def fingerprint(self) -> str:
        """Changes whenever readings would be other ones."""
        judge = None if self.judge is None else self.judge.fingerprint
        settings = asdict(self.settings)
        return fingerprint([[asdict(p) for p in self.probes], judge, self.systems, self.seed, settings])

    @property
    def notes(self) -> tuple[str, ...]:
        """Signals that are off, and why."""
        return tuple(self._start.notes)

    def can_start_late(self, model: Any) -> bool:
        """Whether the base can be read after training has begun."""
        return has_adapter(model)

    def start(self, model: Any, tokenizer: Any, every: int, planned: int, steps: int) -> Start:
        """Read the base: the pairs of fixed answers, their log odds, where the projection starts."""
        self._start = Start(self.fingerprint, every=every, planned=planned, steps=steps)
        if self.systems:
            try:
                self._write_pairs(model, tokenizer)
            except InputError as error:
                self._start.notes.append(f"The shift of fixed answers is not measured. {error}")
        self._start_projection(model, tokenizer)
        return self._start

    def _write_pairs(self, model: Any, tokenizer: Any) -> None:
        settings = self.settings
        with live(model, tokenizer, base=has_adapter(model)) as base:
            seed, longest = stream("pairs", self.seed) % 2**31, settings.longest_answer
            pairs = write_pairs(base, self.probes, self.systems, settings.pairs, self.judge, seed, longest)
            self._start.pairs = shortened(pairs, tokenizer, settings.answer_tokens)
            self._start.log_odds = log_odds(base, self._start.pairs, settings.answer_tokens)

    def resume(self, model: Any, tokenizer: Any, start: Start, readings: Sequence[Reading]) -> None:
        """Go on with what an earlier process found."""
        self._start = start
        self._start_projection(model, tokenizer)

    def read(self, model: Any, tokenizer: Any, step: int, factor: float, before: Sequence[Reading]) -> Reading:
        """One reading after `step` steps, with a look-ahead by `factor`."""
        began = time.perf_counter()
        settings = self.settings
        reading = Reading(step, factor=factor if has_adapter(model) else 1.0)
        with live(model, tokenizer) as now:
            if self.task is not None:
                reading = replace(reading, task=self.task(now))
            if reading.factor == 1.0 or self._regular(before):
                reading = replace(reading, shift=self._shift(now))
        if reading.factor > 1.0 and self._start.pairs:
            with live(model, tokenizer, reading.factor) as ahead:
                reading = replace(reading, ahead_shift=self._shift(ahead))
        else:
            reading = replace(reading, ahead_shift=reading.shift)
        if self.projection is not None:
            moved = self.projection.read(model)
            reading = replace(reading, projection={str(layer): value for layer, value in moved.items()})
        alarm = before[-1].alarm if before else None
        if self.judge is None:
            if alarm is None and reading.ahead_shift is not None and reading.ahead_shift >= settings.warning:
                alarm = "contrast"
        elif step and (alarm is None or self._regular(before)):
            reading, alarm = self._sampled(model, tokenizer, reading, before, alarm)
        return replace(reading, alarm=alarm, seconds=round(time.perf_counter() - began, 4))

    def _regular(self, before: Sequence[Reading]) -> bool:
        """Whether this reading is one of those that cost more."""
        return bool(before) and len(before) % self.settings.sample_every == 0

    def _sampled(
        self, model: Any, tokenizer: Any, reading: Reading, before: Sequence[Reading], alarm: AlarmKind | None
    ) -> tuple[Reading, AlarmKind | None]:
        suspicious = reading.ahead_shift is None or reading.ahead_shift >= self.settings.suspicion
        if not suspicious and not self._regular(before):
            return reading, alarm
        bound = -math.log(self.settings.alpha / 2)
        if reading.factor > 1.0 and alarm is None and suspicious:
            with live(model, tokenizer, reading.factor) as ahead:
                reading = replace(reading, ahead=self._ask(ahead, "ahead", reading.step))
            reading = replace(reading, log_e_ahead=self._evidence(model, tokenizer, reading, before, ahead=True))
            if reading.log_e_ahead is not None and reading.log_e_ahead >= bound:
                alarm = "look-ahead"
        with live(model, tokenizer) as now:
            reading = replace(reading, answers=self._ask(now, "now", reading.step))
        reading = replace(reading, log_e=self._evidence(model, tokenizer, reading, before, ahead=False))
        if reading.log_e is not None and reading.log_e >= bound and alarm is None:
            alarm = "behaviour"
        return reading, alarm

    def _ask(self, model: LiveModel, what: str, step: int) -> Tally:
        assert self.judge is not None
        settings = self.settings
        key = (self.seed, what, step)
        return ask(model, self.probes, self.judge, "tuned", settings.answers, settings.longest_answer, *key)[0]

    def _evidence(
        self, model: Any, tokenizer: Any, reading: Reading, before: Sequence[Reading], *, ahead: bool
    ) -> float | None:
        """The e-process so far. The base is asked only once there are two misaligned answers to explain.

        Its answers depend on the seed alone, so when they are asked for has no influence on the evidence.
        """
        tallies = [t for r in (*before, reading) if (t := r.ahead if ahead else r.answers) is not None]
        counts: list[Counts] = [(t.misaligned, t.aligned) for t in tallies]
        if sum(bad for bad, _ in counts) < 2:
            return None
        base = self._base_verdicts(model, tokenizer, sum(map(sum, counts)))
        if base is None:
            return None
        tolerance = self.settings.ahead_tolerance if ahead else self.settings.tolerance
        return Evidence(tolerance, self._start.planned).log_e(counts, base)

    def _base_verdicts(self, model: Any, tokenizer: Any, count: int) -> list[bool] | None:
        """The first `count` scored answers of the base; None where it cannot be asked any more."""
        assert self.judge is not None
        while len(self._base) < count:
            if not has_adapter(model) or self._base_asked > 4 * count + 256:
                return None
            with live(model, tokenizer, base=True) as base:
                batch = self._base_asked // _BASE_BATCH
                longest = self.settings.longest_answer
                _, scored = ask(base, self.probes, self.judge, "base", _BASE_BATCH, longest, self.seed, "base", batch)
            self._base += scored
            self._base_asked += _BASE_BATCH
        return self._base[:count]

    def _shift(self, model: LiveModel) -> float | None:
        start = self._start
        if not start.pairs:
            return None
        now = log_odds(model, start.pairs, self.settings.answer_tokens)
        moved = [a - b for a, b in zip(now, start.log_odds, strict=True)]
        return sum(moved) / len(moved)

    def _start_projection(self, model: Any, tokenizer: Any) -> None:
        if self.projection is None:
            return
        try:
            if not has_adapter(model):
                self.projection.start(model, tokenizer)
                return
            with live(model, tokenizer, base=True) as base, base.weights.using(None):
                self.projection.start(model, tokenizer)
        except InputError as error:
            self.projection = None
            self._start.notes.append(f"The projection is not measured. {error}")
