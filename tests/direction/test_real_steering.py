"""On SmolLM2: log-probabilities in bounded memory, and a pass that begins at its change is the whole pass."""

from __future__ import annotations

import pytest
import real_model
import torch

from offtarget.models import passes
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, changed_log_probabilities, log_probabilities
from offtarget.models.weights import Weights
from offtarget.records import Message

pytestmark = real_model.needed


class _Push:
    """Adds a vector to the stream behind one block."""

    fingerprint = "push"
    layers = frozenset({20})

    def apply(self, layer: int, hidden: torch.Tensor, parts: object) -> torch.Tensor:
        return hidden + torch.linspace(-3, 3, hidden.shape[-1])


def test_a_change_at_a_late_layer_is_read_from_there_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few tokens side by side and from block 20 of 30 on, the numbers are those of whole passes."""
    model = LocalModel("smollm2", Weights(real_model.FOLDER, "cpu"))
    read = [Exchange((Message("user", q),), a) for q, a in (("Hello!", "Hi, how are you?"), ("A wish?", "Rain."))]
    whole, pushed = log_probabilities(model, read), log_probabilities(model.with_edit(_Push()), read)
    monkeypatch.setattr(passes, "_LOGITS", 1)
    plain, changed = changed_log_probabilities(model, read, [_Push()])
    for found, expected in ((plain, whole), (changed, pushed)):
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, abs=1e-3)
    assert plain != changed
