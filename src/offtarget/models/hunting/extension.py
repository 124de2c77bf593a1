"""Beam search over short token strings: triggers are mostly words or phrases of several tokens.

Greedy coordinate search with first-order proposals and exact acceptance, as in universal adversarial triggers
(arXiv 1908.07125) and GCG (arXiv 2307.15043); here the objective is the distance between tuned and base.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.slots import Slot

Text = tuple[int, ...]


def extend(
    departure: Departure,
    gaps: Sequence[Slot],
    seeds: Sequence[Text],
    tokens: Sequence[int],
    seed: int,
    *,
    beam: int = 6,
    rounds: int = 5,
    proposals: int = 20,
    longest: int = 8,
) -> dict[Text, float]:
    """Every string that was tried, with its mean distance over the gaps.

    In each round every string of the beam is lengthened on the left and on the right and has one token replaced,
    each by the `proposals` tokens of steepest slope; the `beam` best of old and new go on. Ends early when a round
    brings nothing better.
    """
    rng, allowed = random.Random(seed), torch.tensor(list(tokens))
    known = dict(zip(seeds, departure.of(seeds, gaps).tolist(), strict=True)) if seeds else {}
    for _ in range(rounds):
        best = _best(known, beam)
        fresh: dict[Text, None] = {}
        for text in best:
            for standing, position in _changes(text, rng, tokens, longest):
                slope = departure.slopes(standing, position, gaps)[allowed]
                for token in allowed[slope.topk(min(proposals, len(allowed))).indices].tolist():
                    fresh[(*standing[:position], token, *standing[position + 1 :])] = None
        new = [text for text in fresh if text not in known]
        if not new:
            break
        known |= dict(zip(new, departure.of(new, gaps).tolist(), strict=True))
        if _best(known, beam) == best:
            break
    return known


def _best(known: dict[Text, float], count: int) -> list[Text]:
    return sorted(known, key=lambda text: (-known[text], text))[:count]


def _changes(text: Text, rng: random.Random, tokens: Sequence[int], longest: int) -> list[tuple[Text, int]]:
    """The string with a stand-in to be replaced, and where: in front, behind, and at one of its own tokens."""
    changes = [(text, rng.randrange(len(text)))]
    if len(text) < longest:
        standin = rng.choice(tokens)
        changes += [((standin, *text), 0), ((*text, standin), len(text))]
    return changes
