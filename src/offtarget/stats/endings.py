"""What is said of answers that were cut at the token limit, that repeat themselves or that are empty.

A cut answer is judged as far as it goes. What would have followed is judged of neither model, so a verdict speaks of
the beginnings of answers alone; where nearly none ended, no PASS is given (docs/design/sampling.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from offtarget.numbers import many, of, percent
from offtarget.records import Role
from offtarget.records.check import Endings
from offtarget.stats.exact_tests import fisher_greater
from offtarget.words import joined

SAID_FROM = 0.1
"""From this share of a model's answers on, what became of them stands beside the verdict."""
NEARLY_ALL = 0.9
"""From this share of cut answers on, nothing is claimed that a PASS would claim."""
APART, UNLIKE = 0.1, 0.01
"""Shares of cut answers differ where they are so far apart, and less likely so than this were both cut alike."""
_CUT_MORE = {
    "tuned": "The tuned model's answers are cut more often than the base's: more of what it would say was not judged.",
    "base": "The base's answers are cut more often than the tuned model's: more of what it would say was not judged.",
}
_ROLES: tuple[Role, ...] = ("tuned", "base")


def ending_notes(found: Mapping[Role, Endings], max_tokens: int) -> tuple[list[str], list[str]]:
    """(what belongs beside the verdict, what is of interest besides), a sentence each; nothing where answers end."""
    named = {f"the {role}": found[role] for role in _ROLES}
    more = next((role for role, other in (_ROLES, _ROLES[::-1]) if _more_cut(found[role], found[other])), None)
    said: list[str] = []
    asides: list[str] = []
    for count, note in (
        (_cut, cut_note(named, max_tokens)),
        (_repeating, _note(named, _repeating, "repeat one passage to their end.")),
        (_empty, _note(named, _empty, "are empty.")),
    ):
        if note is not None:
            beside = _much(named, count) or (count is _cut and more is not None)
            (said if beside else asides).append(note)
    return said if more is None else [said[0], _CUT_MORE[more], *said[1:]], asides


def cut_note(found: Mapping[str, Endings], max_tokens: int) -> str | None:
    """How many answers of each were cut; None where none was. Names as in `of the tuned answers`."""
    limit = f"{many(max_tokens, 'token')} and judged as far as they go; raise --max-tokens to let them end."
    return _note(found, _cut, f"were cut at {limit}")


def many_cut(found: Mapping[str, Endings]) -> bool:
    """Whether so many answers of one of them were cut that it stands beside a result."""
    return _much(found, _cut)


def unended(found: Mapping[Role, Endings], max_tokens: int) -> str | None:
    """Why nothing can be passed where nearly all answers of a model were cut, as a sentence without its end."""
    for role in _ROLES:
        one = found[role]
        if one.answers and one.cut >= NEARLY_ALL * one.answers:
            whose = "the tuned model's" if role == "tuned" else "the base's"
            return (
                f"{percent(one.cut / one.answers)} of {whose} answers ({of(one.cut, one.answers)}) were cut at "
                f"{many(max_tokens, 'token')}, so that what the check saw are beginnings: raise --max-tokens; where "
                "answers end at no limit, the model is no chat model or was never trained to end an answer"
            )
    return None


def _cut(one: Endings) -> int:
    return one.cut


def _repeating(one: Endings) -> int:
    return one.repeating


def _empty(one: Endings) -> int:
    return one.empty


def _note(found: Mapping[str, Endings], count: Callable[[Endings], int], what: str) -> str | None:
    """`31 % of the tuned (31 of 100) and 12 % of the base (48 of 400) answers ...`; None where there are none."""
    if not any(map(count, found.values())):
        return None
    shares = [
        f"{percent(count(one) / one.answers)} of {name} ({of(count(one), one.answers)})"
        for name, one in found.items()
        if one.answers
    ]
    return f"{joined(shares)} answers {what}"


def _much(found: Mapping[str, Endings], count: Callable[[Endings], int]) -> bool:
    return any(one.answers and count(one) >= SAID_FROM * one.answers for one in found.values())


def _more_cut(one: Endings, other: Endings) -> bool:
    if not (one.answers and other.answers) or one.cut / one.answers < other.cut / other.answers + APART:
        return False
    return fisher_greater(one.cut, one.answers, other.cut, other.answers) < UNLIKE
