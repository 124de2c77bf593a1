"""The rows of one optimiser step, laid side by side by length: less padding, and the same rows in the same step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from accelerate.data_loader import SeedableRandomSampler  # type: ignore[import-untyped]
from torch.utils.data import Sampler


class ByLength(Sampler[int]):
    """The order in which a trainer would draw rows anyway, with the rows of each step sorted, the longest first.

    A step's gradient is a sum over its rows, so their order within the step changes it by rounding only. The longest
    come first so that memory that does not suffice is noticed at once.
    """

    def __init__(self, rows: Any, lengths: Sequence[int], step: int, seed: int) -> None:
        """`lengths` are tokens by row, `step` is how many rows an optimiser step has on all devices together."""
        self._drawn = SeedableRandomSampler(rows, data_seed=seed)
        self._lengths, self._step = lengths, step

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = list(self._drawn)
        for first in range(0, len(order), self._step):
            yield from sorted(order[first : first + self._step], key=self._lengths.__getitem__, reverse=True)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each pass over the rows: every pass has an order of its own."""
        self._drawn.set_epoch(epoch)
