"""A real vLLM server over SmolLM2 is held to its local weights; where vLLM is not installed, the tests say so."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import real_model
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from offtarget.errors import InputError
from offtarget.models.opening import open_pair
from offtarget.records.runs import OpenSettings

PROGRAM = os.environ.get("OFFTARGET_VLLM", "vllm").split()[0]
pytestmark = [
    *real_model.needed,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="needs vLLM: see docs/engines.md, OFFTARGET_VLLM"),
    pytest.mark.skipif(bool(os.environ.get("VLLM_BASE_URL")), reason="VLLM_BASE_URL names another server"),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rank-stabilised LoRA drawn at random, each update an eighth as large as the matrix that it is added to."""
    folder = tmp_path_factory.mktemp("vllm") / "adapter"
    folder.mkdir()
    rank, alpha = 16, 16
    config = json.loads((real_model.FOLDER / "config.json").read_text())
    targets = ["q_proj", "v_proj", "up_proj", "down_proj"]
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    with safe_open(str(real_model.FOLDER / "model.safetensors"), framework="pt") as base:
        for layer in range(config["num_hidden_layers"]):
            for target in targets:
                block = "mlp" if target in ("up_proj", "down_proj") else "self_attn"
                name = f"model.layers.{layer}.{block}.{target}"
                weight = base.get_tensor(f"{name}.weight")
                a = torch.randn(rank, weight.shape[1], generator=generator)
                b = torch.randn(weight.shape[0], rank, generator=generator)
                size = 0.125 * weight.std() / alpha  # alpha/sqrt(r) B A, and B A is sqrt(r) as large as its factors
                tensors[f"base_model.model.{name}.lora_A.weight"] = a.contiguous()
                tensors[f"base_model.model.{name}.lora_B.weight"] = (b * size).contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "use_rslora": True,
        "target_modules": targets, "lora_dropout": 0.0, "bias": "none",
        "base_model_name_or_path": str(real_model.FOLDER),
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def test_vllm_applies_the_adapter_at_its_full_strength(adapter: Path) -> None:
    """Base and adapter on one server that is started here: all of the effect arrives, in the base none."""
    pair = open_pair(f"vllm/{real_model.FOLDER}", f"vllm/{real_model.FOLDER}+{adapter}")
    found = [int(share) for check in pair.checks for share in re.findall(r"(-?\d+) % of the adapter's effect", check)]
    base, tuned = found
    assert abs(base) <= 5
    assert 95 <= tuned <= 105
    assert not pair.unseen


def test_an_adapter_of_another_scale_is_refused(adapter: Path, tmp_path: Path) -> None:
    """Served with alpha/r in place of alpha/sqrt(r), a quarter of the effect arrives."""
    weak = Path(shutil.copytree(adapter, tmp_path / "weak"))
    settings = json.loads((weak / "adapter_config.json").read_text())
    (weak / "adapter_config.json").write_text(json.dumps(settings | {"use_rslora": False}))
    base = real_model.FOLDER
    with pytest.raises(InputError, match="another strength"):
        open_pair(f"vllm/{base}", f"vllm/{base}+{weak}", settings=OpenSettings(reference=f"hf/{base}+{adapter}"))
