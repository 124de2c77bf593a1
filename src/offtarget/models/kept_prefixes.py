"""Keys and values of prompts that were filled in before, kept from one call of a model to the next.

A check asks the same questions block after block, under several conditions; what a prompt leaves in a model depends on
the prompt, the weights, the adapter and the change of the residual stream alone. One store belongs to one such model.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

MOST_BYTES = 256 << 20
"""Of one model's kept prefixes; about 90 prompts of up to 64 tokens of a model of 135 million parameters."""


class Filled(NamedTuple):
    """What one prefix left behind, per layer (key heads, padded length, head size)."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(x.numel() * x.element_size() for x in (*self.keys, *self.values))


class KeptPrefixes:
    """The prefixes used last, up to so many bytes; several threads may use it at once."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[tuple[int, ...], Filled] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, prefix: Sequence[int]) -> Filled | None:
        """What was kept of a prefix; None where it has to be filled in."""
        with self._lock:
            found = self._kept.get(tuple(prefix))
            if found is not None:
                self._kept.move_to_end(tuple(prefix))
            return found

    def put(self, prefix: Sequence[int], filled: Filled) -> None:
        """Keep a prefix, and forget the one that was not used for longest where there is no room."""
        with self._lock:
            old = self._kept.pop(tuple(prefix), None)
            self._size += filled.size - (0 if old is None else old.size)
            self._kept[tuple(prefix)] = filled
            while self._size > self._most:
                _, forgotten = self._kept.popitem(last=False)
                self._size -= forgotten.size
