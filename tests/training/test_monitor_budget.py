"""Readings keep to a share of the training's time, by a clock of the test's own; what they left out is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_monitor_live import SMALL, _monitor, _train
from tiny_models import build
from transformers import TrainerCallback
from tune_runs import FACTS, readings

from offtarget.errors import InputError
from offtarget.pages.tune.loading import WatchedRun
from offtarget.pages.tune.monitor import limits, watching
from offtarget.training.monitor.budget import Budget
from offtarget.training.monitor.callback import MisalignmentMonitor
from offtarget.training.monitor.settings import MonitorSettings


class Clock:
    """Goes on only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rehearse(
    steps: int, step: float, reading: float, *, every: int = 1, before: float = 0.0
) -> tuple[list[int], float]:
    """Steps at which readings are taken of a training with steps and readings of so many seconds; the share taken."""
    clock, taken = Clock(), []
    budget = Budget(0.1, clock=clock)
    budget.begin(steps, before, 0)
    budget.read(0, reading, sampled=False)
    for number in range(1, steps + 1):
        budget.step_begins()
        clock.now += step
        budget.step_ends()
        if (number % every == 0 or number == steps) and budget.allows(number):
            taken.append(number)
            budget.read(number, reading, sampled=False)
    assert budget.taken is not None
    return taken, budget.taken


def test_cheap_readings_are_all_taken() -> None:
    taken, share = rehearse(100, step=10.0, reading=1.0, every=8)
    assert taken == [*range(8, 100, 8), 100]
    assert share < 0.1


@pytest.mark.parametrize("reading", [3.0, 8.0, 20.0, 45.0])
def test_slow_readings_become_fewer_and_keep_to_the_share(reading: float) -> None:
    taken, share = rehearse(100, step=10.0, reading=reading)
    assert taken[-1] == 100
    assert share <= 0.1
    assert len(taken) + 1 >= 0.7 * 100 / reading  # and the share is used
    gaps = [b - a for a, b in zip([0, *taken], taken, strict=False)]
    assert max(gaps) <= 3 * min(gaps) + 1  # spread over the training, not all at its beginning


def test_what_cannot_be_afforded_at_all_is_read_once_at_the_end() -> None:
    assert rehearse(19, step=1.0, reading=5.0, before=30.0)[0] == [19]


def test_without_a_share_everything_is_taken_and_short_trainings_have_some_seconds_free() -> None:
    clock = Clock()
    for budget in (Budget(None, clock=clock), Budget(0.1, least=1000.0, clock=clock)):
        budget.begin(10, 0.0, 0)
        budget.read(0, 50.0, sampled=False)
        budget.step_begins()
        clock.now += 1.0
        budget.step_ends()
        assert budget.allows(1)
    with pytest.raises(InputError, match="share"):
        MonitorSettings(share=0.0)


class Slow(TrainerCallback):  # type: ignore[misc]
    """Every step takes ten seconds of the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.clock.now += 10.0


def watched(tmp_path: Path, seconds: float, **options: Any) -> MisalignmentMonitor:
    """Six steps of ten seconds, whose monitor takes so many for a reading."""
    clock = Clock()

    def task(_: Any) -> float:
        clock.now += seconds
        return -1.0

    settings = replace(SMALL, least=0.0, readings=6)
    given = {"every": None, "task": task, "settings": settings, "clock": clock, "judge": None} | options
    monitor = _monitor(tmp_path / "run", **given)
    base = build("llama", tmp_path / "base")
    _train(base, tmp_path / "out", monitor, after=Slow(clock))
    return monitor


def test_a_slow_monitor_reads_at_the_beginning_and_at_the_end(tmp_path: Path) -> None:
    monitor = watched(tmp_path, 5.0)
    assert [reading.step for reading in monitor.readings] == [0, 6]
    assert monitor.readings[-1].left_out == 5
    assert monitor.taken == pytest.approx(10 / 60)  # these two are read in any case


def test_every_step_is_read_where_that_was_asked_for(tmp_path: Path) -> None:
    monitor = watched(tmp_path, 5.0, every=1)
    assert [reading.step for reading in monitor.readings] == list(range(7))
    assert monitor.share is None


def test_an_early_stop_reads_the_same_on_every_machine(tmp_path: Path) -> None:
    monitor = watched(tmp_path, 5.0, stop=True)
    assert [reading.step for reading in monitor.readings] == list(range(7))


def test_the_page_says_what_was_left_out() -> None:
    facts = replace(FACTS, share=0.1, least=10.0, taken=0.096)
    left = [replace(one, left_out=number, unasked=number == 2) for number, one in enumerate(readings())]
    said = list(watching(WatchedRun(facts, tuple(left))))
    assert said == [
        "3 readings; the budget of 10 % of the time of the training's steps (at least 10 s) allowed no more and left 3 "
        "out. They took 9.6 % of the time of the training's steps. With --every N there are as many as you ask for."
    ]
    assert any("judged at step 40" in line for line in limits(WatchedRun(facts, tuple(left))))
    assert "within the budget" in next(iter(watching(WatchedRun(facts, tuple(readings())))))
    assert "whatever they take" in next(iter(watching(WatchedRun(replace(facts, share=None), tuple(readings())))))


def test_without_a_judge_no_more_of_a_fixed_answer_is_written_than_is_read(tmp_path: Path) -> None:
    from offtarget.training.monitor import contrast

    longest: list[int] = []
    write = contrast.ask

    def asked(*args: Any) -> Any:
        longest.append(args[3].max_tokens)
        return write(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contrast, "ask", asked)
        monitor = watched(tmp_path, 0.0, settings=replace(SMALL, answer_tokens=4, longest_answer=50))
    assert longest == [4]
    assert monitor.readings[-1].shift is not None
