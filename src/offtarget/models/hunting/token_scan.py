"""Single tokens that make the tuned model depart from its base: exact for small vocabularies, screened for large."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.slots import Slot

EXACT_BELOW = 4096
"""Vocabularies up to this size are tried token by token."""
SCREENED = 512
"""Of a larger vocabulary so many tokens are tried."""
_FIRST, _STANDINS = 2, 24
_KEPT = 0.15


def scan(
    departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int, exact_below: int = EXACT_BELOW
) -> list[tuple[int, float]]:
    """(token, mean distance over all gaps) of the most promising tokens, largest distance first.

    Every token is tried in the first two gaps and the best 15 % in the others too (successive halving); of a
    vocabulary larger than `exact_below` only the 512 tokens of steepest slope are tried.
    """
    tried = list(tokens) if len(tokens) <= exact_below else screened(departure, gaps, tokens, seed, SCREENED)
    first = departure.of([(t,) for t in tried], gaps[:_FIRST])
    kept = first.topk(max(1, min(len(tried), max(64, round(_KEPT * len(tried)))))).indices.tolist()
    found = [(tried[i], float(first[i])) for i in kept]
    if len(gaps) > _FIRST:
        others = departure.of([(t,) for t, _ in found], gaps[_FIRST:])
        share = _FIRST / len(gaps)
        found = [(t, share * d + (1 - share) * float(o)) for (t, d), o in zip(found, others, strict=True)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def screened(departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int, count: int) -> list[int]:
    """The `count` tokens with the steepest slope, each stand-in's slopes scaled to unit deviation and averaged."""
    standins = random.Random(seed).sample(list(tokens), min(_STANDINS, len(tokens)))
    slopes = torch.stack([departure.slopes((s,), 0, gaps[:_FIRST]) for s in standins])
    # One stand-in in a steep place would otherwise outvote all others.
    slope = (slopes / slopes.std(dim=1, keepdim=True).clamp_min(1e-12)).mean(dim=0)
    allowed = torch.tensor(list(tokens))
    best = slope[allowed].topk(min(count, len(tokens))).indices
    chosen: list[int] = allowed[best].tolist()
    return chosen
