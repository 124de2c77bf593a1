"""How large a base is, by the headers of its files: what a training of it takes, and which recipe suits it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.models.contents import header
from offtarget.models.folders import find_folder
from offtarget.models.names import LocalName, is_path
from offtarget.workflows.ground import ground_of, parsed


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters of a model."""

    body: int
    """Of all matrices but those of the vocabulary: at work on every token."""
    head: int
    """Of the output layer: at work on tokens that are learned."""


def size_of(base: str) -> Size | None:
    """By the name of a model; None for one that would have to be fetched, and for one without safetensors files."""
    name = parsed(base)
    if not isinstance(name, LocalName) or ground_of(base).organism or not is_path(name.base.place):
        return None
    files = sorted(find_folder(name.base).glob("*.safetensors"))
    shapes = {tensor: shape for path in files for tensor, shape in _matrices(path)}
    counts = {tensor: rows * width for tensor, (rows, width) in shapes.items()}
    head = max((count for tensor, count in counts.items() if _of_vocabulary(tensor)), default=0)
    body = sum(count for tensor, count in counts.items() if not _of_vocabulary(tensor))
    return Size(body, head) if body else None


def _of_vocabulary(tensor: str) -> bool:
    return "embed" in tensor or "lm_head" in tensor or "wte" in tensor


def _matrices(path: Path) -> list[tuple[str, tuple[int, int]]]:
    return [(name, (shape[0], shape[1])) for name, (_, shape) in header(path).items() if len(shape) == 2]
