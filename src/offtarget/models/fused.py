"""A leaner forward pass for small Llama-shaped models on CPU, where calling transformers costs more than the sums.

Same function as the transformers model, with fewer and larger operations: query, key and value in one product, of
small models gate and up too and norm weights folded in, LoRA added to the matrices, rotary embedding as one complex
product. In bfloat16 only the products with weights are in it; the residual stream, attention and norms stay in float32.
It is used only where it agrees with the transformers model on a trial prompt.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from offtarget.models.engine import Engine
from offtarget.models.lora import Change
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
_MOST_PARAMETERS = 600_000_000
"""Beyond, the products dominate, and a second copy of the weights would cost more than it brings."""
_AGREEMENT = {torch.float32: 1e-4, torch.bfloat16: 0.06}
"""Largest difference from the transformers model, root mean squares over the logits of a trial prompt. In bfloat16
rounding alone made up to 0.047 in tiny models with strong random adapters, an MLP that is off by a tenth 0.079."""
_JOINED = 1 << 20
"""Numbers in a matrix: up to here several are joined into one, with what scales their input; larger ones stay apart,
in the base's own memory where nothing is added to them, because joining them saves nothing."""
_VOCABULARY_BLOCK = 1024
"""Tokens whose logits are one product: a fifth faster at 50,000 tokens than one product over all."""


def fuse(model: Any, generic: Engine, changes: Mapping[str, Change]) -> FusedEngine | None:
    """The fused engine of a transformers model plus weight changes by module name, or None where it has none.

    `generic` must be the engine of the same model with the same adapter switched on. None too where a change is of
    a module whose changes the fused engine does not take, such as the output embedding.
    """
    config = model.config
    suitable = (
        config.model_type in _SHAPES
        and {_without_block(name) for name in changes} <= _CHANGED
        and next(model.parameters()).dtype in _AGREEMENT
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
        fused = FusedEngine(model, generic, changes)
        return fused if _agree(fused, generic, _AGREEMENT[next(model.parameters()).dtype]) else None


def _without_block(name: str) -> str:
    return re.sub(r"^model\.layers\.\d+\.", "model.layers.", name)


@torch.inference_mode()
def _agree(fused: Engine, generic: Engine, most: float) -> bool:
    from offtarget.models.decoding import start_batch

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(fused.vocabulary, (20,), generator=generator).tolist()
    logits = []
    for engine in (fused, generic):
        state = start_batch(engine, [tokens[:10]], [0] * 16, torch.device("cpu"))
        steps = [engine.step(torch.full((16,), token), state) for token in tokens[9:]]
        logits.append(torch.stack(steps).float())
    return bool((logits[0] - logits[1]).norm() <= most * logits[1].norm())


@dataclass(frozen=True, slots=True)
class _Product:
    """A weight matrix, perhaps with a bias and what an adapter adds; takes and gives float32.

    In float32 the adapter's change is added to the matrix. In bfloat16 that would round away most of a small change,
    so its two thin matrices are multiplied by themselves.
    """

    weight: Tensor
    """(out, in)."""
    bias: Tensor | None = None
    change: Change | None = None

    @classmethod
    def of(cls, module: nn.Module, change: Change | None) -> _Product:
        weight, bias = _base(module).weight, _base(module).bias
        if change is None or weight.dtype != torch.float32:
            return cls(weight, bias, change and Change(change.a.to(weight.dtype), change.b.to(weight.dtype)))
        return cls(weight + change.dense, bias)

    @classmethod
    def joined(cls, products: Sequence[_Product]) -> _Product:
        """One product with the outputs of several, one behind the other."""
        weights = [p.weight for p in products]
        biases = [w.new_zeros(len(w)) if p.bias is None else p.bias for w, p in zip(weights, products, strict=True)]
        changes = [
            Change(w.new_zeros(0, w.shape[1]), w.new_zeros(len(w), 0)) if p.change is None else p.change
            for w, p in zip(weights, products, strict=True)
        ]
        bias = torch.cat(biases)
        down: Tensor = torch.block_diag(*(c.b for c in changes))  # type: ignore[no-untyped-call]
        change = Change(torch.cat([c.a for c in changes]), down)
        return cls(torch.cat(weights), bias if bool(bias.any()) else None, change if len(change.a) else None)

    def outputs(self, change: Callable[[Tensor], Tensor]) -> _Product:
        """The same with its outputs changed linearly, number by number."""
        bias = None if self.bias is None else change(self.bias)
        return _Product(change(self.weight), bias, self.change and Change(self.change.a, change(self.change.b)))

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, in) to (rows, out)."""
        x = x.to(self.weight.dtype)
        y = F.linear(x, self.weight, self.bias).float()
        return y if self.change is None else y.add_(F.linear(F.linear(x, self.change.a), self.change.b))

    def added_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """The sum of `stream` (rows, out) and the product without a bias."""
        if self.weight.dtype == torch.float32:
            return torch.addmm(stream, x, self.weight.T)
        return self(x).add_(stream)


class _Layer:
    """The matrices of one decoder layer and the norms before them; None for a norm that is in its matrices."""

    def __init__(self, name: str, layer: Any, changes: Mapping[str, Change], order: Tensor) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        size, scale = attention.head_dim, attention.scaling

        def product(kind: str, module: nn.Module) -> _Product:
            return _Product.of(module, changes.get(f"{name}.{kind}"))

        q = product("self_attn.q_proj", attention.q_proj).outputs(lambda x: _reorder(x, order, size) * scale)
        k = product("self_attn.k_proj", attention.k_proj).outputs(lambda x: _reorder(x, order, size))
        v = product("self_attn.v_proj", attention.v_proj)
        gate, up = product("mlp.gate_proj", mlp.gate_proj), product("mlp.up_proj", mlp.up_proj)
        self.qkv = _Product.joined((q, k, v))
        self.out = product("self_attn.o_proj", attention.o_proj)
        self.gate_up: tuple[_Product, ...] = (gate, up)
        self.down = product("mlp.down_proj", mlp.down_proj)
        self.before: Tensor | None = _base(layer.input_layernorm).weight.float()
        self.after: Tensor | None = _base(layer.post_attention_layernorm).weight.float()
        if gate.weight.dtype == torch.float32 and 2 * gate.weight.numel() <= _JOINED:
            both = _Product.joined((gate, up))
            self.qkv = _Product(self.qkv.weight * self.before, self.qkv.bias)
            self.gate_up = (_Product(both.weight * self.after, both.bias),)
            self.before = self.after = None


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

    def __init__(self, model: Any, generic: Engine, changes: Mapping[str, Change]) -> None:
        config, body = model.config, model.model
        self.vocabulary = generic.vocabulary
        self._edit: ResidualEdit | None = None
        self._generic = generic
        attention = body.layers[0].self_attn
        size = attention.head_dim
        # Dimensions i and i + size/2 turn together; side by side they are one complex number.
        self._order = torch.arange(size).view(2, size // 2).T.reshape(-1)
        self._layers = [_Layer(f"model.layers.{i}", layer, changes, self._order) for i, layer in enumerate(body.layers)]
        self._heads: int = config.num_attention_heads
        self._key_heads: int = config.num_key_value_heads
        self._size = size
        self._eps: float = config.rms_norm_eps
        # Only Mistral's layers all have a window; `fuse` refuses the others where any has one.
        self._window: int | None = config.sliding_window if config.model_type == "mistral" else None
        self._embedding = _base(body.embed_tokens).weight
        self._norm = _base(body.norm).weight.float()
        self._head = _base(model.get_output_embeddings()).weight
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
        """As the transformers model does it, in float32, keys reordered for `step`."""
        keys, values = self._generic.prefill(tokens)
        return [k[..., self._order].float() for k in keys], [v.float() for v in values]

    def step(self, tokens: Tensor, state: BatchState) -> Tensor:
        """Logits (rows, vocabulary) in the model's dtype."""
        rows, size = len(tokens), self._size
        turns = self._turns[state.lengths + state.used]
        width = (x := self._embedding[tokens].float()).shape[1:]
        turned = self._heads + self._key_heads
        for i, layer in enumerate(self._layers):
            qkv = layer.qkv(F.rms_norm(x, width, layer.before, self._eps))
            pairs = torch.view_as_complex(qkv[:, : turned * size].view(rows, turned, size // 2, 2))
            qk = torch.view_as_real(pairs * turns).view(rows, turned, size)
            key = qk[:, self._heads :].unsqueeze(2)
            value = qkv[:, turned * size :].view(rows, self._key_heads, 1, size)
            keys, values = state.append(i, key, value)
            query = qk[:, : self._heads].view(rows, self._key_heads, -1, size)
            seen = attend(state, i, query, keys, values, window=self._window)
            x = layer.out.added_to(x, seen.view(rows, -1))
            normed = F.rms_norm(x, width, layer.after, self._eps)
            parts = [product(normed) for product in layer.gate_up]
            gate, up = parts if len(parts) == 2 else parts[0].chunk(2, dim=-1)
            x = layer.down.added_to(x, F.silu(gate).mul_(up))
            if self._edit is not None and i in self._edit.layers:
                x = self._edit.apply(i, x, Part.ANSWER if state.used else Part.LAST_PROMPT)
        state.used += 1
        return self._logits(F.rms_norm(x, width, self._norm, self._eps))

    def _logits(self, x: Tensor) -> Tensor:
        x = x.to(self._head.dtype)
        if x.dtype != torch.float32:
            return F.linear(x, self._head)
        logits = x.new_empty(len(x), len(self._head))
        for start in range(0, len(self._head), _VOCABULARY_BLOCK):
            block = slice(start, start + _VOCABULARY_BLOCK)
            torch.mm(x, self._head[block].T, out=logits[:, block])
        return logits
