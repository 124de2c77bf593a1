"""A LoRA update without what it writes along (or reads from) a subspace of the residual stream.

The base's weights stay as they are. With W = W0 + s B A, the writers (`o_proj`, `down_proj`, GPT-2's `c_proj`) get
B <- (I - V V^T) B, so that the update adds nothing along V to the stream; the readers (query, key, value, gate, up)
get A <- A (I - V V^T), so that the update does not react to what the (normalised) stream holds along V.
Per-module subspaces as in arXiv 2606.31591; nothing here keeps training from forming the direction again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.direction.repair.subspaces import basis_at, without
from offtarget.errors import InputError
from offtarget.models.lora import more_than_lora, read_config

WRITERS = re.compile(r"\.(o_proj|down_proj|c_proj)\.")
READERS = re.compile(r"\.(q_proj|k_proj|v_proj|gate_proj|up_proj|c_attn|c_fc)\.")
_BLOCK = re.compile(r"\.(?:layers|h)\.(\d+)\.")


def project_update(adapter: Path, direction: Direction, out: Path, *, inputs: bool = False) -> int:
    """Write to the new folder `out` the adapter without its writing along the direction; the number of matrices.

    Every module uses the direction of its own block where the direction has it, the chosen layer's otherwise.
    `inputs` also takes it out of what the update reads. The result is exact up to float32 rounding of B and A.
    Raises InputError when `out` exists, the adapter is more than LoRA, or it changes no such module.
    """
    from safetensors.torch import load_file, save_file

    if out.exists():
        raise InputError(f"{out} already exists. Choose another folder.")
    config = read_config(adapter)
    if more_than_lora(config):
        raise InputError(f"{adapter} changes more than weight matrices (DoRA, biases or whole modules); not foldable.")
    part = out.with_name(f"{out.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    changed = 0
    for path in sorted(adapter.glob("*.safetensors")):
        tensors = load_file(str(path))
        for key, tensor in tensors.items():
            project = _projection(key, inputs)
            if project is not None:
                tensors[key] = project(_basis(direction, key), tensor.float()).contiguous()
                changed += 1
        save_file(tensors, str(part / path.name), {"format": "pt"})
    if not changed:
        raise InputError(
            f"{adapter} changes no module that writes to the residual stream (o_proj, down_proj, c_proj), so there "
            "is nothing to take the direction out of. Use realignment, or ablation of the whole model."
        )
    (part / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    note = adapter / "offtarget.json"
    if note.exists():
        shutil.copy(note, part / note.name)
    part.replace(out)
    return changed


def _projection(key: str, inputs: bool) -> Callable[[Tensor, Tensor], Tensor] | None:
    if ".lora_B." in key and WRITERS.search(key):
        return without
    if inputs and ".lora_A." in key and READERS.search(key):
        return lambda basis, a: without(basis, a.T).T
    return None


def _basis(direction: Direction, key: str) -> Tensor:
    block = _BLOCK.search(key)
    number = int(block.group(1)) if block else None
    return basis_at(direction, number if number in direction.vectors else None)
