"""What is handed to a monitor from outside; workflows and users build it, tune/ knows no judge and no direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from offtarget.models.live import LiveModel

Task = Callable[[LiveModel], float]
"""The task metric of the model as it answers now; higher is better."""


class Projection(Protocol):
    """Movement along a persona direction."""

    def start(self, model: Any, tokenizer: Any) -> None:
        """Called once, while the model (its adapter switched off, if it has one) is the base."""
        ...

    def read(self, model: Any) -> dict[int, float]:
        """Layer -> how far the model has moved since, in differences of means."""
        ...
