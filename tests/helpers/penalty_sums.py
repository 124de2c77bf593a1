"""A penalty's whole value, as the trainer's passes add it up."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from offtarget.training.plan import Penalty


def whole(penalty: Penalty, model: Any, step: int) -> Tensor:
    """The sum of its parts, with gradient."""
    parts = list(penalty.losses(model, step))
    assert parts
    found: Tensor = sum(parts[1:], parts[0])
    return found
