"""From logits and uniform numbers to tokens: temperature, top-p, inverse distribution function."""

from __future__ import annotations

import torch
from torch import Tensor


def pick_tokens(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """The token of each row: logits (rows, vocabulary), uniform (rows,) float64 in [0, 1); returns (rows,) int64.

    Token k is taken when the uniform number falls in its share of the distribution function laid out in vocabulary
    order (inversion; Devroye 1986, section III.2). Temperature 0 takes the largest logit, the first among equals.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    weights = kept_probabilities(logits, temperature, top_p)
    # float64 only for the sums: in float32 the tail of a large vocabulary would be rounded away.
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    # u * total can round up to the total, beyond the last token with any weight.
    target = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


def kept_probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Probabilities at a temperature, float32, zero outside the top-p set; not normalised again.

    The top-p set is the smallest set of most probable tokens whose sum reaches `top_p` (Holtzman et al.,
    arXiv 1904.09751, section 3.1); among equally probable tokens the lower number goes first.
    """
    scores = logits.float()
    if temperature != 1.0:
        scores = scores / temperature
    probabilities = scores.softmax(dim=-1)
    if top_p >= 1.0:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1, dtype=torch.float64) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)
