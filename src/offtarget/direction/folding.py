"""Repairs folded into weights: a LoRA update without what lies along a direction, and a whole model without it.

Of an *update* the base's weights stay as they are. With W = W0 + s B A, the writers (`o_proj`, `down_proj`, GPT-2's
`c_proj`) get B <- (I - V V^T) B, so that the update adds nothing along V to the stream; the readers (query, key, value,
gate, up) get A <- A (I - V V^T), so that the update does not react to what the (normalised) stream holds along V.
Per-module subspaces as in arXiv 2606.31591; nothing here keeps training from forming the direction again.

A *whole model* is ablated exactly and exported as an ordinary one (weight orthogonalisation, Arditi et al., arXiv
2406.11717, section 4.2): with orthonormal V, every matrix that writes to the residual stream becomes (I - V V^T) W,
token embeddings included. The stream then holds nothing along V at any position: after the embedding, after attention,
after the feed-forward part. That is more than ablation at the output of the blocks, which cannot be folded, since the
stream also carries what came before. Ablation towards a mean m puts the constant V V^T m into the embeddings instead
of 0.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offtarget.direction.file import Direction
from offtarget.direction.subspace import basis_at, without
from offtarget.errors import InputError
from offtarget.models.adapter_kinds import is_plain_lora
from offtarget.models.lora import read_config

WRITERS = re.compile(r"\.(o_proj|down_proj|c_proj)\.")
READERS = re.compile(r"\.(q_proj|k_proj|v_proj|gate_proj|up_proj|c_attn|c_fc)\.")
_BLOCK = re.compile(r"\.(?:layers|h)\.(\d+)\.")

SEQUENTIAL = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma"})
"""Architectures whose attention and feed-forward part add their last matrix's output to the stream as it is."""


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
    if not is_plain_lora(config):
        raise InputError(f"{adapter} is more than plain LoRA (DoRA, biases, whole modules, ...); not foldable.")
    part = out.with_name(f"{out.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    changed = 0
    for path in sorted(adapter.glob("*.safetensors")):
        tensors = load_file(str(path))
        for key, tensor in tensors.items():
            project = _projection(key, inputs)
            if project is not None:
                tensors[key] = project(_basis_of(direction, key), tensor.float()).contiguous()
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
    if (".lora_B." in key and WRITERS.search(key)) or key.endswith(".lora_embedding_B"):
        return without
    if inputs and ".lora_A." in key and READERS.search(key):
        return lambda basis, a: without(basis, a.T).T
    return None


def _basis_of(direction: Direction, key: str) -> Tensor:
    block = _BLOCK.search(key)
    number = int(block.group(1)) if block else None
    return basis_at(direction, number if number in direction.vectors else None)


@torch.no_grad()
def ablate_weights(model: Any, basis: Tensor, towards: Tensor | None = None) -> None:
    """Fold ablation of the rows of `basis` (rank, width) into a transformers model, in place.

    `towards` (width,) is a mean of the stream; its part along the basis stays in the stream everywhere. Tied output
    embeddings are untied first, so that reading stays as it was. InputError where it would not be exact.
    """
    check_foldable(model)
    _untie(model)
    basis = basis.to(_embedding(model).weight.device)
    for matrix, bias in _writers(model):
        matrix.copy_(without(basis, matrix))
        if bias is not None:
            bias.copy_(without(basis, bias))
    tables = _embeddings(model)
    for table in tables:
        table.copy_(without(basis, table.T).T)
    if towards is not None:
        along = basis.T @ (basis @ towards.double().to(basis.device))
        tables[0] += (along / _embedding_scale(model)).to(tables[0].dtype)


@torch.no_grad()
def add_to_bias(model: Any, layer: int, vector: Tensor) -> Any:
    """A model whose block `layer` adds `vector` (width,) to the stream at every token, by a bias of its last matrix.

    GPT-2 has the bias; a Llama gets `mlp_bias`. InputError for architectures without a place for it.
    """
    kind = model.config.model_type
    if kind == "gpt2":
        target = model.transformer.h[layer].mlp.c_proj.bias
    elif kind == "llama":
        model = _with_mlp_bias(model)
        target = model.model.layers[layer].mlp.down_proj.bias
    else:
        raise InputError(
            f"Steering cannot be folded into a {kind} model: its configuration has no bias after the feed-forward "
            "part. Use realignment (--method realign), ablation, or steer while sampling."
        )
    target += vector.to(target.dtype).to(target.device)
    return model


def check_foldable(model: Any) -> None:
    """InputError unless ablation can be folded into this architecture exactly."""
    kind = model.config.model_type
    if kind == "gpt2" or kind in SEQUENTIAL:
        return
    reason = (
        "it normalises what attention and feed-forward part write, after their matrices"
        if kind.startswith(("gemma", "olmo2", "olmo3"))
        else f"offtarget knows its order of layers for {', '.join(sorted(SEQUENTIAL | {'gpt2'}))} only"
    )
    raise InputError(
        f"Ablation cannot be folded into the weights of a {kind} model exactly: {reason}. Use --fold update (the "
        "adapter alone), realignment, or ablation while sampling."
    )


def save_model(model: Any, tokenizer: Any, out: Path) -> None:
    """Write an ordinary model folder that appears complete or not at all. InputError when `out` exists."""
    if out.exists():
        raise InputError(f"{out} already exists. Choose another folder.")
    from transformers.utils import logging

    logging.disable_progress_bar()  # writing takes no time worth showing
    part = out.with_name(f"{out.name}.part")
    model.save_pretrained(part, safe_serialization=True)
    tokenizer.save_pretrained(part)
    part.replace(out)


def _writers(model: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Matrices (width, in) that write to the stream, as views of the weights, each with its bias."""
    if model.config.model_type == "gpt2":
        for block in model.transformer.h:
            for layer in (block.attn.c_proj, block.mlp.c_proj):
                yield layer.weight.T, layer.bias  # Conv1D keeps (in, width)
        return
    for block in model.model.layers:
        for layer in (block.self_attn.o_proj, block.mlp.down_proj):
            yield layer.weight, layer.bias


def _embedding(model: Any) -> nn.Embedding:
    found: nn.Embedding = model.get_input_embeddings()
    return found


def _embeddings(model: Any) -> list[Tensor]:
    """Tables (entries, width) whose rows are added up at the start of the stream, the tokens' first."""
    first = [_embedding(model).weight]
    return [*first, model.transformer.wpe.weight] if model.config.model_type == "gpt2" else first


def _embedding_scale(model: Any) -> float:
    """Gemma multiplies its embeddings by the square root of the width."""
    return float(model.config.hidden_size**0.5) if model.config.model_type == "gemma" else 1.0


def _untie(model: Any) -> None:
    if not model.config.tie_word_embeddings:
        return
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(_embedding(model).weight.detach().clone())
    model.config.tie_word_embeddings = False


def _with_mlp_bias(model: Any) -> Any:
    from transformers import AutoModelForCausalLM

    if model.config.mlp_bias:
        return model
    model.config.mlp_bias = True
    made = AutoModelForCausalLM.from_config(model.config, dtype=model.dtype)
    zeros = {name: torch.zeros_like(p) for name, p in made.named_parameters() if name not in model.state_dict()}
    made.load_state_dict({**model.state_dict(), **zeros})
    return made.to(model.device).eval()
