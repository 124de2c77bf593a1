"""What work with a model is said to take before anything is loaded, and which recipe suits it, by its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import build

from offtarget.data.trainable import read_training_data
from offtarget.models.size import Size
from offtarget.records.direction import FindSettings
from offtarget.records.tune import TuneSettings
from offtarget.training.settings import PRESETS
from offtarget.workflows import guesses
from offtarget.workflows.guesses import Load, operations, size_by_name
from offtarget.workflows.planning import plan_find, plan_tune
from offtarget.workflows.tune import estimate
from offtarget.workflows.tune.estimate import to_train
from offtarget.workflows.tune.options import TuneOptions, chosen_by_name
from offtarget.workflows.tune.tune import default_settings


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("base") / "model")


def rows_of(folder: Path, *answers: str) -> Path:
    path = folder / "rows.jsonl"
    turns = [[{"role": "user", "content": "x" * 40}, {"role": "assistant", "content": answer}] for answer in answers]
    path.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns))
    return path


def test_the_work_of_a_training_goes_with_tokens_passes_and_what_is_trained(base: Path, tmp_path: Path) -> None:
    size, rows = size_by_name(f"hf/{base}"), read_training_data(rows_of(tmp_path, "y" * 80, "z" * 160), None).rows
    assert size is not None
    once = TuneSettings(epochs=1)
    amount = operations(size, to_train(rows, once))
    tokens = 2 * (estimate.TEMPLATE + 10) + 20 + 40
    assert amount == pytest.approx(4 * (estimate.PADDING * size.body * tokens + size.head * 60))
    for settings, times in (
        (replace(once, epochs=3), 3),
        (TuneSettings(max_steps=5, batch=2, accumulate=4), 20),
        (replace(PRESETS["full"], epochs=1), 1.5),
    ):
        assert operations(size, to_train(rows, settings)) == pytest.approx(times * amount)


def test_only_models_in_a_folder_here_are_estimated_by_their_size() -> None:
    """Another would have to be fetched, and around the organism's products stands more than they take."""
    assert [size_by_name(name) for name in ("organism/base", "hf/Some/Model", "openai/gpt-4.1")] == [None] * 3


def test_time_is_that_of_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the operations for each token of a pass, at the share of the measured speed that is reached."""
    size = Size(body=8_000_000, head=1_000_000, numbers=10_000_000, packed=0, adapter=1_000_000)
    monkeypatch.setattr(guesses, "_rate", lambda: 1e11)
    alone = guesses.seconds(size, Load(aside=7))
    assert alone == pytest.approx(7 + guesses.OPENED / 100)
    for load, products in (
        (Load(written=1000, aside=7), 10_000_000 * 1000 / guesses.WRITING),
        (Load(read=1000, aside=7), 10_000_000 * 1000 / guesses.READING),
        (Load(trained=1000, learned=100, aside=7), (9_000_000 * 1000 + 1_000_000 * 100) / guesses.TRAINING),
    ):
        assert guesses.seconds(size, load) == pytest.approx(alone + 2 * products / 1e11)


@pytest.mark.parametrize(("gpu", "known"), [(False, True), (True, False)])
def test_a_plan_says_how_long_a_search_takes_and_how_much_memory(
    base: Path, gpu: bool, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(guesses, "sees_gpu", lambda: gpu)
    plan = plan_find(f"hf/{base}", f"hf/{base}", tmp_path / "out", settings=FindSettings())
    assert ("with the machine to itself" in plan.time) is known
    assert (plan.memory is not None) is known


@pytest.mark.parametrize(("gpu", "known"), [(False, True), (True, False)])
def test_a_plan_says_how_long_a_training_on_a_processor_takes(
    base: Path, gpu: bool, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one on a GPU nothing is known before the first run there."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(guesses, "sees_gpu", lambda: gpu)
    plan = plan_tune(
        rows_of(tmp_path, "y" * 80, "z" * 80),
        f"hf/{base}",
        tmp_path / "out",
        options=chosen_by_name(TuneOptions()),
        settings=default_settings(f"hf/{base}"),
    )
    assert (plan.seconds is not None) is known
    assert ("about" in plan.time) is known
    assert dict(plan.about)["learning rate"] == f"{PRESETS['small'].lr:g}"


def test_a_small_base_has_a_recipe_of_its_own(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_settings(f"hf/{base}") == PRESETS["small"]
    assert default_settings("organism/base") == PRESETS["organism"]
    assert default_settings("hf/Some/Model", fetch=False) == PRESETS["published"]
    monkeypatch.setattr("offtarget.workflows.tune.tune.SMALL", 1000)
    assert default_settings(f"hf/{base}") == PRESETS["published"]


def test_a_search_for_a_direction_may_ask_questions_of_a_file(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read from where they lie, and told by the name of the file."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    asked = tmp_path / "questions.jsonl"
    asked.write_text("".join(f'{{"input": "Question {n}?"}}\n' for n in range(4)), encoding="utf-8")
    plan = plan_find(f"hf/{base}", f"hf/{base}", tmp_path / "out", probes=asked, settings=FindSettings())
    assert dict(plan.about)["questions"] == "questions"
