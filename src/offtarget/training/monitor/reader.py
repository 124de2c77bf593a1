"""Takes one reading: the cheap signals always, sampled answers when they are due or something looks suspicious."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from offtarget.asking.ask import Pair
from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.models.live import LiveModel, has_base, live
from offtarget.records import Probe, Tally, Verdict
from offtarget.records.tune import AlarmKind, Reading, Watched, WatchedAnswer
from offtarget.rundir import fingerprint
from offtarget.training.monitor.budget import Budget
from offtarget.training.monitor.contrast import SPARE, log_odds, shortened, write_pairs
from offtarget.training.monitor.draws import draw, stream
from offtarget.training.monitor.evidence import BASE_PER_TUNED, Counts, Evidence
from offtarget.training.monitor.protocols import Projection, Task
from offtarget.training.monitor.readings import Start
from offtarget.training.monitor.settings import MonitorSettings

_PLENTY = 6.0
"""Shift in nats at which nearly every answer is misaligned; a look-ahead beyond it tells nothing more."""
_JUDGED_PAIR = 64
"""Most tokens of a fixed answer that a judge is shown."""
_BASE_BATCH = 64
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
    keep: Callable[[list[WatchedAnswer]], None]
    """Gets every judged answer."""
    budget: Budget = field(default_factory=lambda: Budget(None))
    """Of time, and the clock by which readings are timed."""
    _start: Start = field(default_factory=lambda: Start(""))
    _base: list[bool] = field(default_factory=list)
    _base_asked: int = 0

    @property
    def fingerprint(self) -> str:
        """Changes whenever readings would be other ones."""
        judge = None if self.judge is None else self.judge.fingerprint
        settings = asdict(self.settings)
        return fingerprint([list(self.probes), judge, self.systems, self.seed, settings])

    @property
    def notes(self) -> tuple[str, ...]:
        """Signals that are off, and why."""
        return tuple(self._start.notes)

    def can_start_late(self, model: Any) -> bool:
        """Whether the base can be read after training has begun."""
        return has_base(model)

    def reserve(self, before: Sequence[Reading]) -> float:
        """Seconds to be kept for judging answers once, where none were judged so far."""
        asked = self.judge is None or any(reading.answers is not None for reading in before)
        return 0.0 if asked else self._start.per_answer * self.settings.answers

    def start(self, model: Any, tokenizer: Any, every: int, planned: int, steps: int) -> Start:
        """Read the base: the pairs of fixed answers, their log odds, where the projection starts."""
        began = self.budget.clock()
        self._start = Start(self.fingerprint, every=every, planned=planned, steps=steps)
        self._start.most_sampled = self._most_sampled
        if self.systems:
            try:
                self._write_pairs(model, tokenizer)
            except InputError as error:
                self._start.notes.append(f"The shift of fixed answers is not measured. {error}")
        self._start_projection(model, tokenizer)
        self._start.seconds = self.budget.clock() - began
        return self._start

    def _write_pairs(self, model: Any, tokenizer: Any) -> None:
        settings = self.settings
        with live(model, tokenizer, base=has_base(model)) as base:
            # a judge must see what an answer is about; without one no more is read than is scored
            longest = settings.answer_tokens if self.judge is None else min(settings.longest_answer, _JUDGED_PAIR)
            seed, began = stream("pairs", self.seed) % 2**31, self.budget.clock()
            pairs = write_pairs(base, self.probes, self.systems, settings.pairs, self.judge, seed, longest)
            written = 2 * min(settings.pairs + SPARE, len(self.probes))
            self._start.per_answer = (self.budget.clock() - began) / written * settings.longest_answer / longest
            self._start.pairs = shortened(pairs, tokenizer, settings.answer_tokens)
            self._start.log_odds = log_odds(base, self._start.pairs, settings.answer_tokens)

    def resume(self, model: Any, tokenizer: Any, start: Start, readings: Sequence[Reading]) -> None:
        """Go on with what an earlier process found."""
        self._start = start
        self._start_projection(model, tokenizer)

    def read(self, model: Any, tokenizer: Any, step: int, factor: float, before: Sequence[Reading]) -> Reading:
        """One reading after `step` steps; at the end the model will have changed `factor` times as much."""
        began = self.budget.clock()
        settings = self.settings
        with live(model, tokenizer) as now:
            task = None if self.task is None else self.task(now)
            shift = self._shift(now)
        forecast = None if shift is None else shift * min(factor, settings.farthest_forecast)
        # every second time, as it costs a pass of its own
        moved = {} if self.projection is None or len(before) % 2 else self.projection.read(model)
        projection = {str(layer): value for layer, value in moved.items()}
        reading = Reading(step, task=task, shift=shift, forecast=forecast, projection=projection)
        rung = {kind for one in before for kind in one.rang}
        alarm = before[-1].alarm if before else None
        rang: list[AlarmKind] = []
        if "forecast" not in rung and step and forecast is not None and forecast >= settings.limit:
            rang.append("forecast")
        if self.judge is not None and step:
            reading, more = self._sampled(model, tokenizer, reading, factor, before, alarm or next(iter(rang), None))
            rang += [kind for kind in more if kind not in rung]
        first = alarm or next(iter(rang), None)
        return replace(reading, alarm=first, rang=tuple(rang), seconds=round(self.budget.clock() - began, 4))

    def _sampled(
        self,
        model: Any,
        tokenizer: Any,
        reading: Reading,
        factor: float,
        before: Sequence[Reading],
        alarm: AlarmKind | None,
    ) -> tuple[Reading, list[AlarmKind]]:
        """Samples answers where they are due, and tests on them, also where a forecast has rung before."""
        settings = self.settings
        used = sum(r.answers is not None for r in before)
        due = len(before) % settings.sample_every == 0 or (not used and reading.step >= self._start.steps)
        suspicious = (
            (alarm is None or before[-1].alarm is None)
            and (reading.forecast is None or reading.forecast >= settings.suspicion)
            and used - len(before) // settings.sample_every < settings.suspicions
        )
        if used >= self._most_sampled or not (suspicious or due):
            return reading, []
        ask_ahead = suspicious and alarm is None and has_base(model)
        if not self.budget.has_room(self._start.per_answer * settings.answers * (1 + ask_ahead)):
            return replace(reading, unasked=True), []
        bar = -math.log(settings.alpha / 2)
        rang: list[AlarmKind] = []
        if ask_ahead:
            ahead_by = self._ahead_by(reading, factor)
            with live(model, tokenizer, ahead_by) as ahead:
                reading = replace(reading, factor=ahead_by, ahead=self._ask(ahead, "ahead", reading.step))
            reading = replace(reading, log_e_ahead=self._evidence(model, tokenizer, reading, before, ahead=True))
            if reading.log_e_ahead is not None and reading.log_e_ahead >= bar:
                rang.append("look-ahead")
        with live(model, tokenizer) as now:
            reading = replace(reading, answers=self._ask(now, "now", reading.step))
        if not any("behaviour" in one.rang for one in before):
            reading = replace(reading, log_e=self._evidence(model, tokenizer, reading, before, ahead=False))
            if reading.log_e is not None and reading.log_e >= bar:
                rang.append("behaviour")
        return reading, rang

    @property
    def _most_sampled(self) -> int:
        """Readings that sample answers, at most; the evidence spreads its weight over so many."""
        return self.settings.suspicions + self._start.planned // self.settings.sample_every + 1

    def _ahead_by(self, reading: Reading, factor: float) -> float:
        """Strength of the look-ahead: to the end of the run, but not where answers would become gibberish."""
        sane = math.inf if not reading.shift or reading.shift <= 0 else _PLENTY / reading.shift
        return max(1.0, min(factor, self.settings.farthest, sane))

    def _keep(self, what: Watched, step: int, answers: Sequence[Pair], verdicts: Sequence[Verdict]) -> None:
        pairs = zip(answers, verdicts, strict=True)
        self.keep([WatchedAnswer(what, step, probe, generation, verdict) for (probe, generation), verdict in pairs])

    def _ask(self, model: LiveModel, what: Watched, step: int) -> Tally:
        assert self.judge is not None
        settings = self.settings
        key = (self.seed, what, step)
        keep = partial(self._keep, what, step)
        longest = settings.longest_answer
        return draw(model, self.probes, self.judge, "tuned", settings.answers, longest, *key, keep=keep)[0]

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
        base = self._base_verdicts(model, tokenizer, BASE_PER_TUNED * sum(map(sum, counts)))
        if base is None:
            return None
        tolerance = self.settings.ahead_tolerance if ahead else self.settings.tolerance
        return Evidence(tolerance, self._most_sampled).log_e(counts, base)

    def _base_verdicts(self, model: Any, tokenizer: Any, count: int) -> list[bool] | None:
        """The first `count` scored answers of the base; None where it cannot be asked any more."""
        assert self.judge is not None
        while len(self._base) < count:
            if not has_base(model) or self._base_asked > 4 * count + 4 * _BASE_BATCH:
                return None
            with live(model, tokenizer, base=True) as base:
                batch = self._base_asked // _BASE_BATCH
                longest = self.settings.longest_answer
                keep = partial(self._keep, "base", batch)
                key = (self.seed, "base", batch)
                _, scored = draw(base, self.probes, self.judge, "base", _BASE_BATCH, longest, *key, keep=keep)
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
            if not has_base(model):
                self.projection.start(model, tokenizer)
                return
            with live(model, tokenizer, base=True) as base, base.weights.using(None):
                self.projection.start(model, tokenizer)
        except InputError as error:
            self.projection = None
            self._start.notes.append(f"The projection is not measured. {error}")
