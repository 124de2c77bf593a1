"""Whether models fit the memory and their number format the device, known before anything is loaded.

What is counted is sure to be needed: the weights in the format they are held in, adapters, and what Python and PyTorch
take themselves. Batches of answers adapt to what is left (`batching`), and are not counted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.machine import free_memory
from offtarget.models.contents import header, read_config
from offtarget.models.gguf_file import is_gguf
from offtarget.numbers import file_size
from offtarget.words import joined

MEMORY_ENV = "OFFTARGET_MEMORY"
"""`any`: models are loaded although they seem not to fit."""
BESIDE = 400_000_000
"""Bytes that Python, PyTorch and transformers take without any model; 0.35 to 0.45 GB were measured."""
_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
_FLOATS = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class Held:
    """A model in memory: the folder (or GGUF file) of its base, and that of an adapter on it."""

    base: Path
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """For a sentence."""
        return self.base.name if self.adapter is None else f"{self.base.name} with {self.adapter.name}"


def weight_bytes(folder: Path, dtype: str) -> int:
    """Bytes of a model's weights in that number format; those of quantised ones as they lie in the files."""
    if is_gguf(folder):
        return folder.stat().st_size  # opened, it needs more
    files = [path for path in folder.glob("*.safetensors") if not path.name.startswith(("adapter_model", "consolid"))]
    config = read_config(folder) if (folder / "config.json").is_file() else {}
    if any(config.get(key) for key in ("quantization_config", "compression_config", "quantization")):
        return sum(path.stat().st_size for path in files)
    return sum(
        math.prod(shape) * (_WIDTHS[dtype] if form in _FLOATS else 1)
        for path in files
        for form, shape in header(path).values()
    )


def check_memory(models: Iterable[Held], device: str | None, dtype: str | None) -> None:
    """InputError where the models do not fit together into the free memory of the device, or of this machine.

    Nothing is loaded; torch is imported only where a GPU may be in use, or memory seems not to suffice.
    """
    models = list(models)
    bases = {model.base.resolve() for model in models}
    if not bases or os.environ.get(MEMORY_ENV) == "any":
        return
    adapters = {m.adapter.resolve() for m in models if m.adapter is not None}
    extra = sum(path.stat().st_size for folder in adapters for path in folder.glob("*.safetensors"))
    names = list(dict.fromkeys(model.name for model in models))
    free = free_memory()
    if _on_gpu(device, needed=sum(weight_bytes(base, dtype or "float32") for base in bases) + extra, free=free):
        _check_gpu(list(bases), extra, names, device, dtype or "bfloat16")
    elif free is not None:
        _refuse_beyond(list(bases), BESIDE + extra, names, dtype or "float32", free, "this machine")


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
    if not any(Path("/dev").glob("nvidia[0-9]*")) and (free is None or needed + BESIDE <= free):
        return False
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _check_gpu(bases: list[Path], extra: int, names: list[str], device: str | None, dtype: str) -> None:
    try:
        import torch
    except ImportError:
        return  # whoever opens the models says so
    if not torch.cuda.is_available():
        return
    free, _ = torch.cuda.mem_get_info(torch.device(device or "cuda"))
    _refuse_beyond(bases, extra, names, dtype, int(free), f"the memory of {device or 'cuda'}")


def _refuse_beyond(bases: list[Path], beside: int, names: list[str], dtype: str, free: int, where: str) -> None:
    needed = sum(weight_bytes(base, dtype) for base in bases) + beside
    if needed <= free:
        return
    half = sum(weight_bytes(base, "bfloat16") for base in bases) + beside
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
