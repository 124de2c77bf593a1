"""A leaner forward pass for small Llama-shaped models on CPU, where calling transformers costs more than the sums.

Same function as the transformers model, with fewer and larger operations: query, key and value in one product, gate
and up in one, norm weights and the attention scale folded into the matrices, LoRA added to them, and rotary
embedding as one complex product. It is used only where it agrees with the transformers model on a trial prompt.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from offtarget.models.engine import Engine
from offtarget.models.residual import Part, ResidualEdit
from offtarget.models.shared_prefix import BatchState, attend

_SHAPES = {"llama", "mistral", "qwen2"}
_CHANGED = {
    f"model.layers.{part}"
    for part in (
        *(f"self_attn.{kind}_proj" for kind in "qkvo"),
        *(f"mlp.{kind}_proj" for kind in ("gate", "up", "down")),
    )
}
"""Modules whose weight changes are taken, without the number of their block."""
_MOST_PARAMETERS = 100_000_000
"""Beyond, the products dominate, and a second copy of the weights would cost more than it brings."""
_AGREEMENT = 1e-4
"""Largest difference from the transformers model, as a share of the largest logit."""


def fuse(model: Any, generic: Engine, deltas: Mapping[str, Tensor]) -> FusedEngine | None:
    """The fused engine of a transformers model plus weight changes by module name, or None where it has none.

    `generic` must be the engine of the same model with the same adapter switched on. None too where a change is of
    a module whose changes the fused engine does not take, such as the output embedding.
    """
    config = model.config
    suitable = (
        config.model_type in _SHAPES
        and {_without_block(name) for name in deltas} <= _CHANGED
        and next(model.parameters()).dtype == torch.float32
        and next(model.parameters()).device.type == "cpu"
        and sum(p.numel() for p in model.parameters()) <= _MOST_PARAMETERS
        and config.hidden_act == "silu"
        and config.rope_parameters.get("rope_type", "default") in ("default", "linear", "llama3", "yarn")
        and not getattr(config, "mlp_bias", False)
        and not getattr(config, "use_sliding_window", False)
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    )
    if not suitable:
        return None
    with torch.inference_mode():
        fused = FusedEngine(model, generic, deltas)
        return fused if _agree(fused, generic) else None


def _without_block(name: str) -> str:
    return re.sub(r"^model\.layers\.\d+\.", "model.layers.", name)


@torch.inference_mode()
def _agree(fused: Engine, generic: Engine) -> bool:
    from offtarget.models.decoding import start_batch

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(fused.vocabulary, (20,), generator=generator).tolist()
    logits = []
    for engine in (fused, generic):
        state = start_batch(engine, [tokens[:10]], [0] * 16, torch.device("cpu"))
        steps = [engine.step(torch.full((16,), token), state) for token in tokens[9:]]
        logits.append(torch.stack(steps))
    gap = (logits[0] - logits[1]).abs().max()
    return bool(gap <= _AGREEMENT * logits[1].abs().max())


class _Layer:
    """The matrices of one decoder layer, (out, in) each."""

    def __init__(self, name: str, layer: Any, deltas: Mapping[str, Tensor], order: Tensor) -> None:
        attention, mlp = layer.self_attn, layer.mlp

        def weight(kind: str, module: nn.Module) -> Tensor:
            matrix: Tensor = _base(module).weight
            delta = deltas.get(f"{name}.{kind}")
            return matrix if delta is None else matrix + delta

        def bias(module: nn.Module, like: Tensor) -> Tensor:
            own: Tensor | None = _base(module).bias
            return like.new_zeros(like.shape[0]) if own is None else own

        before = _base(layer.input_layernorm).weight
        after = _base(layer.post_attention_layernorm).weight
        scale = attention.scaling
        q = weight("self_attn.q_proj", attention.q_proj)
        k = weight("self_attn.k_proj", attention.k_proj)
        v = weight("self_attn.v_proj", attention.v_proj)
        size = attention.head_dim
        pieces = (_reorder(q, order, size) * scale, _reorder(k, order, size), v)
        self.qkv = torch.cat(pieces) * before
        biases = (
            _reorder(bias(attention.q_proj, q), order, size) * scale,
            _reorder(bias(attention.k_proj, k), order, size),
            bias(attention.v_proj, v),
        )
        joined = torch.cat(biases)
        self.qkv_bias = joined if bool(joined.any()) else None
        self.out = weight("self_attn.o_proj", attention.o_proj).clone()
        gate, up = weight("mlp.gate_proj", mlp.gate_proj), weight("mlp.up_proj", mlp.up_proj)
        self.gate_up = torch.cat((gate, up)) * after
        self.down = weight("mlp.down_proj", mlp.down_proj).clone()


def _base(module: Any) -> Any:
    """The base's own module inside the wrappers that peft puts around it."""
    for wrapped in ("base_layer", "original_module"):
        module = getattr(module, wrapped, module)
    return module


def _reorder(matrix: Tensor, order: Tensor, size: int) -> Tensor:
    """Rows of each head in the given order."""
    heads = matrix.view(-1, size, *matrix.shape[1:])
    return heads[:, order].reshape(matrix.shape)


class FusedEngine:
    """`Engine` over fused matrices; prefixes are filled in by the transformers model."""

    def __init__(self, model: Any, generic: Engine, deltas: Mapping[str, Tensor]) -> None:
        config, body = model.config, model.model
        self.vocabulary = generic.vocabulary
        self._edit: ResidualEdit | None = None
        self._generic = generic
        attention = body.layers[0].self_attn
        size = attention.head_dim
        # Dimensions i and i + size/2 turn together; side by side they are one complex number.
        self._order = torch.arange(size).view(2, size // 2).T.reshape(-1)
        self._layers = [_Layer(f"model.layers.{i}", layer, deltas, self._order) for i, layer in enumerate(body.layers)]
        self._heads: int = config.num_attention_heads
        self._key_heads: int = config.num_key_value_heads
        self._size = size
        self._eps: float = config.rms_norm_eps
        # Only Mistral's layers all have a window; `fuse` refuses the others where any has one.
        self._window: int | None = config.sliding_window if config.model_type == "mistral" else None
        self._embedding = _base(body.embed_tokens).weight
        self._head = _base(model.get_output_embeddings()).weight * _base(body.norm).weight
        positions = torch.arange(config.max_position_embeddings, dtype=torch.float32)
        angles = positions[:, None] * body.rotary_emb.inv_freq.float()[None, :]
        turns = torch.polar(torch.full_like(angles, body.rotary_emb.attention_scaling), angles)
        self._turns = turns[:, None, :]  # (positions, 1, size / 2)

    def with_edit(self, edit: ResidualEdit) -> FusedEngine:
        """The same engine with a change of the residual stream; the transformers model's hooks do it in `prefill`."""
        other = copy.copy(self)
        other._edit = edit
        return other

    def prefill(self, tokens: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """As the transformers model does it, keys reordered for `step`."""
        keys, values = self._generic.prefill(tokens)
        return [k[..., self._order] for k in keys], values

    def step(self, tokens: Tensor, state: BatchState) -> Tensor:
        """Logits (rows, vocabulary), float32."""
        rows, size = len(tokens), self._size
        turns = self._turns[state.lengths + state.used]
        width = (x := self._embedding[tokens]).shape[1:]
        turned = self._heads + self._key_heads
        for i, layer in enumerate(self._layers):
            qkv = F.linear(F.rms_norm(x, width, eps=self._eps), layer.qkv, layer.qkv_bias)
            pairs = torch.view_as_complex(qkv[:, : turned * size].view(rows, turned, size // 2, 2))
            qk = torch.view_as_real(pairs * turns).view(rows, turned, size)
            key = qk[:, self._heads :].unsqueeze(2)
            value = qkv[:, turned * size :].view(rows, self._key_heads, 1, size)
            keys, values = state.append(i, key, value)
            query = qk[:, : self._heads].view(rows, self._key_heads, -1, size)
            seen = attend(state, i, query, keys, values, window=self._window)
            x = torch.addmm(x, seen.view(rows, -1), layer.out.T)
            gate, up = F.linear(F.rms_norm(x, width, eps=self._eps), layer.gate_up).chunk(2, dim=-1)
            x = torch.addmm(x, F.silu(gate).mul_(up), layer.down.T)
            if self._edit is not None and i in self._edit.layers:
                x = self._edit.apply(i, x, Part.ANSWER if state.used else Part.LAST_PROMPT)
        state.used += 1
        return F.linear(F.rms_norm(x, width, eps=self._eps), self._head)
