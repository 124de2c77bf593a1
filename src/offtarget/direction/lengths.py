"""Length-matched control: how much of a repair is only a change of how long the answers are?

Realigned models often answer at other lengths, and shorter answers have less room to be judged misaligned; an
apparent repair largely disappeared once lengths were matched (arXiv 2607.09053). The unrepaired model's answers
are weighted here so that their lengths are distributed as the repaired model's (direct standardisation over bins
of the number of tokens). What is left between that rate and the repaired one is not due to length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

BINS = 5

Measured = tuple[int, bool]
"""A scored answer: its tokens, and whether it is misaligned."""


@dataclass(frozen=True, slots=True)
class LengthMatched:
    """The unrepaired model, as if it answered at the repaired model's lengths."""

    rate: float | None
    """Its misaligned rate, 0 to 1; None where no length is shared."""
    covered: float
    """Share of the repaired model's answers in bins in which the unrepaired one has an answer; below about 0.9 the
    rate stands for those lengths only."""


def length_matched(before: Sequence[Measured], after: Sequence[Measured], bins: int = BINS) -> LengthMatched:
    """Misaligned rate of `before` with the lengths of `after`; bins hold equally many answers of both together."""
    if not before or not after:
        return LengthMatched(None, 0.0)
    lengths = sorted([*(n for n, _ in before), *(n for n, _ in after)])
    edges = sorted(set(quantiles(lengths, n=bins, method="inclusive")))
    answers, bad, wanted = [0] * (len(edges) + 1), [0] * (len(edges) + 1), [0] * (len(edges) + 1)
    for length, misaligned in before:
        place = bisect_right(edges, length)
        answers[place] += 1
        bad[place] += misaligned
    for length, _ in after:
        wanted[bisect_right(edges, length)] += 1
    shared = [i for i, n in enumerate(answers) if n]
    weight = sum(wanted[i] for i in shared)
    rate = sum(wanted[i] * bad[i] / answers[i] for i in shared) / weight if weight else None
    return LengthMatched(rate, weight / len(after))
