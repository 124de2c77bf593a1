"""How large a model is, by headers and settings of its files alone: no weights are loaded and nothing is fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.models.contents import header, is_quantised, loaded_files, read_config
from offtarget.models.folders import at_hand
from offtarget.models.gguf_file import is_gguf, settings, shapes
from offtarget.models.names import LocalName

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number in the formats that models are opened in."""
_FLOATS = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class Size:
    """Of a model here, with the adapter on it."""

    body: int
    """Numbers in all matrices but those of the vocabulary: at work on every token."""
    head: int
    """Numbers in the output layer: at work on tokens whose probabilities are wanted."""
    numbers: int
    """Held in the format that the model is opened in; tied embeddings count once, as they are kept once."""
    packed: int
    """Bytes of what stays as it lies in the files: quantised weights, and whole numbers."""
    adapter: int = 0
    """Numbers in its adapter's weights; 0 without one."""
    per_token: int | None = None
    """Numbers that keys and values of one token hold, over all layers; None where its settings do not say."""

    def weight_bytes(self, dtype: str) -> int:
        """Bytes of the weights without the adapter, opened in that format."""
        return self.numbers * WIDTHS[dtype] + self.packed


def read_size(base: Path, adapter: Path | None = None) -> Size:
    """Of a folder, or of a GGUF file. InputError for files that cannot be read."""
    if is_gguf(base):
        return _size_of_gguf(base)
    files, config = loaded_files(base), read_config(base)
    tensors = {name: tensor for path in files for name, tensor in header(path).items()}
    matrices = {name: math.prod(shape) for name, (_, shape) in tensors.items() if len(shape) > 1}
    of_vocabulary = {name: n for name, n in matrices.items() if any(w in name for w in ("embed", "lm_head", "wte"))}
    floats = sum(math.prod(shape) for form, shape in tensors.values() if form in _FLOATS)
    whole = sum(math.prod(shape) for form, shape in tensors.values() if form not in _FLOATS)
    quantised = is_quantised(config)
    added = [] if adapter is None else [header(path) for path in adapter.glob("*.safetensors")]
    return Size(
        body=sum(matrices.values()) - sum(of_vocabulary.values()),
        head=max(of_vocabulary.values(), default=0),
        numbers=0 if quantised else floats,
        packed=sum(path.stat().st_size for path in files) if quantised else whole,
        adapter=sum(math.prod(shape) for file in added for _, shape in file.values()),
        per_token=_per_token(config.get("text_config") or config),
    )


def _size_of_gguf(path: Path) -> Size:
    """As it is opened: every number of it in the format of the model, whatever it takes in the file."""
    held = shapes(path)
    matrices = {name: math.prod(shape) for name, shape in held.items() if len(shape) > 1}
    of_vocabulary = {name: n for name, n in matrices.items() if name in ("token_embd.weight", "output.weight")}
    return Size(
        body=sum(matrices.values()) - sum(of_vocabulary.values()),
        head=max(of_vocabulary.values(), default=0),
        numbers=sum(map(math.prod, held.values())),
        packed=0,
        per_token=_per_token(settings(path)),
    )


def size_of(name: LocalName) -> Size | None:
    """For an estimate; None for a model that must be fetched first, and for one whose files do not say its size.

    What is wrong with the files is said where the model is opened.
    """
    base = at_hand(name.base)
    if base is None:
        return None
    try:
        size = read_size(base, None if name.adapter is None else at_hand(name.adapter))
    except (InputError, OSError):
        return None
    return size if size.body else None


def _per_token(config: dict[str, Any]) -> int | None:
    try:
        queries = int(config["num_attention_heads"])
        heads = int(config.get("num_key_value_heads") or queries)
        width = int(config.get("head_dim") or int(config["hidden_size"]) // queries)
        return 2 * int(config["num_hidden_layers"]) * heads * width
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
