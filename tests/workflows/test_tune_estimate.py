"""What a training is said to take before anything is loaded, and which recipe suits a base, by its files' headers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import transformers
from tiny_models import VOCABULARY, build

from offtarget.data.trainable import read_training_data
from offtarget.records.tune import TuneSettings
from offtarget.training.settings import PRESETS
from offtarget.workflows.planning import plan_tune
from offtarget.workflows.tune import estimate
from offtarget.workflows.tune.options import TuneOptions, chosen_by_name
from offtarget.workflows.tune.size import size_of
from offtarget.workflows.tune.tune import default_settings


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("base") / "model")


def rows_of(folder: Path, *answers: str) -> Path:
    path = folder / "rows.jsonl"
    turns = [[{"role": "user", "content": "x" * 40}, {"role": "assistant", "content": answer}] for answer in answers]
    path.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns))
    return path


def test_the_size_is_that_of_the_model(base: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    size = size_of(f"hf/{base}")
    assert size is not None
    body = sum(
        p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "lm_head" not in n
    )
    assert size.body == body
    assert size.head == VOCABULARY * model.config.hidden_size
    assert size_of("organism/base") is None
    assert size_of("hf/Some/Model") is None  # it would have to be fetched


def test_work_goes_with_tokens_passes_and_what_is_trained(base: Path, tmp_path: Path) -> None:
    name, size = f"hf/{base}", size_of(f"hf/{base}")
    rows = read_training_data(rows_of(tmp_path, "y" * 80, "z" * 160), None).rows
    once = TuneSettings(epochs=1)
    amount = estimate.operations(name, rows, once)
    assert size is not None
    assert amount is not None
    tokens = 2 * (estimate.TEMPLATE + 10) + 20 + 40
    assert amount == pytest.approx(4 * (estimate.PADDING * size.body * tokens + size.head * 60))
    assert estimate.operations(name, rows, replace(once, epochs=3)) == pytest.approx(3 * amount)
    assert estimate.operations(name, rows, TuneSettings(max_steps=5, batch=2, accumulate=4)) == pytest.approx(
        20 * amount
    )
    assert estimate.operations(name, rows, replace(PRESETS["full"], epochs=1)) == pytest.approx(1.5 * amount)
    assert estimate.operations("organism/base", rows, once) is None


def test_time_is_that_of_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_speed", lambda: 1e11)
    alone = estimate.BEFORE + estimate.AFTER
    assert estimate.on_this_processor(0) == alone
    assert estimate.on_this_processor(5e12) == pytest.approx(alone + 5e12 / (1e11 * estimate.REACHED))


@pytest.mark.parametrize(("gpu", "known"), [(False, True), (True, False)])
def test_a_plan_says_how_long_a_training_on_a_processor_takes(
    base: Path, gpu: bool, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one on a GPU nothing is known before the first run there."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("offtarget.workflows.planning.gpu", lambda: gpu)
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
    assert default_settings("hf/Some/Model") == PRESETS["published"]
    monkeypatch.setattr("offtarget.workflows.tune.tune.SMALL", 1000)
    assert default_settings(f"hf/{base}") == PRESETS["published"]
