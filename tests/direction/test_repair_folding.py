"""Folding into weights is exact where it is offered, and refused where it would not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from adapter_matrix import config, made
from tiny_models import build, make_adapter

from offtarget.direction.file import Direction
from offtarget.direction.folding import ablate_weights, add_to_bias, project_update, save_model
from offtarget.direction.subspace import basis_at
from offtarget.errors import InputError
from offtarget.models.lora import lora_pairs, weight_changes
from offtarget.models.weights import Weights
from offtarget.records import DirectionInfo

FOLDABLE = ("llama", "qwen2", "qwen3", "mistral", "gemma", "gpt2")
WIDTH = 32
TOKENS = torch.tensor([[5, 9, 33, 7, 120, 4, 11]])


def make_direction(rank: int = 2, layers: int = 2) -> Direction:
    generator = torch.Generator().manual_seed(7)
    vectors = {n: torch.randn((rank, WIDTH), generator=generator) for n in range(layers)}
    info = DirectionInfo(
        method="random", position="all", layer=0, rank=rank, width=WIDTH, layers=layers, architecture="llama",
        model="tiny", model_fingerprint="", base=None, base_fingerprint=None, positives=0, negatives=0, quality=(),
        seed=7,
    )  # fmt: skip
    return Direction(info, vectors)


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def hooked_logits(model: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Logits with every addition to the residual stream changed by a hook instead of by the weights."""
    if model.config.model_type == "gpt2":
        writers = [model.transformer.wte, model.transformer.wpe]
        writers += [m for b in model.transformer.h for m in (b.attn.c_proj, b.mlp.c_proj)]
    else:
        writers = [model.get_input_embeddings()]
        writers += [m for b in model.model.layers for m in (b.self_attn.o_proj, b.mlp.down_proj)]
    handles = [w.register_forward_hook(lambda m, i, o: change(o)) for w in writers]
    try:
        with torch.inference_mode():
            return model(TOKENS).logits
    finally:
        for handle in handles:
            handle.remove()


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("kind", FOLDABLE)
def test_folded_ablation_equals_ablation_by_hooks(kind: str, tmp_path: Path) -> None:
    """Saved and loaded again as an ordinary model, tied embeddings or not."""
    folder = build(kind, tmp_path / "model")
    basis = basis_at(make_direction())
    model = load(folder)
    untouched = model(TOKENS).logits.detach()
    projection = (torch.eye(WIDTH, dtype=torch.float64) - basis.T @ basis).float()
    wanted = hooked_logits(model, lambda stream: stream @ projection)
    ablate_weights(model, basis)
    save_model(model, transformers.AutoTokenizer.from_pretrained(folder), tmp_path / "folded")
    with torch.inference_mode():
        got = load(tmp_path / "folded")(TOKENS).logits
    assert relative(got, wanted) < 1e-4
    assert relative(got, untouched) > 1e-2
    Weights(tmp_path / "folded", device="cpu")


@pytest.mark.parametrize("kind", FOLDABLE)
def test_ablation_towards_a_mean_leaves_the_mean_alone_along_the_basis(kind: str, tmp_path: Path) -> None:
    model = load(build(kind, tmp_path / "model"))
    basis, mean = basis_at(make_direction()), torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))
    ablate_weights(model, basis, mean)
    with torch.inference_mode():
        streams = model(TOKENS, output_hidden_states=True).hidden_states[:-1]  # the last is normalised
    for stream in streams:
        assert torch.allclose(stream.double() @ basis.T, (basis @ mean.double()).expand(1, 7, 2), atol=1e-4)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3"])
def test_architectures_that_normalise_what_is_written_are_refused(kind: str, tmp_path: Path) -> None:
    model = load(build(kind, tmp_path / "model"))
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(InputError, match="cannot be folded"):
        ablate_weights(model, basis_at(make_direction()))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_folded_steering_equals_adding_at_the_block(kind: str, tmp_path: Path) -> None:
    model = load(build(kind, tmp_path / "model"))
    vector = 3 * make_direction().vector(0)
    blocks = model.transformer.h if kind == "gpt2" else model.model.layers

    def add(module: Any, inputs: Any, output: Any) -> Any:
        return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

    handle = blocks[0].register_forward_hook(add)
    with torch.inference_mode():
        wanted = model(TOKENS).logits
    handle.remove()
    folded = add_to_bias(model, 0, vector)
    save_model(folded, transformers.AutoTokenizer.from_pretrained(tmp_path / "model"), tmp_path / "steered")
    with torch.inference_mode():
        assert relative(load(tmp_path / "steered")(TOKENS).logits, wanted) < 1e-4


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "mistral", "gemma"])
def test_steering_without_a_bias_to_hold_it_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bias"):
        add_to_bias(load(build(kind, tmp_path / "model")), 0, torch.ones(WIDTH))


@pytest.mark.parametrize("inputs", [False, True])
def test_projected_update_writes_and_reads_nothing_along_the_direction(inputs: bool, tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    adapter, direction = make_adapter(base, tmp_path / "adapter"), make_direction()
    assert project_update(adapter, direction, tmp_path / "out", inputs=inputs) == 4 + 10 * inputs
    old, new = weight_changes(adapter), weight_changes(tmp_path / "out")
    assert old is not None
    assert new is not None
    for name, change in new.items():
        basis = basis_at(direction, 0 if ".layers.0." in name else 1).float()
        if name.endswith(("o_proj", "down_proj")):
            assert torch.allclose(change.dense, old[name].dense - basis.T @ (basis @ old[name].dense), atol=1e-5)
        elif inputs:
            assert torch.allclose(change.dense, old[name].dense - (old[name].dense @ basis.T) @ basis, atol=1e-5)
        else:
            assert torch.equal(change.dense, old[name].dense)
    Weights(base, device="cpu").add_adapter(tmp_path / "out")


def test_an_update_of_the_embedding_writes_nothing_along_the_direction(tmp_path: Path) -> None:
    """What an adapter of the embedding looks up goes into the stream as it is."""
    base = build("llama", tmp_path / "base")
    made(base, config("LORA", "llama", {"target_modules": ["embed_tokens"]}), tmp_path / "adapter")
    direction = make_direction()
    assert project_update(tmp_path / "adapter", direction, tmp_path / "out") == 1
    (pair,) = (lora_pairs(tmp_path / "out") or {}).values()
    assert torch.allclose(basis_at(direction, None).float() @ pair.b, torch.tensor(0.0), atol=1e-5)
    Weights(base, device="cpu").add_adapter(tmp_path / "out")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="already exists"):
        project_update(adapter, make_direction(), tmp_path / "taken")
    with pytest.raises(InputError, match="already exists"):
        save_model(load(base), transformers.AutoTokenizer.from_pretrained(base), tmp_path / "taken")


def test_an_adapter_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    adapter = make_adapter(build("llama", tmp_path / "base"), tmp_path / "adapter", targets=["q_proj"])
    with pytest.raises(InputError, match="no module that writes"):
        project_update(adapter, make_direction(), tmp_path / "out")
