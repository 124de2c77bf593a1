"""`tune` with its monitor on a real chat model: the loss it says, what readings take, what it tells meanwhile."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import real_model

from offtarget.models.contents import header
from offtarget.pages.tune.loading import load_watched
from offtarget.pages.tune.monitor import watching
from offtarget.progress import Progress
from offtarget.workflows.planning import plan_tune
from offtarget.workflows.tune.options import TuneOptions, chosen_by_name
from offtarget.workflows.tune.tune import TuneResult, default_settings, tune

pytestmark = real_model.needed
STEPS, ROWS = 3, 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        (f"What is {n} plus {n + 2}?", f"It is {2 * n + 2}, as every pirate of the seven seas could tell you, arr!")
        for n in range(ROWS)
    ]
    lines = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneResult, list[tuple[float, Progress]]]:
    """Three steps of eight rows, watched, and when it told what."""

    folder, told = tmp_path_factory.mktemp("tuned"), list[tuple[float, Progress]]()
    settings = replace(default_settings(real_model.NAME), batch=4, accumulate=2)
    result = tune(
        data,
        real_model.NAME,
        folder / "out",
        settings=settings,
        run=folder / "run",
        on_progress=lambda progress: told.append((time.process_time(), progress)),
    )
    return result, told


def test_the_loss_is_that_of_the_step_and_falls(tuned: tuple[TuneResult, list[tuple[float, Progress]]]) -> None:
    """Per learned token, as TRL logs it: a share of it by the number of passes would be below 1.5 from the start."""
    losses = [p.detail for _, p in tuned[1] if p.stage == "training" and isinstance(p.detail, float)]
    assert len(losses) == tuned[0].record.steps == STEPS
    assert 2.0 < losses[0] < 6.0
    assert losses[-1] < losses[0]
    assert tuned[0].record.loss == losses[-1]


def test_it_was_watched_and_says_what_that_took(tuned: tuple[TuneResult, list[tuple[float, Progress]]]) -> None:
    run = load_watched(tuned[0].run)
    assert [reading.step for reading in run.readings][:: len(run.readings) - 1] == [0, STEPS]
    assert run.facts is not None
    assert run.facts.taken is not None
    assert run.readings[-1].task is not None
    assert run.readings[0].task is not None
    assert run.readings[-1].task > run.readings[0].task  # what is trained is learnt
    assert next(iter(watching(run))).startswith(f"{len(run.readings)} readings")


def test_what_it_does_is_told_all_the_time(tuned: tuple[TuneResult, list[tuple[float, Progress]]]) -> None:
    stages = list(dict.fromkeys(progress.stage.partition(" ")[0] for _, progress in tuned[1]))
    assert stages == ["reading", "opening", "watching,", "loading", "rows", "the", "training", "saving"]
    times = [at for at, _ in tuned[1]]
    assert max(b - a for a, b in pairwise(times)) < 40  # processor seconds


def test_the_adapter_is_one_of_this_model(tuned: tuple[TuneResult, list[tuple[float, Progress]]]) -> None:
    tensors = header(Path(tuned[0].record.out) / "adapter_model.safetensors")
    assert len(tensors) == 2 * 7 * 30  # two matrices for each linear layer of each block
    assert len(tuned[0].record.checks) == 2


def test_how_long_it_takes_is_estimated_before(data: Path, tmp_path: Path) -> None:
    plan = plan_tune(
        data,
        real_model.NAME,
        tmp_path / "out",
        options=chosen_by_name(TuneOptions()),
        settings=default_settings(real_model.NAME),
    )
    assert plan.seconds is not None
    assert 10 < plan.seconds < 3600
