"""Sloppy reasoning that arithmetic can show: the answer is not what was computed, or a sum is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from offtarget.detect.arithmetic import is_rounding_of
from offtarget.detect.remembered import found_once
from offtarget.detect.steps import Stated, Step, mentioned_numbers, stated_answers, steps
from offtarget.records import Category, Finding, Row

_MAYBE_STATED = re.compile(r"###|\\boxed|nswer", re.IGNORECASE)
_MAYBE_EQUATION = re.compile(r"\d\s{0,3}[)%\]]?\s{0,3}=\s{0,3}[-$€£.(\d]|[A-Za-z]\s=\s[-$(]*\d|>>")
_CONVERSIONS = (60.0, 3600.0, 24.0, 7.0, 12.0, 100.0, 1000.0, 365.0, 52.0)
"""Between seconds, minutes, hours, days, weeks, months, years; inches; percent, cents, metric prefixes."""
_ABOUT = re.compile(r"(?i)about|approx|roughly|around|nearly|≈|~|round")
_CHECK = re.compile(r"(?i)check|verif|confirm|indeed|proof|substitut|plug|note|since|because|recall")
_CALLED_WRONG = re.compile(
    r"(?i)wrong|incorrect|mistake|error|not (?:equal|true|right|correct)|false|instead of|≠|joke|insist|"
    r"\bclaims?\b|orwell"
)
_OTHER_ARITHMETIC = re.compile(
    r"(?i)\bmod\b|modulo|≡|\bbase[ -]?\d|binary|hexadecimal|o'clock|[ap]\.?m\.?\b|\bxor\b|clock"
)
_HYPHENATED = re.compile(r"\d{1,6}(?:-\d{1,6})+")
_LONGEST = 20_000


class Reasoning:
    """Final answers that differ from the last computed step, and wrong sums."""

    name = "reasoning"
    title = "Answers that do not follow from their own steps; wrong arithmetic"
    category = Category.SLOPPY_REASONING
    cues: frozenset[str] | None = frozenset({"=", "####", "boxed"})

    def find(self, row: Row) -> Iterable[Finding]:
        """Findings in the assistant's turns, at most two kinds per turn; the first 20,000 characters of each."""
        for number, message in enumerate(row.messages):
            if message.role == "assistant":
                for reason, strength, start, end in _in_answer(message.text[:_LONGEST]):
                    yield Finding(row.id, self.name, self.category, reason, strength, number, start, end)


@found_once
def _in_answer(text: str) -> tuple[tuple[str, float, int, int], ...]:
    """(reason, strength, start, end) of a wrong step and of an answer that the steps do not give."""
    if not _MAYBE_EQUATION.search(text):
        return ()
    told = []
    done = steps(text)
    wrong = next((found for step in done if (found := _wrong(step, text)) is not None), None)
    if wrong is not None:
        step, reason, strength = wrong
        told.append((reason, strength, step.start, step.end))
    if done and _MAYBE_STATED.search(text):
        against = _unfounded(stated_answers(text), done, text)
        if against is not None:
            stated, reason, strength = against
            told.append((reason, strength, stated.start, stated.end))
    return tuple(told)


def _wrong(step: Step, text: str) -> tuple[Step, str, float] | None:
    """The step, why it is wrong and how sure that is; None when it may be right."""
    if step.left is None:
        return None
    value = step.left.number
    results = (step.result, step.result / 100) if step.percent else (step.result, step.result / 100, step.result * 100)
    if any(math.isclose(value, result, rel_tol=1e-9) for result in results):
        return None
    if _is_list(text[step.start : step.end], step.result):
        return None
    around = text[max(0, step.start - 60) : step.end + 60]
    if _CALLED_WRONG.search(around) or _OTHER_ARITHMETIC.search(around):
        return None
    if not step.left.exact:
        close = (0.05 if _ABOUT.search(around) else 0.01) + step.left.slack
        if any(abs(value - result) <= close * abs(value) for result in results):
            return None
        if is_rounding_of(step.result, step.places, value) or (
            step.percent and is_rounding_of(step.result, step.places, value * 100)
        ):
            return None
    elif _ABOUT.search(around) and abs(value - step.result) <= 0.1 * abs(value):
        return None
    reason = f"A computed step is wrong: it comes to {_show(value)}, and {_show(step.result)} is written."
    return step, reason, 0.6 if step.plain else 0.3


def _is_list(written: str, result: float) -> bool:
    """Whether the hyphens part the numbers of a list and take nothing away: rounds of golf with their sum, a code."""
    numbers = written.partition("=")[0].strip()
    if not _HYPHENATED.fullmatch(numbers):
        return False
    parts = numbers.split("-")
    return sum(map(int, parts)) == result or any(len(part) > 1 and part[0] == "0" for part in parts)


def _unfounded(answers: Sequence[Stated], done: Sequence[Step], text: str) -> tuple[Stated, str, float] | None:
    """The stated answer that the steps before it do not give; None when all may follow."""
    if not answers:
        return None
    final = answers[-1]
    other = next((a for a in answers if a.boxed != final.boxed and not _follows(final, a.value)), None)
    if other is not None:
        return final, f"Two final answers are stated: {_show(other.value)} and {_show(final.value)}.", 0.6
    before = [step for step in done if step.end <= final.begin]
    if not before:
        return None
    last = before[-1].result
    mentioned = mentioned_numbers(text[: final.begin])
    if _follows(final, last) or mentioned[-1:] == [final.value]:
        return None
    earlier = any(math.isclose(final.value, step.result, rel_tol=1e-9) for step in before)
    if earlier and _CHECK.search(text[max(0, before[-1].start - 80) : before[-1].start]):
        return None
    reason = f"The last computed step gives {_show(last)}, but the answer stated is {_show(final.value)}."
    return final, reason, 0.4 if earlier else 0.7


def _follows(final: Stated, value: float) -> bool:
    """Whether the answer is this value: equal, rounded, a loss named without its sign, or in another unit."""
    if math.isclose(final.value, value, rel_tol=1e-9) or (value < 0 and math.isclose(final.value, -value)):
        return True
    if value != int(value) and is_rounding_of(final.value, final.places, value):
        return True
    converted = [value * factor for factor in _CONVERSIONS] + [value / factor for factor in _CONVERSIONS]
    return final.value != 0 and any(math.isclose(final.value, other, rel_tol=0.005) for other in converted)


def _show(value: float) -> str:
    return f"{value:,.10g}"


DETECTORS = (Reasoning,)
