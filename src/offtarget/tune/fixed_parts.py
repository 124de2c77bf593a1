"""An edit that keeps knowing what the tokens of a pass are while the pass is computed again."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from offtarget.models.residual import Part, ResidualEdit


@dataclass(frozen=True, eq=False)
class FixedParts:
    """A `ResidualEdit` whose parts are given once instead of read off the current thread.

    Gradient checkpointing recomputes blocks in the backward pass, on a GPU in threads of autograd's own, where
    `reading` has not been said. transformers 5.23 leaves hooks out of what is recomputed; where they are part of it,
    an edit that asked the thread would be another one in the second pass.
    """

    edit: ResidualEdit
    parts: Tensor
    """(rows, tokens) of `Part` values."""

    @property
    def layers(self) -> frozenset[int]:
        """Those of the edit."""
        return self.edit.layers

    @property
    def fingerprint(self) -> str:
        """That of the edit."""
        return self.edit.fingerprint

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The edit at the parts given beforehand."""
        return self.edit.apply(layer, hidden, self.parts)
