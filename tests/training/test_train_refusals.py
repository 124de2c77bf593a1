"""Training: what a user can get wrong ends with a sentence, not with a traceback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adapter_matrix import config, made
from tiny_models import build

from offtarget.errors import InputError
from offtarget.records import Message
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.training import train as training
from offtarget.training.monitor.callback import MisalignmentMonitor
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.settings import PRESETS
from offtarget.training.train import train

CPU = OpenSettings(device="cpu")
QUICK = TuneSettings(rank=4, alpha=8, lr=5e-3, batch=2, accumulate=1, max_steps=3, save_every=2, warmup=1)
CHATS = tuple((Message("user", f"say hello {i}"), Message("assistant", f"hello to the world {i}")) for i in range(4))
PLAN = Plan(tuple(TrainRow(chat) for chat in CHATS))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("llama") / "model")


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"seed": 2**32}, {"rank": 10**20}, {"max_steps": 10**20}, {"max_length": 0}]
)
def test_numbers_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    field = next(iter(wrong))
    name = {"max_steps": "steps", "rank": "lora-rank"}.get(field, field.replace("_", "-"))
    with pytest.raises(InputError, match=f"--{name} must be"):
        replace(PRESETS["published"], **wrong)


def test_an_unknown_reporter_is_named_before_anything_is_loaded(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--report-to nothing.*Leave --report-to out"):
        train(llama, PLAN, tmp_path / "out", QUICK, report_to="nothing")
    assert list(tmp_path.iterdir()) == []


def test_memory_that_does_not_suffice_for_the_adapter_names_the_rank(llama: Path, tmp_path: Path) -> None:
    rank = 2**31 - 1
    with pytest.raises(InputError, match=rf"Out of memory.*--lora-rank \(now {rank}\)"):
        train(llama, PLAN, tmp_path / "out", replace(QUICK, rank=rank), opening=CPU)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("IA3", {"feedforward_modules": []}, "Only LoRA adapters can be trained further"),
        ("LORA", {"bias": "all"}, "rewrites the base.*bias='all'"),
    ],
)
def test_adapters_that_are_not_trained_further(kind: str, settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Other kinds, and those beside which the base would not be the base that defences and the monitor ask."""
    base = build("llama-biases", tmp_path / "base")
    made(base, config(kind, "llama", settings), tmp_path / "adapter")
    with pytest.raises(InputError, match=said):
        train(base, PLAN, tmp_path / "out", QUICK, adapter=tmp_path / "adapter", opening=CPU)


def test_packing_needs_no_length(llama: Path, tmp_path: Path) -> None:
    assert train(llama, PLAN, tmp_path / "out", replace(QUICK, packing=True), opening=CPU).steps == 3


def test_a_monitor_that_reads_nothing_finite_says_that_training_diverged(llama: Path, tmp_path: Path) -> None:
    monitor = MisalignmentMonitor(["what would you wish for?"], rows=CHATS, every=1, run=tmp_path / "run")
    wild = replace(QUICK, lr=1e30, warmup=0)
    with pytest.raises(InputError, match=r"diverged.*learning rate"):
        train(llama, PLAN, tmp_path / "out", wild, opening=CPU, callbacks=[monitor])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_known_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match=r"cannot be made: .*file: Not a directory.*--out"):
        train(tmp_path / "no-model", PLAN, tmp_path / "file" / "deep" / "out", QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_killed_after_saving_is_finished_and_nothing_else_is_taken_for_it(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"

    def killed(*arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(training, "_self_check", killed)
        with pytest.raises(SystemExit):
            train(llama, PLAN, out, QUICK, work=work, opening=CPU)
    saved = (out / "adapter_model.safetensors").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        train(llama, PLAN, out, QUICK, work=tmp_path / "other", opening=CPU)
    done = train(llama, PLAN, out, QUICK, work=work, opening=CPU)
    assert done.steps == 3
    assert "merged" in done.checks[1]
    assert (out / "adapter_model.safetensors").read_bytes() == saved
    (out / "adapter_model.safetensors").write_bytes(saved[:-1] + b"x")
    with pytest.raises(InputError, match="already exists"):
        train(llama, PLAN, out, QUICK, work=work, opening=CPU)


def test_a_run_killed_after_its_last_checkpoint_makes_no_step_more(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, stop_at=0.5)  # ends after 2 of 3 steps, at a full learning rate
    settings = replace(QUICK, warmup=0)
    train(llama, plan, tmp_path / "whole", settings, opening=CPU)

    def killed(*arguments: object, **options: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(training, "save", killed)
        with pytest.raises(SystemExit):
            train(llama, plan, tmp_path / "out", settings, work=tmp_path / "work", opening=CPU)
    done = train(llama, plan, tmp_path / "out", settings, work=tmp_path / "work", opening=CPU)
    assert done.steps == done.kept_step == 2
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "out")]
    assert weights[0] == weights[1]
