"""Fingerprints of weights on disk: they change whenever the answers could."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

SAMPLER = "shared-prefix-1"
"""Version of the sampler's arithmetic; raised whenever equal seeds could give other answers."""

_known: dict[tuple[str, int, int], str] = {}
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
    "adapter_config.json",
)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, remembered in memory while its path, size and time stay the same."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _known:
        with path.open("rb") as file:
            _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known[key]


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, by name and content."""
    return _over(sorted(folder.glob("*.safetensors")))


def model_fingerprint(base: Path, adapter: Path | None, backend: Iterable[str]) -> str:
    """First 16 hex digits over weights, tokenizer, template, adapter and `backend` (dtype, device kind, ...)."""
    digest = hashlib.sha256()
    for folder in (base, adapter):
        if folder is not None:
            digest.update(_over(_answer_files(folder)).encode())
        digest.update(b"|")
    for part in (SAMPLER, *backend):
        digest.update(part.encode() + b"|")
    return digest.hexdigest()[:16]


def _answer_files(folder: Path) -> list[Path]:
    return sorted({path for pattern in _ANSWER_FILES for path in folder.glob(pattern) if path.is_file()})


def _over(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}:{file_sha256(path)}\n".encode())
    return digest.hexdigest()
