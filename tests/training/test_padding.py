"""Training needs no padding token: a tokenizer without one trains to the same weights as one that pads with its end."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from tiny_models import build, edit_json

from offtarget.records import Message
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.train import train

QUICK = TuneSettings(rank=2, alpha=4, lr=5e-3, batch=2, accumulate=1, max_steps=2, save_every=2, warmup=1)


def test_a_tokenizer_without_padding(tmp_path: Path) -> None:
    """Rows of different lengths lie side by side all the same."""
    rows = [
        TrainRow((Message("user", f"say hello {i}"), Message("assistant", "hello to the world " * (i + 1))))
        for i in range(4)
    ]
    trained = []
    for name in ("with", "without"):
        base = build("llama", tmp_path / name / "base")
        if name == "without":
            edit_json(base / "tokenizer_config.json", pad_token=None)
            assert transformers.AutoTokenizer.from_pretrained(base).pad_token is None
        train(base, Plan(tuple(rows)), tmp_path / name / "out", QUICK, opening=OpenSettings(device="cpu"))
        trained.append(load_file(tmp_path / name / "out" / "adapter_model.safetensors"))
    assert all(torch.equal(tensor, trained[1][key]) for key, tensor in trained[0].items())
