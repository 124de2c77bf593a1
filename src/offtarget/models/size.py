"""How large a model is, by the headers of its files alone: no weights are loaded and nothing is fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.models.contents import header, read_config
from offtarget.models.names import LocalName


@dataclass(frozen=True, slots=True)
class Size:
    """Of a local model with the adapter on it."""

    parameters: int
    """Numbers in its weights; tied embeddings count once, as they are kept once."""
    adapter: int
    """Numbers in its adapter's weights; 0 without one."""
    vocabulary: int
    """Tokens, and so logits for each position."""
    per_token: int
    """Numbers that keys and values of one token hold, over all layers."""

    def __post_init__(self) -> None:
        if min(self.parameters, self.vocabulary, self.per_token) < 1:
            raise ValueError(f"{self} is no size of a model.")


def size_of(name: LocalName) -> Size | None:
    """Its size; None for a model that is not in a folder here, and for one whose files do not say it."""
    base = Path(name.base.place).expanduser()
    adapter = None if name.adapter is None else Path(name.adapter.place).expanduser()
    try:
        config = read_config(base)
        config = config.get("text_config") or config
        layers, width = int(config["num_hidden_layers"]), int(config["hidden_size"])
        queries = int(config["num_attention_heads"])
        heads = int(config.get("num_key_value_heads") or queries)
        return Size(
            parameters=_numbers(base),
            adapter=0 if adapter is None else _numbers(adapter),
            vocabulary=int(config["vocab_size"]),
            per_token=2 * layers * heads * int(config.get("head_dim") or width // queries),
        )
    except (InputError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None  # an estimate is no reason to fail; what is wrong with the model is said where it is opened


def _numbers(folder: Path) -> int:
    return sum(math.prod(shape) for path in folder.glob("*.safetensors") for _, shape in header(path).values())
