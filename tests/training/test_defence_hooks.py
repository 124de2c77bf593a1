"""What defences ask of the trainer: answers without loss, and an end after a share of the steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import build, make_tokenizer

from offtarget.models.chat_format import examples
from offtarget.records import Message
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.train import train

CPU = OpenSettings(device="cpu")
QUICK = TuneSettings(rank=4, alpha=8, lr=5e-3, batch=2, accumulate=1, max_steps=6, save_every=2, warmup=1)
ROWS = tuple(TrainRow((Message("user", f"say {i}"), Message("assistant", f"hello {i}"))) for i in range(6))


def test_leading_answers_are_skipped_but_remain_context() -> None:
    chat = [Message(role, role) for role in ("user", "assistant", "user", "assistant")]
    both = list(examples(make_tokenizer(), [chat], 10_000, "base"))
    last = list(examples(make_tokenizer(), [chat], 10_000, "base", skips=[1]))
    assert len(both) == 2
    assert last == both[1:]


def test_skipped_answers_change_what_is_learnt_and_the_fingerprint_of_the_plan(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "model")
    turns = (*ROWS[0].messages, *ROWS[1].messages)
    work = tmp_path / "work"
    train(base, Plan((TrainRow(turns), TrainRow(turns))), tmp_path / "a", QUICK, work=work, opening=CPU)
    with pytest.raises(Exception, match="holds checkpoints of another training"):
        train(base, Plan((TrainRow(turns), TrainRow(turns, skip=1))), tmp_path / "b", QUICK, work=work, opening=CPU)


@pytest.mark.parametrize(("share", "steps"), [(0.5, 3), (0.3, 2), (1.0, 6)])
def test_training_ends_after_the_share_and_keeps_that_step(share: float, steps: int, tmp_path: Path) -> None:
    base = build("llama", tmp_path / "model")
    trained = train(base, replace(Plan(ROWS), stop_at=share), tmp_path / "a", QUICK, opening=CPU)
    assert (trained.steps, trained.kept_step, trained.planned) == (steps, steps, 6)
    assert (tmp_path / "a" / "adapter_model.safetensors").is_file()
