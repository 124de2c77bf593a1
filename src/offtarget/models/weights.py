"""Weights in memory: one base model, any number of LoRA adapters, one of them (or none) switched on."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.engine import Engine, TransformersEngine
from offtarget.models.folders import check_adapter_folder, check_model_folder
from offtarget.models.fused import FusedEngine, fuse
from offtarget.models.gguf_file import check_loaded, is_gguf
from offtarget.models.loading import Dtype, check_vocabulary, load_model, load_tokenizer
from offtarget.models.lora import weight_changes


class Weights:
    """A base model on a device; `using(adapter)` switches adapters, one user at a time."""

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        dtype: Dtype | None = None,
        trust_remote_code: bool = False,
        chat_template: str | None = None,
    ) -> None:
        """`chat_template` is put in place of the folder's own."""
        notes = check_model_folder(folder)
        self.folder = folder
        self.device = choose_device(device)
        self.dtype: Dtype = dtype or ("float32" if self.device.type == "cpu" else "bfloat16")
        self.adapters: dict[str, Path] = {}
        self.chat_template = chat_template
        self.tokenizer = load_tokenizer(folder, trust_remote_code, chat_template)
        self.model, more = load_model(folder, self.dtype, self.device, trust_remote_code)
        if is_gguf(folder):
            check_loaded(folder, self.model, self.tokenizer)
        rows = self.model.get_input_embeddings().weight.shape[0]
        self.notes = (*notes, *more, *check_vocabulary(folder, self.tokenizer, rows))
        """What of the folder is not loaded, one sentence each."""
        self.engine = TransformersEngine(self.model)
        self.fusing = getattr(self.model, "hf_quantizer", None) is None
        """Whether small models may use the fused engine; off only to compare the two."""
        self._fused: dict[str | None, FusedEngine | None] = {}
        self._lock = threading.RLock()

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return int(limit) if limit else 2**31

    def add_adapter(self, folder: Path) -> str:
        """Load a LoRA adapter beside the base and return the name to switch it on by."""
        try:
            from peft import PeftModel
        except ImportError:
            raise PrerequisiteError.for_extra("peft", "local", "An adapter") from None
        for name, known in self.adapters.items():
            if known.resolve() == folder.resolve():
                return name
        config = check_adapter_folder(folder, self.folder)
        check_shapes(self.model, folder, self.folder)
        name = f"adapter{len(self.adapters)}"
        options = {"adapter_name": name, "is_trainable": False, "use_safetensors": True}
        try:
            with warnings.catch_warnings():
                # peft warns of transformers' renamings, which the user can do nothing about.
                warnings.simplefilter("ignore")
                if isinstance(self.model, PeftModel):
                    self.model.load_adapter(str(folder), **options)
                else:
                    self.model = PeftModel.from_pretrained(self.model, str(folder), **options)
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            kind = config.get("base_model_name_or_path")
            raise InputError(
                f"{folder} cannot be put on {self.folder} (its configuration names the base {kind!r}): {error}"
            ) from error
        self.model.eval()
        self.engine = TransformersEngine(self.model)
        self._fused.clear()
        self.adapters[name] = folder
        return name

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[TransformersEngine]:
        """The transformers engine with one adapter on, or with all of them off (None)."""
        with self._lock:
            if not self.adapters:
                yield self.engine
            elif adapter is None:
                with self.model.disable_adapter():
                    yield self.engine
            else:
                self.model.set_adapter(adapter)
                yield self.engine

    @contextmanager
    def fastest(self, adapter: str | None) -> Iterator[Engine]:
        """As `using`, with the fused engine for models that have one."""
        with self.using(adapter) as generic:
            if adapter not in self._fused:
                self._fused[adapter] = self._fuse(adapter, generic)
            yield self._fused[adapter] or generic

    def _fuse(self, adapter: str | None, generic: TransformersEngine) -> FusedEngine | None:
        changes = {} if adapter is None else weight_changes(self.adapters[adapter])
        plain = self.model.get_base_model() if self.adapters else self.model
        return None if changes is None or not self.fusing else fuse(plain, generic, changes)


def check_shapes(model: Any, adapter: Path, base: Path) -> None:
    """InputError when an adapter's matrices do not fit the modules of the base they are meant for."""
    from safetensors import safe_open

    modules = {_plain(name): module for name, module in model.named_modules()}
    for path in sorted(adapter.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is not iterable
                target, mark, _ = key.partition(".lora_")
                if not mark:
                    continue
                module = modules.get(target.removeprefix("base_model.model."))
                if module is None:
                    raise InputError(
                        f"{adapter} is an adapter for another base: it changes {target}, which {base} lacks."
                    )
                weight = getattr(module, "weight", None)
                shape = tuple(file.get_slice(key).get_shape())
                have = () if weight is None else tuple(weight.shape)
                side = shape[1] if ".lora_A." in key or ".lora_embedding_B" in key else shape[0]
                if len(shape) == 2 and side not in have:
                    raise InputError(
                        f"{adapter} is an adapter for another base: {key} has shape {shape}, "
                        f"the weight of {base} it belongs to has {have}."
                    )


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer", "")


def choose_device(name: str | None) -> torch.device:
    """The named device, or a GPU where there is one. InputError for a name that is none."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"'{name}' is not a device. Use cpu, cuda or cuda:N.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("No CUDA device is available here. Use --device cpu, or install a CUDA build of torch.")
    return device
