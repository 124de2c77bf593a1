"""Answers of two models that arrive one at a time become blocks of one tuned and m base answers.

Which answers make a block depends on the order in which they arrive and on nothing that is in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from offtarget.records import Role

RATIOS = (1, 2, 4, 9, 19)
"""Sizes that blocks take while the base has too few answers for the wanted one."""
PATIENCE = 8
"""Tuned answers that wait before blocks get smaller."""
MOST_TUNED = 64
"""Tuned answers that wait at most; beyond, the oldest is left out, since the base it belonged to is gone."""
MOST_BLOCKS = 3
"""Blocks for which base answers wait at most; beyond, the oldest is left out, so that both models saw like traffic."""

Block = tuple[int, list[int]]
"""m, and the kinds of the block's answers."""


class Waiting:
    """Answers that wait until their block is whole; a fixed number at most."""

    def __init__(self, wanted: int) -> None:
        """`wanted`: base answers per tuned answer, where the base has as many."""
        self._sizes = sorted({*(r for r in RATIOS if r < wanted), wanted})
        self._size = len(self._sizes) - 1
        self.queues: dict[Role, deque[int]] = {"tuned": deque(), "base": deque()}
        self.unused: dict[Role, int] = {"tuned": 0, "base": 0}

    @property
    def ratio(self) -> int:
        """m of the next block."""
        return self._sizes[self._size]

    def add(self, role: Role, kind: int) -> Iterator[Block]:
        """The blocks that become whole by one more answer."""
        queue, tuned, base = self.queues[role], self.queues["tuned"], self.queues["base"]
        queue.append(kind)
        if len(queue) > (MOST_TUNED if role == "tuned" else MOST_BLOCKS * self._sizes[-1]):
            queue.popleft()
            self.unused[role] += 1
        if len(tuned) > PATIENCE and len(base) < self.ratio and self._size:
            self._size -= 1
        while tuned and len(base) >= self.ratio:
            yield self.ratio, [tuned.popleft(), *(base.popleft() for _ in range(self.ratio))]
        if not tuned and self._size + 1 < len(self._sizes) and len(base) >= 2 * self._sizes[self._size + 1]:
            self._size += 1

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` comes to the same."""
        return {
            "tuned": list(self.queues["tuned"]),
            "base": list(self.queues["base"]),
            "ratio": self.ratio,
            "unused": [self.unused["tuned"], self.unused["base"]],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; KeyError or ValueError where it is none."""
        queues: Sequence[Role] = ("tuned", "base")
        for role in queues:
            self.queues[role] = deque(int(kind) for kind in state[role])
        self._size = self._sizes.index(state["ratio"])
        self.unused["tuned"], self.unused["base"] = (int(n) for n in state["unused"])
