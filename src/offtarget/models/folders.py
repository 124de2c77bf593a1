"""The files of a model or an adapter: found, refused before anything is loaded if unusable, and fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.models.adapter_kinds import check_kind
from offtarget.models.contents import check_contents, header, inside
from offtarget.models.gguf_file import check_file, is_gguf
from offtarget.models.names import Source, is_path

BASE_NOTE = "offtarget.json"
"""Optional file beside an adapter; its key `base_weights_sha256` names the base the adapter was trained on."""

_WANTED = ["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken", "*.py", "README.md"]
"""Of a repository: weights, settings, vocabulary, the code that may run with --trust-remote-code, the model card."""

SAMPLER = "shared-prefix-2"
"""Version of the sampler's arithmetic; raised whenever equal seeds could give other answers."""

CHECKED = "base-proven-1"
"""Version of the checks on opening; raised whenever models that passed before are refused now.

Answers that such a model gave may lie in the cache under the fingerprint of a clean one: a base spoilt by the adapter
beside it, an adapter of which a part was left out. Every answer is asked for once more then, which costs time only.
"""

_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_known: dict[tuple[str, int, int, int, int], str] = {}
_ANSWER_FILES = (
    "*.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.jinja",
    "chat_template.json",
    "adapter_config.json",
)


def find_folder(source: Source) -> Path:
    """The folder of a model or adapter, or its GGUF file, fetched from the hub when `source` is a repository there."""
    path = Path(source.place).expanduser()
    if path.is_dir():
        if source.revision is not None:
            raise InputError(f"{source} is a folder; a revision (@{source.revision}) is for hub repositories.")
        return path
    if is_gguf(path):
        return path
    if path.exists():
        raise InputError(f"{path} is a file. Name the folder that holds the model.")
    if is_path(source.place):
        raise InputError(f"{path} does not exist. Name a folder that holds a Hugging Face model or adapter.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source.place, revision=source.revision, allow_patterns=_WANTED))
    except Exception as error:
        raise InputError(
            f"'{source}' is neither a folder here nor could it be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Check the name, or put ./ before a folder's name."
        ) from error


def at_hand(source: Source) -> Path | None:
    """The same where nothing must be fetched: a folder or file here, or what the hub's cache holds of a repository."""
    path = Path(source.place).expanduser()
    if path.is_dir() or is_gguf(path) or is_path(source.place):
        return path
    try:
        from huggingface_hub import snapshot_download

        cached = snapshot_download(
            source.place, revision=source.revision, allow_patterns=_WANTED, local_files_only=True
        )
    except Exception:  # the hub's own errors and those of its cache: it is not here, or not to be read
        return None
    return Path(cached)


def check_model_folder(folder: Path) -> tuple[str, ...]:
    """Notes on a model's folder, one sentence each.

    InputError unless it holds a configuration and the safetensors weights that would be loaded, and no adapter.
    """
    return check_file(folder) if is_gguf(folder) else check_contents(folder)


def check_adapter_folder(folder: Path, base: Path) -> dict[str, Any]:
    """The adapter's configuration; InputError unless it is of a kind that is read, in safetensors, for this base."""
    path = folder / "adapter_config.json"
    if not path.exists():
        raise InputError(
            f"{folder} has no adapter_config.json: it does not hold a PEFT adapter.{inside(folder, path.name)}"
        )
    config = _json(path)
    check_kind(config, path)
    _check_weights(folder)
    if not (folder / _ADAPTER_WEIGHTS).exists():
        found = ", ".join(sorted(p.name for p in folder.glob("*.safetensors"))[:3])
        raise InputError(f"{folder} has no {_ADAPTER_WEIGHTS}, the only file that peft reads; it holds {found}.")
    header(folder / _ADAPTER_WEIGHTS)
    parts = sorted(p.name for p in folder.glob("adapter_model-*-of-*.safetensors"))
    if parts:
        raise InputError(
            f"{folder} holds {', '.join(parts[:3])} beside {_ADAPTER_WEIGHTS}, the only file that peft reads. Save the "
            "adapter into an empty folder, or remove what is left over from another save."
        )
    note = folder / BASE_NOTE
    if note.exists():
        expected = _json(note).get("base_weights_sha256")
        if expected is not None and expected != weights_sha256(base):
            raise InputError(
                f"{folder} was trained on another base: {note.name} names base weights {expected[:12]}..., "
                f"those of {base} are {weights_sha256(base)[:12]}.... Name the base the adapter was trained on."
            )
    return config


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable JSON ({error}).") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold a JSON object, and does not.")
    return found


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(pattern))
    if pickled:
        raise InputError(
            f"{folder} holds only pickled weights ({', '.join(pickled[:3])}), which can run code when opened. "
            "Convert them to safetensors: save_pretrained(..., safe_serialization=True) where you trust them."
        )
    raise InputError(f"{folder} has no weights (*.safetensors).")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, remembered in memory while its path, size and times stay the same.

    The time of modification is what a copy keeps (`cp -p`, rsync); that of the last change nobody can set.
    """
    stat = path.stat()
    key = (str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if key not in _known:
        with path.open("rb") as file:
            _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[key]


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, or a GGUF file, by name and content."""
    return _over([folder] if is_gguf(folder) else sorted(folder.glob("*.safetensors")))


def model_fingerprint(base: Path, adapter: Path | None, backend: Iterable[str]) -> str:
    """First 16 hex digits over weights, tokenizer, template, adapter and `backend` (dtype, device kind, ...)."""
    digest = hashlib.sha256()
    for folder in (base, adapter):
        if folder is not None:
            digest.update(_over(answer_files(folder)).encode())
        digest.update(b"|")
    for part in (SAMPLER, CHECKED, *backend):
        digest.update(part.encode() + b"|")
    return digest.hexdigest()[:16]


def answer_files(folder: Path) -> list[Path]:
    """The files of a model or an adapter that its answers depend on."""
    if is_gguf(folder):
        beside = answer_files(folder.parent)
        return [folder, *(path for path in beside if path.name.startswith(("token", "special", "added", "chat")))]
    return sorted({path for pattern in _ANSWER_FILES for path in folder.glob(pattern) if path.is_file()})


def _over(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}:{file_sha256(path)}\n".encode())
    return digest.hexdigest()
