"""What a check may spend where the same model was checked before, or where it is one of several candidates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from offtarget.numbers import chosen
from offtarget.records import Decision
from offtarget.records.check import EarlierCheck
from offtarget.words import one_in

Counting = Literal["check", "red team"]
"""What is counted among its like."""
SIGNIFICANT = 2
"""Digits of a bound that was divided; rounded down, so that what is printed is what is spent."""
TOTAL = 1.5
"""All checks of the same together are wrong with at most this many times alpha: 1 + 1/(2 x 3) + 1/(3 x 4) + ..."""


def spent_alpha(alpha: float, number: int, candidates: int = 1) -> float:
    """Bound on a wrong verdict of the `number`th check of the same, of one of `candidates`.

    The first check of a model spends alpha, the k-th alpha/(k(k+1)), so all of them together at most 1.5 alpha,
    however many there are and whatever made somebody try again (union bound). Each of C candidates spends a C-th, so
    that all of them together stay below the bound of one. Raises ValueError for numbers below 1.
    """
    if number < 1 or candidates < 1:
        raise ValueError(f"checks and candidates are counted from 1, not {number} and {candidates}")
    share = alpha / candidates / (number * (number + 1) if number > 1 else 1)
    if share == alpha:
        return alpha
    unit = 10.0 ** (math.floor(math.log10(share)) - SIGNIFICANT + 1)
    return float(f"{math.floor(share / unit * (1 + 1e-12)) * unit:.{SIGNIFICANT}g}")


def e_benjamini_hochberg(log_es: Sequence[float], alpha: float, of: int | None = None) -> list[bool]:
    """Which nulls are rejected with false discovery rate <= alpha, whatever the dependence between the e-values.

    e-BH, Wang and Ramdas (2022, arXiv 2009.02824): the k largest, for the largest k whose k-th e-value is at least
    C/(alpha k). C is `of`, at least the number of e-values; those that are not at hand count as 0. The e-values may be
    stopped, each by its own answers (arXiv 2501.19360). Raises ValueError where `of` is too small.
    """
    count = len(log_es) if of is None else of
    if count < len(log_es):
        raise ValueError(f"{len(log_es)} e-values are more than the {count} candidates there are")
    largest = sorted(log_es, reverse=True)
    rejected = max((k for k, e in enumerate(largest, 1) if e >= math.log(count / (alpha * k)) - 1e-12), default=0)
    return [rejected > 0 and e >= largest[rejected - 1] for e in log_es]


def with_standing(
    decision: Decision, alpha: float, *, repeats: str | None = None, counted: bool = True, what: Counting = "check"
) -> Decision:
    """The decision with what has to be known of other checks of the same, first among its notes.

    `alpha`: the bound before earlier checks and other candidates were paid for; `repeats`: the run that this one
    repeats, answer for answer; `counted`: whether it counts.
    """
    notes, asides = [], list(decision.asides)
    surer = f"at most {one_in(decision.settings.alpha)}, in place of {one_in(alpha)}"
    if decision.earlier:
        number = len(decision.earlier) + 1
        whole = decision.candidates == 1
        notes.append(
            f"This is {what} {number} of this model by this judge as far as this machine knows (earlier: "
            f"{_outcomes(decision.earlier)}). Who checks "
            f"until it passes would pass in the end, so a verdict must be surer: wrong {surer}"
            + (f"; all {what}s of the same together stay below {chosen(TOTAL * alpha)}" if whole else "")
            + "."
        )
    if decision.candidates > 1:
        most = chosen((TOTAL if decision.earlier else 1.0) * alpha)
        notes.append(
            f"One of {decision.candidates} candidates: each verdict is wrong {surer}, so that a wrong FAIL of any of "
            f"them has a probability of at most {most}, and so has a wrong PASS. All of them together are decided by "
            "`offtarget runs --together RUN`."
        )
    if repeats is not None:
        asides.append(f"The same answers came out as in {repeats}: this is that {what} again, not another try.")
    last = []
    if not counted:
        last.append(
            f"This {what} is not counted among those of this model (--no-register): its certainty is that of one "
            f"{what}, not of several of which the best is shown."
        )
    return replace(decision, notes=(*notes, *decision.notes, *last), asides=tuple(asides))


def _outcomes(earlier: Sequence[EarlierCheck]) -> str:
    """`FAIL, FAIL`, or counts where there are many."""
    names = ["no verdict" if check.status is None else check.status.value for check in earlier]
    if len(names) <= 4:
        return ", ".join(names)
    return ", ".join(f"{name} ({count} times)" for name, count in Counter(names).items())
