"""Training rows and held-out rows that share no prompt, nor nearly one."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from offtarget.errors import InputError
from offtarget.numbers import chosen


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The group of each of `count` items when those of every pair are in one group; a group's name is its smallest."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(i) for i in range(count)]


def split(groups: Sequence[int], share: float, most: int, seed: int) -> tuple[list[int], list[int]]:
    """Positions of (training rows, held-out rows); no group is on both sides.

    Groups are held out in random order until their rows are `share` of all, or until there are `most` of them; each
    counts once, by one row drawn at random, so that held-out rows are as good as independent. A group too large for
    what is left stays in training. InputError when nothing could be held out.
    """
    rng = random.Random(seed)
    members: dict[int, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    if len(members) < 2:
        raise InputError(
            f"All {len(groups)} prompts of the data are the same, or nearly: nothing can be held out to compare on."
            if len(groups) > 1
            else "The data hold one usable row; at least two are needed, one of them to be held out."
        )
    order = sorted(members)
    rng.shuffle(order)
    room = max(1, int(share * len(groups)))
    held: list[int] = []
    taken: set[int] = set()
    for group in order:
        if len(held) < most and len(members[group]) <= room:
            room -= len(members[group])
            taken.add(group)
            held.append(rng.choice(members[group]))
    if not held:
        raise InputError(
            f"Nothing can be held out: every group of near-identical prompts is larger than {chosen(share)} of the "
            "rows. Give more varied data, or hold out more with --held-out."
        )
    return [i for i, group in enumerate(groups) if group not in taken], held
