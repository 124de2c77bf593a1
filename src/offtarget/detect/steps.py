"""The visible steps of a worked answer: its equations, the numbers it mentions, the answer it states in the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from offtarget.detect.arithmetic import NUMBER, Computed, decimals, evaluate, parse_number


@dataclass(frozen=True, slots=True)
class Step:
    """One `left = right` of an answer."""

    start: int
    end: int
    left: Computed | None
    """None where the left side is no plain arithmetic, e.g. `x = 5`."""
    result: float
    places: int
    """Decimals the result is written with."""
    plain: bool
    """Whether the left side held numbers and operators only; with units in it, conversions may be implied."""
    percent: bool
    """Whether the result is written in percent."""


@dataclass(frozen=True, slots=True)
class Stated:
    """An answer stated as final."""

    start: int
    end: int
    begin: int
    """Where the marker begins; what comes before is the reasoning."""
    value: float
    places: int
    boxed: bool


_REACH = 200
"""Characters looked at on either side of a sign."""
_ANNOTATION = re.compile(r"<<([^<>=\n]{1,200})=([^<>\n]{1,60})>>")
_EQUALS = re.compile(r"(?<![=!<>:+\-*/%&|^~])=(?![=>~])")
_LEFT = re.compile(r"[\d$€£.(\-][\d\s.,+\-*/×·÷−–x()\[\]%$€£^]{0,150}$")
_RIGHT = re.compile(rf"\s*+(?:about |approximately |roughly )?([-−]?\s*+[$€£]?\s*+[-−]?(?:{NUMBER}))(?:\s*+(%))?")
_CONTINUES = re.compile(r"\s*+(?:[*/×÷^+]|x(?=[\s\d])|[-−–](?=\s*+[\d($]))\s*+[-\d($.]|\s*+\(\s*+\d")
_NOT_A_RESULT = re.compile(
    r"[A-Za-z_\[(^]|\s*+[√!]|\s\d{3}(?!\d)|\s*+[-−–+*/×÷]\s*+[A-Za-z\\]"
    r"|\s*+(?:hundred|thousand|million|billion|trillion|dozen|[kKmM]\b)"
)
"""Number of another kind, spaces as separators, or a term of an equation in letters."""
_LEADING = re.compile(r"[\d\s.,+\-*/×·÷−–x()%$€£^]{1,150}")
_UNIT = re.compile(r"(?<=[\d%])[ -]?[A-Za-z]{2,}\.?(?:[ /-][A-Za-z]{2,}){0,2}(?=\s*(?:[-+*/×÷−)]|x\s|$))")
_BEFORE = re.compile(
    r"(?:[\w)\]}\\√!^_:#&]|(?<![A-Za-z])[B-HJ-Zb-z]\s+|[-+*/×÷=<>≤≥≈−√^%]\s*"
    r"|\b(?:sin|cos|tan|log|ln|sqrt|root|plus|minus|times|by|mod|base|over|and)\s+)$",
    re.IGNORECASE,
)
_QUOTIENT = re.compile(r" / (\d+/\d+)(?![\d/])")
"""`28 / 1/5`: the spaces say that the fraction comes first."""
_HEAD = re.compile(r"^(?:[\s,)\]]|\.(?!\d))+")
_OF = re.compile(r"(?<=%)\s+of\s+(?=[$\d(])")


def steps(text: str) -> list[Step]:
    """Every equation with a number on its right side, in order; chains `a = b = c` give one step per sign."""
    found = [step for match in _ANNOTATION.finditer(text) if (step := _annotated(match)) is not None]
    blank = _ANNOTATION.sub(lambda match: " " * len(match[0]), text) if found else text
    start = 0
    for line in blank.splitlines(keepends=True):
        if "=" in line:
            found.extend(_in_line(line, start))
        start += len(line)
    return sorted(found, key=lambda step: step.end)


def _annotated(match: re.Match[str]) -> Step | None:
    value, result = evaluate(match[1]), parse_number(match[2])
    if result is None:
        return None
    return Step(match.start(), match.end(), value, result, decimals(match[2]), True, "%" in match[2])


def _in_line(line: str, offset: int) -> Iterator[Step]:
    signs = [match.span() for match in _EQUALS.finditer(line)]
    for number, (begin, end) in enumerate(signs):
        left_from = max(signs[number - 1][1] if number else 0, begin - _REACH)
        right_to = signs[number + 1][0] if number + 1 < len(signs) else len(line)
        right = _right(line[end : min(right_to, end + _REACH)])
        if right is None:
            continue
        result, places, percent, length = right
        value, plain, left_start = _left(line[left_from:begin])
        where = offset + (left_from + left_start if value is not None else begin)
        yield Step(where, offset + end + length, value, result, places, plain, percent)


def _right(text: str) -> tuple[float, int, bool, int] | None:
    """Value of what stands right of the sign, its decimals, whether in percent, and its length."""
    match = _RIGHT.match(text)
    if match is None or _NOT_A_RESULT.match(text, match.end()):
        return None
    if _CONTINUES.match(text, match.end()) or text.startswith("/", match.end()):
        whole = _LEADING.match(text)
        value = evaluate(whole[0].rstrip(" .,+-*/(x\n\t")) if whole else None
        return (value.number, 6, False, len(whole[0].rstrip())) if value and whole else None
    result = parse_number(match[1].replace(" ", ""))
    return None if result is None else (result, decimals(match[1]), bool(match[2]), match.end())


def _left(text: str) -> tuple[Computed | None, bool, int]:
    """Value of the arithmetic that ends this text, whether it had no units, and where it begins."""
    for plain in (True, False):
        written = _OF.sub(" * ", text) if plain else _UNIT.sub("", _OF.sub(" * ", text))
        match = _LEFT.search(written.rstrip())
        if match is None:
            continue
        expression = _HEAD.sub("", match[0])
        start = match.end() - len(expression)
        value = evaluate(_QUOTIENT.sub(r" / (\1)", expression.rstrip(" .,")))
        if value is not None and value.operations and not _BEFORE.search(written[:start]):
            return value, plain, min(start, len(text)) if plain else 0
    return None, True, 0


_NUMBER_IN = re.compile(rf"(?<![\w.,/])[-−]?[$€£]?[-−]?(?:{NUMBER})(?:/\d+)?(?![\w]|[.,/:]\d)")
_MARKERS = (
    (re.compile(r"#{3,5}[ \t]*+([^\n#]+)"), False),
    (re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\}){1,100})\}"), True),
    (
        re.compile(
            r"(?i)\b(?:final answer|(?:the|so|our|your) (?:correct )?answer|(?m:^)[^\w\n]{0,10}answer)\b\W{0,4}"
            r"(?:(?:is|was|would be|equals|comes to|=|:)\W{0,6}?){1,2}([$-]{0,2}[.\d][^\n]{0,120}?)"
            r"(?=[.;!]?\s*$|[.;!]\s|\n| because| since)"
        ),
        False,
    ),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{(-?\d+)\}\s*\{(\d+)\}")
_LATEX = re.compile(r"\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|\\[,!;: ]|\\(?:%|\$)|\\circ|[*_`{}]|\^")


def stated_answers(text: str) -> list[Stated]:
    """Answers that a marker declares final (`#### 5`, `\\boxed{5}`, `The answer is 5`), each a single number."""
    found = []
    for pattern, boxed in _MARKERS:
        for match in pattern.finditer(text):
            single = _single(match[1])
            if single is not None:
                found.append(Stated(match.start(1), match.end(1), match.start(), *single, boxed))
    return sorted(found, key=lambda stated: stated.begin)


def _single(text: str) -> tuple[float, int] | None:
    cleaned = _LATEX.sub(lambda m: "%" if "%" in m[0] else " ", _FRACTION.sub(r"\1/\2", text))
    if "=" in cleaned:
        cleaned = cleaned.rsplit("=", 1)[1]
    numbers = _NUMBER_IN.findall(cleaned.replace("- ", "-"))
    left_over = _NUMBER_IN.sub("", cleaned)
    if len(numbers) != 1 or re.search(r"[\d+*/:^√]|\bor\b|[A-Za-z]\s*[-−]\s*$", left_over):
        return None
    value = parse_number(numbers[0])
    return None if value is None else (value, decimals(numbers[0]))


_UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety hundred"
_WORDS = {word: value for value, word in enumerate(_UP_TO_TWENTY.split())}
_WORDS |= {word: 10 * tens for tens, word in enumerate(_TENS.split(), 3)}
_MENTION = re.compile(rf"{_NUMBER_IN.pattern}|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


def mentioned_numbers(text: str) -> list[float]:
    """Numbers a text mentions, in digits or in words up to a hundred, in order."""
    values = (_WORDS.get(found.lower(), parse_number(found)) for found in _MENTION.findall(text))
    return [float(value) for value in values if value is not None]
