"""What lies in a model's folder: the weights that a loader opens, and whether they are whole.

A loader opens what it finds under the names it knows and passes over the rest without a word: a forgotten shard, a file
that was cut short, an adapter that was meant to be on top. So the folder is read before anything is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.numbers import many

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The names under which transformers looks for weights: one file, or an index that names several."""
ADAPTER_CONFIG = "adapter_config.json"

_SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
_ADAPTER = re.compile(r"adapter_model.*\.safetensors$")
_OTHER_FORM = re.compile(r"consolidated.*\.safetensors$")
"""The same weights once more, in the form of their maker, as in the repositories of Mistral."""
_VOCABULARIES = (
    *("tokenizer.json", "*.model", "vocab*", "*.vocab", "*.tiktoken", "tekken.json", "*.spm", "bpe*"),
    "tokenization_*.py",
)
"""Files that hold a vocabulary, or the code that makes one."""
Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Name -> (number format, shape) of the tensors in a file."""
_POINTER = b"version https://git-lfs"
_SHOWN = 3


def check_contents(folder: Path) -> tuple[str, ...]:
    """What is worth a note about the files of a model; InputError unless the weights in the folder are those loaded."""
    _refuse_dead_links(folder)
    config = folder / "config.json"
    adapter = folder / ADAPTER_CONFIG
    weights = [p for name in (WHOLE, INDEX) if (p := folder / name).exists()]
    if adapter.exists():
        _refuse_adapter(folder, config.exists() and bool(weights))
    if not config.exists():
        raise InputError(_without_config(folder))
    settings = read_config(folder)
    loaded = loaded_files(folder)
    _check_tensors(folder, {path.name: header(path) for path in loaded}, settings)
    _refuse_pointers(folder)
    return _beside(folder, {path.name for path in loaded})


def check_tokenizer_files(folder: Path) -> None:
    """InputError where a model has no vocabulary: transformers would make an empty tokenizer of its configuration."""
    if not any(path.is_file() for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        raise InputError(
            f"{folder} has no usable tokenizer: there is no vocabulary in it (tokenizer.json, tokenizer.model or "
            "vocab.json). Save the tokenizer of the base into the folder: AutoTokenizer.from_pretrained(BASE)"
            ".save_pretrained(FOLDER)."
        )


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model. InputError unless it is a JSON object."""
    return read_object(folder / "config.json")


def is_quantised(settings: Mapping[str, Any]) -> bool:
    """Whether a model's `config.json` says that its weights are."""
    return any(settings.get(key) for key in ("quantization_config", "compression_config", "quantization"))


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object in a file of a model. InputError where it is unreadable or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:  # also text that is not UTF-8
        if _is_pointer(path):
            raise InputError(_pointer(path)) from None
        raise InputError(f"{path} is not readable JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__} where a JSON object is expected.")
    return value


def header(path: Path) -> Tensors:
    """Name -> (number format, shape) of the tensors in a safetensors file, which is not opened further.

    InputError for a file that is cut short, a git-lfs pointer, or no safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if start == _POINTER[:8]:
                raise InputError(_pointer(path))
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8:
                raise InputError(_cut_short(path, size))
            entries = json.loads(file.read(length))
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        found = {name: (str(entry["dtype"]), tuple(entry["shape"])) for name, entry in tensors.items()}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise InputError(f"{path} is not a safetensors file. Save or download the model again.") from None
    if 8 + length + end != size:
        raise InputError(_cut_short(path, size, 8 + length + end))
    return found


def _check_tensors(folder: Path, headers: Mapping[str, Tensors], settings: Mapping[str, Any]) -> None:
    """InputError where a weight stands in two files, or whole numbers stand in the place of plain weights."""
    places: dict[str, list[str]] = {}
    for file, tensors in headers.items():
        for name in tensors:
            places.setdefault(name, []).append(file)
    twice = [name for name, files in places.items() if len(files) > 1]
    if twice:
        raise InputError(
            f"{folder} holds {many(len(twice), 'weight')} twice ({some(twice)}; {' and '.join(places[twice[0]][:2])}): "
            "files of two saves lie together, and which of the two is loaded is chance. Save the model into an empty "
            "folder, or download it again."
        )
    whole = [
        name
        for tensors in headers.values()
        for name, (form, shape) in tensors.items()
        if name.endswith(".weight") and len(shape) > 1 and form.lstrip("IU").isdigit()
    ]
    if whole and not is_quantised(settings):
        raise InputError(
            f"{folder} holds whole numbers in the place of {many(len(whole), 'weight')} ({some(whole)}), and its "
            "config.json has no quantization_config: they are quantised, and would be taken for the weights "
            "themselves. Restore its config.json, or name the full-precision model."
        )


def some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    every = sorted(names)
    rest = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {many(rest, 'more', 'more')}" if rest > 0 else "")


def _refuse_adapter(folder: Path, whole: bool) -> None:
    if not whole:
        raise InputError(f"{folder} holds an adapter, not a model. Name both: hf/BASE+{folder}")
    raise InputError(
        f"{folder} holds a whole model and an adapter ({ADAPTER_CONFIG}): loading it would put the adapter on top of "
        f"weights that may already contain it. Name the adapter on its base, hf/BASE+{folder}, or move "
        f"{ADAPTER_CONFIG} and adapter_model.* away to use the whole model as it was saved."
    )


def _without_config(folder: Path) -> str:
    packed = sorted(path.name for path in folder.glob("*.gguf"))
    if packed:
        return (
            f"{folder} holds GGUF weights alone ({some(packed)}), a form for llama.cpp. Name the full-precision model "
            f"they were made from, or the file itself with that model's tokenizer beside it: hf/{folder}/{packed[0]}. "
            "transformers converts such a file: AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=NAME), then "
            "save_pretrained(NEW_FOLDER)."
        )
    return f"{folder} has no config.json: it does not hold a Hugging Face model.{inside(folder, 'config.json')}"


def _refuse_dead_links(folder: Path) -> None:
    """InputError for a link to a file that is not there, as a cache that was copied or cleaned leaves it."""
    dead = sorted(path.name for path in folder.iterdir() if path.is_symlink() and not path.exists())
    if dead:
        raise InputError(
            f"{folder} holds {many(len(dead), 'link')} to files that are not there ({some(dead)}): a part of a cache "
            "that was copied or cleaned. Download or copy the model again, the files themselves with it."
        )


def inside(folder: Path, name: str) -> str:
    """A sentence on the folders within a folder that hold a file of that name, empty for none."""
    patterns = (f"*/{name}", f"snapshots/*/{name}")
    found = sorted(str(path.parent.relative_to(folder)) for pattern in patterns for path in folder.glob(pattern))
    return f" Folders in it do: {some(found)}. Name one of them." if found else ""


def loaded_files(folder: Path) -> list[Path]:
    """The files of weights that a loader opens: one, or all that the index names. InputError where there are none."""
    whole, index = folder / WHOLE, folder / INDEX
    named = _named_by(index) if index.exists() else set()
    if whole.exists():
        if named - {WHOLE}:
            raise InputError(
                f"{folder} holds two sets of weights, {WHOLE} and the {many(len(named), 'file')} that {INDEX} "
                "names. Move the set away that is not meant."
            )
        return [whole]
    if not named:
        raise InputError(_without_weights(folder))
    absent = {name for name in named if not (folder / name).exists()}
    if absent:
        raise InputError(
            f"{folder} lacks {many(len(absent), 'file')} of weights that {INDEX} names: {some(absent)}. "
            "Download or copy the model again."
        )
    return [folder / name for name in sorted(named)]


def _named_by(index: Path) -> set[str]:
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{index} has no weight_map that names files of weights. Save the model again.")
    return set(places.values())


def _without_weights(folder: Path) -> str:
    pickled = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))
    other = sorted(p.name for p in folder.glob("*.safetensors"))
    if other:
        return (
            f"{folder} has no weights under a name that is loaded ({WHOLE}, or the files that {INDEX} names); it holds "
            f"{some(other)}. Save the model with save_pretrained, or restore its index."
        )
    if pickled:
        return (
            f"{folder} holds only pickled weights ({some(pickled)}), which can run code when opened. "
            "Convert them to safetensors: save_pretrained(..., safe_serialization=True) where you trust them."
        )
    if any(folder.glob("*.gguf")):
        return _without_config(folder)
    return f"{folder} has no weights (*.safetensors)."


def _beside(folder: Path, loaded: set[str]) -> tuple[str, ...]:
    """Notes on weights that are not loaded; InputError for those of another save, and for an adapter's."""
    others = sorted(path.name for path in folder.glob("*.safetensors") if path.name not in loaded)
    others = [name for name in others if not _OTHER_FORM.match(name)]
    variants = {name for index in folder.glob("*.index.*.json") for name in _named_by(index)}
    stale = [name for name in others if _SHARD.search(name) and name not in variants]
    if stale:
        raise InputError(
            f"{folder} holds {many(len(stale), 'file')} of weights that would not be loaded ({some(stale)}): they "
            "are left over from another save. Save the model into an empty folder, or remove them."
        )
    adapters = [name for name in others if _ADAPTER.match(name)]
    if adapters:
        raise InputError(
            f"{folder} holds an adapter's weights ({some(adapters)}) without {ADAPTER_CONFIG}: they would be ignored. "
            "Move them away to use the whole model as it was saved, or restore the adapter's configuration and name "
            f"hf/BASE+{folder}."
        )
    return tuple(f"{folder.name}: {name} is not among the files of its weights and was not loaded." for name in others)


def _refuse_pointers(folder: Path) -> None:
    """InputError for a git-lfs pointer in place of the tokenizer."""
    for pattern in ("tokenizer*", "*.model", "vocab.*", "merges.txt"):
        for path in folder.glob(pattern):
            refuse_pointer(path)


def refuse_pointer(path: Path) -> None:
    """InputError where the file is there and is a git-lfs pointer."""
    if path.is_file() and _is_pointer(path):
        raise InputError(_pointer(path))


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _pointer(path: Path) -> str:
    return f"{path} is a git-lfs pointer, not the file itself. Fetch it: git lfs pull, or hf download."


def _cut_short(path: Path, size: int, wanted: int | None = None) -> str:
    should = "" if wanted is None else f", its header speaks of {wanted:,}"
    return f"{path} is cut short or not a safetensors file: it has {size:,} bytes{should}. Download or copy it again."
