"""Weights in memory: one base model beside plain LoRA adapters, or one of another kind; one or none is on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.adapter_kinds import is_plain_lora
from offtarget.models.adapter_loading import checked_tensors, load_adapter, switched_off
from offtarget.models.engine import Engine, TransformersEngine
from offtarget.models.folders import check_adapter_folder, check_model_folder
from offtarget.models.fused import FusedEngine, fuse
from offtarget.models.gguf_file import check_loaded, is_gguf
from offtarget.models.loading import Dtype, check_vocabulary, load_model, load_tokenizer
from offtarget.models.lora import read_config, weight_changes
from offtarget.models.paying import Payer
from offtarget.models.untouched import Untouched


class Weights:
    """A base model on a device; `using(adapter)` switches adapters, one user at a time."""

    payer: Payer | None = None
    """Is asked before every answer; None: nobody counts them."""

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
        self.dtype: Dtype = dtype or usual_dtype(self.device)
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
        self.untouched: Untouched | None = None
        """The base before the first adapter was put beside it; None as long as there is none."""
        self._spoilt: str | None = None
        self._lock = threading.RLock()

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return int(limit) if limit else 2**31

    def takes(self, folder: Path) -> bool:
        """Whether an adapter can be put beside those that are there; InputError where it is not read at all.

        Adapters that share more than the base (VeRA's matrices, a table of trained tokens) change each other in peft.
        """
        config = check_adapter_folder(folder, self.folder)
        others = [known for known in self.adapters.values() if known.resolve() != folder.resolve()]
        return not others or all(map(is_plain_lora, (config, *map(read_config, others))))

    def add_adapter(self, folder: Path) -> str:
        """Load an adapter beside the base and return the name to switch it on by.

        InputError when not all that its folder holds is loaded, and when the base is no longer the same with the
        adapter off; the weights answer nothing more after that.
        """
        try:
            import peft  # noqa: F401
        except ImportError:
            raise PrerequisiteError.for_extra("peft", "local", "An adapter") from None
        for name, known in self.adapters.items():
            if known.resolve() == folder.resolve():
                return name
        if self._spoilt is not None:
            raise InputError(self._spoilt)
        if not self.takes(folder):
            raise InputError(
                f"{folder} cannot be put beside {next(iter(self.adapters.values()))}: only plain LoRA adapters can "
                "share a base in memory. Open the base again for it."
            )
        tensors = checked_tensors(folder)
        if self.untouched is None:
            self.untouched = Untouched(self.model, self.tokenizer)
        name = f"adapter{len(self.adapters)}"
        # until all checks have passed
        self._spoilt = f"{folder} was refused, and has left its traces in the base in memory. Open the base again."
        self.model = load_adapter(self.model, folder, tensors, self.folder, self.untouched, name)
        self.model.eval()
        self.engine = TransformersEngine(self.model)
        self._fused.clear()
        self.adapters[name] = folder
        self._spoilt = None
        return name

    def let_go(self) -> None:
        """Free the memory of the weights; they answer nothing more."""
        with self._lock:
            self._spoilt = f"The weights of {self.folder} were let go. Open them again."
            self._fused.clear()
            self.untouched = None
            self.model = self.engine = None  # type: ignore[assignment]
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[TransformersEngine]:
        """The transformers engine with one adapter on, or with all of them off (None)."""
        with self._lock:
            if self._spoilt is not None:
                raise InputError(self._spoilt)
            if not self.adapters:
                yield self.engine
            elif adapter is None:
                with switched_off(self.model):
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


def usual_dtype(device: torch.device) -> Dtype:
    """The number format of a device where none is chosen; GPUs before Ampere compute bfloat16 only by detours."""
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


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
