"""Builds the monitor of a training run from names: questions, judge, persona direction, page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.pages.tune.loading import FACTS, load_watched
from offtarget.pages.tune.monitor import PAGE, write_page
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent
from offtarget.records import Message, Probe
from offtarget.records.check import JudgeBy
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import Reading, WatchFacts
from offtarget.rundir import read_record, write_json
from offtarget.workflows.direction.screen import opened_direction
from offtarget.workflows.ground import EXACT_JUDGE, ground_of, has_exact_judge, judge_at_hand, open_bank

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.direction.measure import DriftMonitor
    from offtarget.training.monitor.callback import MisalignmentMonitor
    from offtarget.training.monitor.settings import Calibration, MonitorSettings

Rows = Sequence[Any]
"""Chats: sequences of messages, or records with `messages`."""

_DRIFT_QUESTIONS = 4
"""Questions on which the movement along the direction is read."""


def make_monitor(
    base: str,
    rows: Rows,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    direction: str | Path | Direction | None = None,
    every: int | None = None,
    stop: bool = False,
    run: str | Path | None = None,
    seed: int = 0,
    settings: MonitorSettings | None = None,
    opening: OpenSettings | None = None,
    trial: bool = False,
    on_progress: OnProgress = silent,
    **more: Any,
) -> MisalignmentMonitor:
    """The monitor for a tune of `base` on `rows`, with what suits the base where nothing is given.

    `organism/...` gets its own questions and its exact judge; any other base the shipped bank `everyday` and only a
    judge that is given. `direction` is a file of `direction find`; without one the direction is made before the
    first step from the base under the system prompts of a trait. With `run`, readings and the page that draws them
    are kept there. `opening` is how a judge is opened by name; with `trial` it is tried on known answers first, and
    `on_progress` is told of that. `more` goes to `MisalignmentMonitor`. Raises InputError
    for questions, judge or direction that cannot be opened, and for a judge that fails its trial.
    """
    from offtarget.direction.trait import load_trait
    from offtarget.training.monitor.callback import MisalignmentMonitor
    from offtarget.training.monitor.settings import MonitorSettings, calibration

    ground = ground_of(base)
    bank = open_bank(probes, ground)
    asked = _plain(bank)
    exact = judge in (None, EXACT_JUDGE) and has_exact_judge(bank)
    judge = judge_at_hand(judge, ProbeBank.from_probes(bank.name, asked), judge_by, opening)
    trait = load_trait(ground.trait)
    calibrated = calibration(base)
    settings = settings or MonitorSettings(limit=calibrated.limit)
    facts = WatchFacts(
        base=base,
        judged=judge is not None,
        alpha=settings.alpha,
        tolerance=settings.tolerance,
        ahead_tolerance=settings.ahead_tolerance,
        calibration=calibrated.says,
        limit=settings.limit,
        healthy=_healthy(calibrated, settings),
        likelihood=more.get("task") is None,
        exact=exact,
        share=None if every is not None or stop else settings.share,
        least=settings.least,
        trial=_trial(judge, bank, seed, run, on_progress) if trial and judge is not None and not exact else None,
    )
    found = None if direction is None else opened_direction(direction)
    monitor: MisalignmentMonitor

    def draw(readings: Sequence[Reading]) -> None:
        if run is not None:
            notes = (*bank.notes, *monitor.notes)
            now = replace(facts, notes=notes, finished=monitor.finished, best=monitor.best_step, taken=monitor.taken)
            write_json(Path(run) / FACTS, now)
            write_page(Path(run) / PAGE, load_watched(Path(run)))

    monitor = MisalignmentMonitor(
        asked,
        judge=judge,
        systems=trait.system_pairs,
        rows=[_messages(row) for row in rows],
        projection=PersonaProjection(found, asked, trait.system_pairs, seed),
        every=every,
        stop=stop,
        run=run,
        seed=seed,
        settings=settings,
        on_reading=draw,
        told=on_progress,
        **more,
    )
    return monitor


def _trial(judge: Judge, bank: ProbeBank, seed: int, run: str | Path | None, on_progress: OnProgress) -> str | None:
    """What trying the judge came to; a run that goes on has it already."""
    from offtarget.workflows.tune.trial import tried

    if run is not None and (Path(run) / FACTS).exists():
        return read_record(Path(run) / FACTS, WatchFacts).trial
    return tried(judge, bank, seed, on_progress)


def _healthy(calibrated: Calibration, settings: MonitorSettings) -> tuple[int, int] | None:
    """How many of the healthy trainings that were set aside rang; None where that was not counted at this limit."""
    if not calibrated.held_out_runs or settings.limit != calibrated.limit:
        return None
    return calibrated.held_out_alarms, calibrated.held_out_runs


def _messages(row: Any) -> tuple[Message, ...]:
    return tuple(row.messages if hasattr(row, "messages") else row)


def _plain(bank: ProbeBank) -> tuple[Probe, ...]:
    """Single-turn questions in the plain form; all of them where the bank has no plain arm."""
    single = [p for p in bank.probes if p.plainly_asked]
    plain = tuple(p for p in single if p.arm == "plain") or tuple(single)
    if not plain:
        raise InputError(f"The probe bank '{bank.name}' has no question of a single turn; the monitor needs some.")
    return plain


@dataclass
class PersonaProjection:
    """Movement of the model in training along a persona direction, at the direction's own layer and position.

    Without a direction one is made from the base itself: difference in means of the last prompt token under system
    prompts that bring the trait out and hold it back (arXiv 2507.21509, section 2, without the sampled answers, so
    that it costs two short passes).
    """

    direction: Direction | None
    probes: Sequence[Probe]
    systems: Sequence[tuple[str, str]]
    seed: int = 0
    _meter: DriftMonitor | None = field(default=None, repr=False)

    def start(self, model: Any, tokenizer: Any) -> None:
        """Takes the base as reference. InputError when the direction does not fit the model."""
        from offtarget.direction.file import Direction
        from offtarget.direction.measure import DriftMonitor
        from offtarget.models.passes import Exchange

        found = self.direction or self._from_prompts(model, tokenizer)
        layer = found.info.layer
        one = Direction(found.info, {layer: found.vectors[layer]})
        exchanges = [Exchange(probe.messages) for probe in self.probes[:_DRIFT_QUESTIONS]]
        self._meter = DriftMonitor(model, tokenizer, exchanges, one, position="last-prompt")

    def read(self, model: Any) -> dict[int, float]:
        """Layer -> mean movement since the start, in differences of means."""
        return {} if self._meter is None else self._meter.read(model)

    def _from_prompts(self, model: Any, tokenizer: Any) -> Direction:
        from offtarget.direction.contrast import Contrast, Side
        from offtarget.direction.find import Provenance, find_direction
        from offtarget.models.live import has_base, live
        from offtarget.models.passes import Exchange

        probes = self.probes[:_DRIFT_QUESTIONS]
        with live(model, tokenizer, base=has_base(model)) as base:
            sides = []
            for side in (0, 1):
                told = [(p, pair[side]) for p in probes for pair in self.systems[:1]]
                exchanges = tuple(Exchange((Message("system", s), *p.messages[-1:])) for p, s in told)
                sides.append(Side(base, exchanges, tuple(p.question_id for p, _ in told)))
            source = Provenance("trait", self.seed, made_by="monitor")
            return find_direction(Contrast.matched(*sides), ("last-prompt",), source)
