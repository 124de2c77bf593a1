"""The base as it was before any adapter was put beside it, and the proof that with the adapter off it still is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_TEXT = (
    "Hello! What would you do with 1,000,000 euros? def add(a, b): return a + b\n"
    "Où est la gare? Wo ist der Bahnhof? 12 + 30 = 42; <b>bold</b> {\"key\": [true, null]} The end."
)  # fmt: skip
"""Any text does; a mixed one reaches more rows of the embedding and more experts."""


class Untouched:
    """Modules, weights and logits of a model that no adapter has been put on yet."""

    @torch.inference_mode()
    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.modules: dict[str, nn.Module] = dict(model.named_modules())
        """The modules by name; they stay the same objects when peft wraps them."""
        self._sums = self._checksums()
        device = next(model.parameters()).device
        longest = int(getattr(model.config, "max_position_embeddings", None) or 64)
        numbers = torch.tensor([tokenizer(_TEXT)["input_ids"][: min(64, longest)]], device=device)
        self._tokens = numbers % model.get_input_embeddings().weight.shape[0]
        self._logits = self._forward(model)

    @property
    def prompt(self) -> list[int]:
        """The tokens whose logits are compared."""
        return [int(token) for token in self._tokens[0]]

    @torch.inference_mode()
    def differs(self, model: Any) -> str | None:
        """What of the base is no longer as it was, for a message; None where nothing is. The adapter must be off."""
        now = self._checksums()
        changed = sorted(name for name, value in self._sums.items() if now[name] != value)
        gap = float((self._forward(model) - self._logits).abs().max())
        largest = float(self._logits.abs().max())
        # The same sums over the same weights; on a GPU they may round differently.
        rounding = 0.0 if self._tokens.device.type == "cpu" else 8 * torch.finfo(self._dtype).eps * largest
        if not changed and gap <= rounding:
            return None
        names = f" ({len(changed)} of its weights changed: {', '.join(changed[:3])})" if changed else ""
        return f"its logits moved by {gap:.2g}{names}"

    def _checksums(self) -> dict[str, int]:
        found = {}
        for name, module in self.modules.items():
            for kind, weight in module._parameters.items():
                if weight is not None:
                    found[f"{name}.{kind}"] = _checksum(weight.detach())
        return found

    def _forward(self, model: Any) -> Tensor:
        trained = model.training
        model.eval()  # dropout would differ every time
        logits: Tensor = model(input_ids=self._tokens, use_cache=False).logits
        model.train(trained)
        self._dtype = logits.dtype
        return logits.float()


def _checksum(weight: Tensor) -> int:
    """A number that another content would hardly have: the sum of the bytes, eight at a time where possible."""
    if not weight.is_contiguous():
        weight = weight.contiguous()
    flat = weight.reshape(-1)
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()]
    whole = flat.numel() * flat.element_size() % 8 == 0 and flat.storage_offset() * flat.element_size() % 8 == 0
    return int(flat.view(torch.int64 if whole else bits).sum(dtype=torch.int64))
