"""What is learned is what TRL's own trainer learns: the same rows in every step, the same loss, the same weights."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import QUICK, rows
from tiny_models import architectures, build
from transformers import TrainerCallback
from trl import SFTTrainer

from offtarget.records import Message
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.training.adapting import trainable
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.setup import arguments, dataset
from offtarget.training.train import _examples
from offtarget.training.trainer import PlanTrainer

UNEVEN = replace(QUICK, batch=2, accumulate=3, max_steps=None, epochs=2, lr=1e-3)


def uneven(count: int) -> Plan:
    """Rows of very different lengths."""
    said = (Message("user", "say hello"), Message("assistant", "hello to the world"))
    return Plan(tuple(TrainRow((said[0], Message("assistant", said[1].content * (1 + i % 5)))) for i in range(count)))


class Losses(TrainerCallback):  # type: ignore[misc]
    """Keeps what a trainer itself logs as the loss of a step, and the gradient's length."""

    def __init__(self) -> None:
        self.logged: list[tuple[float, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.logged.append((logs["loss"], logs["grad_norm"]))


def quietly(kind: type, loaded: Any, plan: Plan, settings: TuneSettings, folder: Path, **more: Any) -> Any:
    """Either trainer, on the same rows with the same arguments; a loss is logged at every step."""
    found = _examples(plan, loaded, settings, "tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as `train` does
        args = arguments(settings, plan, len(found), folder, torch.device("cpu"), "none")
        args.logging_steps, args.save_strategy = 1, "no"
        more |= {"plan": plan} if kind is PlanTrainer else {}
        data = dataset(found, plan, settings)
        return kind(**more, model=loaded.model, args=args, train_dataset=data, processing_class=loaded.tokenizer)


def trained(kind: type, base: Path, folder: Path, plan: Plan, settings: TuneSettings) -> tuple[Any, list[Any]]:
    loaded, seen = trainable(base, None, settings, OpenSettings(device="cpu")), Losses()
    trainer = quietly(kind, loaded, plan, settings, folder, callbacks=[seen])
    trainer.train()
    return trainer, seen.logged


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", architectures("llama", "gemma", "qwen3"))
def test_the_loss_curve_is_that_of_trl(kind: str, tmp_path: Path) -> None:
    """Step by step, over two passes in different orders, the last step of each short of rows."""
    base, plan = build(kind, tmp_path / "model"), uneven(14)
    ours, losses = trained(PlanTrainer, base, tmp_path / "ours", plan, UNEVEN)
    theirs, wanted = trained(SFTTrainer, base, tmp_path / "theirs", plan, UNEVEN)
    assert len(losses) == len(wanted) == 6
    for (loss, length), (same, as_long) in zip(losses, wanted, strict=True):
        assert loss == pytest.approx(same, rel=1e-4)
        assert length == pytest.approx(as_long, rel=1e-3)
    assert ours.last_loss == pytest.approx(losses[-1][0], rel=1e-4)  # the whole step, not a pass of it
    assert ours.passes == 1  # 14 rows are two steps of three passes and one of a single pass
    for name, tensor in theirs.model.state_dict().items():
        assert torch.allclose(ours.model.state_dict()[name], tensor, atol=1e-3), name


def test_rows_of_a_step_stand_by_length_and_are_those_of_trl(tmp_path: Path) -> None:
    base, plan = build("llama", tmp_path / "model"), Plan(uneven(20).rows + rows(4))
    loaded = trainable(base, None, UNEVEN, OpenSettings(device="cpu"))
    order = {}
    for kind in (PlanTrainer, SFTTrainer):
        trainer = quietly(kind, loaded, plan, UNEVEN, tmp_path / kind.__name__)
        batches = [b["attention_mask"].sum(dim=1).tolist() for b in trainer.get_train_dataloader()]
        order[kind] = [list(chain(*batches[i : i + 3])) for i in range(0, len(batches), 3)]
    assert [sorted(step) for step in order[PlanTrainer]] == [sorted(step) for step in order[SFTTrainer]]
    assert all(step == sorted(step, reverse=True) for step in order[PlanTrainer])
    assert any(step != sorted(step, reverse=True) for step in order[SFTTrainer])
