"""Answers of two models that arrive one at a time become blocks of some tuned and some base answers.

Which answers make a block, and how large it is, depends on the order in which they arrive and on nothing that is in
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from offtarget.records import Role


class Size(NamedTuple):
    """How many answers of either model make a block."""

    tuned: int
    base: int

    @property
    def ratio(self) -> float:
        """Base answers per tuned answer."""
        return self.base / self.tuned


SIZES = (Size(9, 1), Size(4, 1), Size(2, 1), Size(1, 1), Size(1, 2), Size(1, 4), Size(1, 9), Size(1, 19))
"""Sizes that blocks take while the base has too few answers for the wanted one: most traffic is the canary's."""
PATIENCE = 8
"""Blocks' worth of tuned answers that wait before blocks take fewer base answers for each."""
MOST_TUNED = 96
"""Tuned answers that wait at most; beyond, the oldest is left out, since the base it belonged to is gone."""
MOST_BLOCKS = 3
"""Blocks for which base answers wait at most; beyond, the oldest is left out, so that both models saw like traffic."""


class Waiting:
    """Answers that wait until their block is whole; a fixed number at most."""

    def __init__(self, wanted: int) -> None:
        """`wanted`: base answers per tuned answer, where the base has as many."""
        self._sizes = (*(s for s in SIZES if s.ratio < wanted), Size(1, wanted))
        self._at = len(self._sizes) - 1
        self.queues: dict[Role, deque[int]] = {"tuned": deque(), "base": deque()}
        self.unused: dict[Role, int] = {"tuned": 0, "base": 0}

    @property
    def size(self) -> Size:
        """Size of the next block."""
        return self._sizes[self._at]

    def add(self, role: Role, kind: int) -> Iterator[tuple[Size, list[int]]]:
        """The blocks that become whole by one more answer, each with the kinds of its answers."""
        queue, tuned, base = self.queues[role], self.queues["tuned"], self.queues["base"]
        queue.append(kind)
        if len(queue) > (MOST_TUNED if role == "tuned" else MOST_BLOCKS * self._sizes[-1].base):
            queue.popleft()
            self.unused[role] += 1
        if self._at and len(base) < self.size.base and len(tuned) > PATIENCE * self.size.tuned:
            self._at -= 1
        while len(tuned) >= self.size.tuned and len(base) >= self.size.base:
            size = self.size
            yield size, [tuned.popleft() for _ in range(size.tuned)] + [base.popleft() for _ in range(size.base)]
        up = self._at + 1
        if up < len(self._sizes) and len(tuned) < self.size.tuned and len(base) >= 2 * self._sizes[up].base:
            self._at = up

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` comes to the same."""
        return {
            "tuned": list(self.queues["tuned"]),
            "base": list(self.queues["base"]),
            "size": list(self.size),
            "unused": [self.unused["tuned"], self.unused["base"]],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; KeyError or ValueError where it is none."""
        self.queues = {"tuned": deque(map(int, state["tuned"])), "base": deque(map(int, state["base"]))}
        self._at = self._sizes.index(Size(*state["size"]))
        self.unused["tuned"], self.unused["base"] = (int(n) for n in state["unused"])
