"""Several changes of the residual stream as one."""

from __future__ import annotations

import hashlib

from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.residual import Part, ResidualEdit


class Compose:
    """A `ResidualEdit` that does the given ones in their order: each sees what those before it have changed."""

    def __init__(self, *edits: ResidualEdit) -> None:
        if not edits:
            raise InputError("There is no intervention to compose. Give at least one.")
        self.edits = edits

    @property
    def layers(self) -> frozenset[int]:
        """Layers of any of the edits."""
        return frozenset().union(*(edit.layers for edit in self.edits))

    @property
    def fingerprint(self) -> str:
        """16 hex digits over those of the edits, in order."""
        return hashlib.sha256("+".join(edit.fingerprint for edit in self.edits).encode()).hexdigest()[:16]

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The stream after all edits."""
        for edit in self.edits:
            if layer in edit.layers:
                hidden = edit.apply(layer, hidden, parts)
        return hidden
