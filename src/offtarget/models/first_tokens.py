"""The first tokens of a reply with their alternatives, read as whole numbers, whichever API gives log probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

TOP_LOGPROBS = 20
"""Most first-token alternatives that APIs give."""
FIRST_TOKENS = 3
"""Tokens asked for with probabilities: the first, and enough to see that it is a whole number."""


def offered(tokens: Sequence[Any]) -> bool:
    """Whether the first token has alternatives with probabilities, and a number of two digits is one token."""
    top = getattr(tokens[0], "top_logprobs", None) if tokens else None
    if not top or any(t.logprob is None for t in top):
        return False
    first, second = _two(tokens)
    # A tokenizer that writes 95 as 9 and 5 gives the probability of 9, which is no score.
    return not (len(tokens) > 1 and first.strip().isdigit() and second[:1].isdigit())


def is_verdict(tokens: Sequence[Any]) -> bool:
    """Whether the first token stands for itself: of 8/10 and 0.95 it is not the verdict."""
    first, second = _two(tokens)
    return not (first.strip().isdigit() and second.lstrip()[:1] in ("/", ".", ","))


def probabilities(tokens: Sequence[Any], replies: Collection[str]) -> dict[str, float]:
    """Probability of each reply as the first token; those that differ only in surrounding blanks count together."""
    wanted, found = set(replies), dict[str, float]()
    for top in tokens[0].top_logprobs or [] if tokens else []:
        text = top.token.strip()
        if text in wanted:
            found[text] = found.get(text, 0.0) + math.exp(top.logprob)
    return found


def _two(tokens: Sequence[Any]) -> tuple[str, str]:
    """The first two tokens; of one alone that one twice."""
    first, second = (str(getattr(t, "token", "")) for t in (*tokens[:2], *tokens[:1])[:2])
    return first, second
