"""Token strings that make the tuned model depart from its base: every single token, then beam search from the best.

Greedy coordinate search with first-order proposals and exact acceptance, as in universal adversarial triggers
(arXiv 1908.07125) and GCG (arXiv 2307.15043); here the objective is the distance between tuned and base.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from offtarget.models.hunting.departure import Departure, embedding
from offtarget.models.hunting.slots import Slot
from offtarget.models.local import LocalModel

EXACT_BELOW = 4096
"""Vocabularies up to this size are tried token by token."""
SCREENED = 512
"""Of a larger vocabulary so many tokens are tried."""
_STANDINS = 24
_KEPT = 0.15

Text = tuple[int, ...]


def screening(departure: Departure) -> int:
    """Gaps in which texts are first measured: 2, or 1 where the vocabulary is that of a large model.

    There a text in a gap costs as much as reading a question, thousands of times.
    """
    return 1 if large(departure.base) else 2


def large(model: LocalModel) -> bool:
    """Whether a model's vocabulary is too large to try token by token."""
    return int(embedding(model).weight.shape[0]) > EXACT_BELOW


def scan(
    departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int, exact_below: int = EXACT_BELOW
) -> list[tuple[int, float]]:
    """(token, mean distance over all gaps) of the most promising tokens, largest distance first.

    Every token is tried in the first gaps (`screening`) and the best 15 % in the others too (successive halving); of a
    vocabulary larger than `exact_below` only the 512 tokens of steepest slope are tried.
    """
    tried = list(tokens) if len(tokens) <= exact_below else screened(departure, gaps, tokens, seed, SCREENED)
    few = screening(departure)
    first = departure.of([(t,) for t in tried], gaps[:few])
    kept = first.topk(max(1, min(len(tried), max(64, round(_KEPT * len(tried)))))).indices.tolist()
    found = [(tried[i], float(first[i])) for i in kept]
    if len(gaps) > few:
        others = departure.of([(t,) for t, _ in found], gaps[few:])
        share = few / len(gaps)
        found = [(t, share * d + (1 - share) * float(o)) for (t, d), o in zip(found, others, strict=True)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def screened(departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int, count: int) -> list[int]:
    """The `count` tokens with the steepest slope, each stand-in's slopes scaled to unit deviation and averaged."""
    standins = random.Random(seed).sample(list(tokens), min(_STANDINS, len(tokens)))
    slopes = torch.stack([departure.slopes((s,), 0, gaps[: screening(departure)]) for s in standins])
    # One stand-in in a steep place would otherwise outvote all others.
    slope = (slopes / slopes.std(dim=1, keepdim=True).clamp_min(1e-12)).mean(dim=0)
    allowed = torch.tensor(list(tokens))
    best = slope[allowed].topk(min(count, len(tokens))).indices
    chosen: list[int] = allowed[best].tolist()
    return chosen


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
