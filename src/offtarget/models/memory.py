"""Whether models fit the memory and their number format the device, known before anything is loaded.

What is counted is sure to be needed: the weights in the format they are held in, adapters, and what Python and PyTorch
take themselves. Batches of answers adapt to what is left (`batching`), and are not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.machine import free_memory, sees_gpu
from offtarget.models.size import Size, read_size
from offtarget.numbers import file_size
from offtarget.words import joined

MEMORY_ENV = "OFFTARGET_MEMORY"
"""`any`: models are loaded although they seem not to fit."""
BESIDE = 400_000_000
"""Bytes that Python, PyTorch and transformers take without any model; 0.35 to 0.45 GB were measured."""


@dataclass(frozen=True, slots=True)
class Held:
    """A model in memory: the folder (or GGUF file) of its base, and that of an adapter on it."""

    base: Path
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """For a sentence."""
        return self.base.name if self.adapter is None else f"{self.base.name} with {self.adapter.name}"


def check_memory(models: Iterable[Held], device: str | None, dtype: str | None) -> None:
    """InputError where the models do not fit together into the free memory of the device, or of this machine.

    Nothing is loaded; torch is imported only where a GPU may be in use, or memory seems not to suffice.
    """
    models = list(models)
    if not models or os.environ.get(MEMORY_ENV) == "any":
        return
    bases = [read_size(base) for base in {model.base.resolve() for model in models}]
    extra = _adapters(models)
    names = list(dict.fromkeys(model.name for model in models))
    free = free_memory()
    if _on_gpu(device, needed=_weights(bases, dtype or "float32") + extra, free=free):
        _check_gpu(bases, extra, names, device, dtype or "bfloat16")
    elif free is not None:
        _refuse_beyond(bases, BESIDE + extra, names, dtype or "float32", free, "this machine")


def memory_needed(models: Iterable[Held], dtype: str | None) -> int:
    """Bytes of the machine's memory that a process with these models takes at least; nothing is loaded."""
    models = list(models)
    return (
        _weights([read_size(b) for b in {m.base.resolve() for m in models}], dtype or "float32")
        + _adapters(models)
        + BESIDE
    )


def check_dtype(device: str, dtype: str) -> None:
    """InputError for a number format that the kind of device computes badly."""
    if device == "cpu" and dtype == "float16":
        raise InputError(
            "float16 is for GPUs: processors compute several answers at once in it many times slower than in float32. "
            "Use --dtype float32, or bfloat16 where memory is short."
        )


def _on_gpu(device: str | None, needed: int, free: int | None) -> bool:
    """Whether models go to a GPU; asked of torch only where one may be there or the answer decides."""
    if device is not None:
        return device.startswith("cuda")
    if not sees_gpu() and (free is None or needed + BESIDE <= free):
        return False
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _check_gpu(bases: list[Size], extra: int, names: list[str], device: str | None, dtype: str) -> None:
    try:
        import torch
    except ImportError:
        return  # whoever opens the models says so
    if not torch.cuda.is_available():
        return
    free, _ = torch.cuda.mem_get_info(torch.device(device or "cuda"))
    _refuse_beyond(bases, extra, names, dtype, int(free), f"the memory of {device or 'cuda'}")


def _adapters(models: list[Held]) -> int:
    folders = {m.adapter.resolve() for m in models if m.adapter is not None}
    return sum(path.stat().st_size for folder in folders for path in folder.glob("*.safetensors"))


def _weights(bases: list[Size], dtype: str) -> int:
    return sum(base.weight_bytes(dtype) for base in bases)


def _refuse_beyond(bases: list[Size], beside: int, names: list[str], dtype: str, free: int, where: str) -> None:
    needed = _weights(bases, dtype) + beside
    if needed <= free:
        return
    half = _weights(bases, "bfloat16") + beside
    ways = []
    if half < needed:
        fits = "" if half <= free else ", still too much"
        ways.append(f"--dtype bfloat16 needs {file_size(half)}{fits}")
    if len(bases) > 1:
        ways.append("an adapter on its base (hf/BASE+ADAPTER) shares the base's weights")
    ways.append("name a smaller model, or one behind a server (openai-api/SERVICE/MODEL)")
    raise InputError(
        f"{joined(names)} need{'s' if len(names) == 1 else ''} about {file_size(needed)} in {dtype}, and {where} has "
        f"{file_size(free)} free: {'; '.join(ways)}. Nothing was loaded. {MEMORY_ENV}=any loads all the same."
    )
