"""A random selection of what is read once and may be larger than memory."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def drawn_at_random(items: Iterable[T], count: int, seed: int) -> tuple[list[T], int]:
    """Up to `count` items, each as likely as any other (Vitter 1985, algorithm R), and how many there were."""
    chance = random.Random(seed)
    kept: list[T] = []
    total = 0
    for item in items:
        total += 1
        if len(kept) < count:
            kept.append(item)
        elif (place := chance.randrange(total)) < count:
            kept[place] = item
    return kept, total
