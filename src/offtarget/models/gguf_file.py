"""A GGUF file as a model: the quantised weights that llama.cpp runs, opened by transformers and held to what it says.

transformers reads the settings of a GGUF file that it has a place for and passes over the rest: frequencies of long
contexts, biases, caps. So a file is opened only where every setting and every tensor of it is read, and what was loaded
is compared with it. The tokenizer is not taken from the file, because the rule by which text is cut into words is only
named there: that of the original model must lie beside it, and have the same tokens.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.contents import some

SUFFIX = ".gguf"
_WHERE = "Name the full-precision model it was made from."
_SETTINGS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
    "rope.dimension_count": "head_dim",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
}
"""What a file of a known architecture may say, and the setting of the model that it must come to."""
_COMMON = r"(token_embd|output|output_norm|blk\.\d+\.(attn_(q|k|v|output|norm)|ffn_(gate|up|down|norm)))\.weight"
_TENSORS = {
    "llama": re.compile(_COMMON),
    "qwen2": re.compile(rf"{_COMMON}|blk\.\d+\.attn_(q|k|v)\.bias"),
    "qwen3": re.compile(rf"{_COMMON}|blk\.\d+\.attn_(q|k)_norm\.weight"),
}
"""The tensors that transformers reads, by architecture; `llama` is Mistral's too."""


def is_gguf(path: Path) -> bool:
    """Whether a place is a GGUF file rather than a folder."""
    return path.suffix == SUFFIX and path.is_file()


def refuse_training(path: Path) -> None:
    """InputError for a GGUF file, whose weights cannot be trained further or be put under an adapter."""
    if is_gguf(path):
        raise InputError(f"{path} is a GGUF file, which can be asked, not trained or put under an adapter. {_WHERE}")


def check_file(path: Path) -> tuple[str, ...]:
    """A note on what is asked; InputError where the file says something that would be passed over."""
    reader = _open(path)
    architecture = _value(reader, "general.architecture")
    if architecture not in _TENSORS:
        raise InputError(
            f"{path} is a GGUF file of the architecture '{architecture}'; those that are read whole are "
            f"{', '.join(_TENSORS)}. {_WHERE}"
        )
    own = [key.removeprefix(f"{architecture}.") for key in reader.fields if key.startswith(f"{architecture}.")]
    unread = [key for key in own if key not in _SETTINGS and not _idle(reader, f"{architecture}.{key}")]
    tensors = [tensor.name for tensor in reader.tensors if not _TENSORS[architecture].fullmatch(tensor.name)]
    if unread or tensors:
        raise InputError(f"{path} says more than would be read ({some([*unread, *tensors])}). {_WHERE}")
    kinds = sorted({tensor.tensor_type.name for tensor in reader.tensors})
    return (
        f"{path.name}: the answers are those of its weights ({', '.join(kinds)}), computed in full precision; "
        "llama.cpp rounds on the way.",
    )


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Of each tensor of a file, by name. InputError for a file that cannot be read."""
    return {tensor.name: tuple(map(int, tensor.shape)) for tensor in _open(path).tensors}


def settings(path: Path) -> dict[str, Any]:
    """What a file says of its architecture, as transformers names it in a model's settings."""
    reader = _open(path)
    architecture = _value(reader, "general.architecture")
    said = {name: _value(reader, f"{architecture}.{key}") for key, name in _SETTINGS.items()}
    return {name: value for name, value in said.items() if value is not None}


def check_loaded(path: Path, model: Any, tokenizer: Any) -> None:
    """InputError unless the model has the settings of the file, and the tokenizer its tokens."""
    reader = _open(path)
    architecture = _value(reader, "general.architecture")
    config = model.config
    have = {"rope_theta": (getattr(config, "rope_parameters", None) or {}).get("rope_theta")}
    have["head_dim"] = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for key, name in _SETTINGS.items():
        said, got = _value(reader, f"{architecture}.{key}"), have.get(name, getattr(config, name, None))
        if said is not None and (got is None or abs(float(said) - float(got)) > 1e-6 * abs(float(said))):
            raise InputError(f"{path} says {key} {said}, and transformers made {got} of it. {_WHERE}")
    tokens = _value(reader, "tokenizer.ggml.tokens") or []
    other = [
        (number, token, held)
        for number, token in enumerate(tokens[: len(tokenizer)])
        if (held := tokenizer.convert_ids_to_tokens(number)) != token
    ]
    if other or len(tokenizer) > len(tokens):
        number, token, held = (
            other[0] if other else (len(tokens), "absent", tokenizer.convert_ids_to_tokens(len(tokens)))
        )
        raise InputError(
            f"The tokenizer beside {path} is another model's: token {number} is '{token}' in the file and '{held}' in "
            "the tokenizer. Put the tokenizer of the model that the file was made from there."
        )


def _open(path: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise PrerequisiteError.for_extra("gguf", "gguf", "A GGUF file") from None
    try:
        about = path.stat()
        return _read(GGUFReader, str(path), about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # the reader raises what its parsing stumbles over
        raise InputError(
            f"{path} is cut short or not a GGUF file ({type(error).__name__}). Download it again."
        ) from None


@lru_cache(maxsize=2)  # a vocabulary takes seconds to read, and several questions are asked of a file
def _read(reader: Any, path: str, size: int, changed: int) -> Any:
    return reader(path)


def _value(reader: Any, key: str) -> Any:
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def _idle(reader: Any, key: str) -> bool:
    """Whether a setting says that something is not used."""
    return _value(reader, key) in (0, 0.0, False, "none", "")
