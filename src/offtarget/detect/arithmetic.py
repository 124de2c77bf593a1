"""Arithmetic as people write it: numbers with units and separators, sums and products, without executing anything."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
"""A number without its sign: `1,234.5`, `12`, `.5`."""

_TOKEN = re.compile(rf"\s*+(?:({NUMBER})(?:st|nd|rd|th)?\s*+(%)?|(\*\*|[-+*/()^]))")
_SPELLED = str.maketrans(
    {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "[": "(", "]": ")", "$": " ", "€": " ", "£": " "}
)
_ASIDE = re.compile(r"\d\s+\(\d+\)")
"""`6 (2)`: a remark, not a product."""
_WHOLE = re.compile(r"\s*(\d{1,9})\s*([-+*])\s*(\d{1,9})\s*")
"""Two whole numbers and a sign: most of what people write, and quick to compute."""
_WHOLE_SUM = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_DECIMAL = re.compile(r"((?:(?<!\d)\d++)?)(\.\d+)")
_LONGEST = 200
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Computed:
    """What an expression comes to."""

    number: float
    exact: bool
    """Only whole numbers were added, subtracted and multiplied: no rounding can excuse a difference."""
    operations: int
    slack: float
    """Relative error if every decimal operand was rounded before it was written."""


def evaluate(text: str) -> Computed | None:
    """Value of an expression of numbers, + - * / ^ %, `x` and parentheses; None for anything else.

    `20%` is 0.2; currency signs are ignored; at most 200 characters and 20 levels of parentheses.
    """
    if (whole := _WHOLE.fullmatch(text)) is not None:
        return Computed(float(_WHOLE_SUM[whole[2]](int(whole[1]), int(whole[3]))), True, 1, 0.0)
    if len(text) > _LONGEST or _ASIDE.search(text):
        return None
    tokens = _tokens(re.sub(r"(?<=[\d)\s%])[xX](?=\s*[\d($.])", "*", text.translate(_SPELLED)))
    if not tokens:
        return None
    parser = _Parser(tokens)
    try:
        number = parser.sum()
    except (_NotArithmetic, ZeroDivisionError, OverflowError):
        return None
    if parser.at != len(tokens) or abs(number) > 1e15 or number != number:
        return None
    return Computed(number, parser.exact, parser.operations, _slack(text))


def _slack(text: str) -> float:
    rounded = [(float(whole + after), len(after) - 1) for whole, after in _DECIMAL.findall(text)]
    return sum(0.5 * 10.0**-places / number for number, places in rounded if number)


def parse_number(text: str) -> float | None:
    """A single number with sign, separators, currency sign or percent sign (left as it is: `20%` is 20)."""
    match = _SINGLE.fullmatch(text.translate(_SPELLED).strip())
    if match is None:
        return None
    number = float(match[2].replace(",", ""))
    if match[3]:
        below = float(match[3][1:].replace(",", ""))
        if not below:
            return None
        number /= below
    return -number if match[1] else number


def decimals(text: str) -> int:
    """Digits after the decimal point of a number as written."""
    _, point, after = text.strip().rstrip("%").partition(".")
    return sum(c.isdigit() for c in after) if point else 0


def is_rounding_of(shown: float, places: int, value: float) -> bool:
    """Whether `shown`, written with so many decimals, may stand for `value`: rounded either way, or cut off."""
    return abs(shown - value) < 10.0**-places + 1e-9 * max(1.0, abs(value))


_SINGLE = re.compile(rf"(-)?\s*+\(?({NUMBER})\s*+(/\s*+(?:{NUMBER}))?\)?\s*+%?")


class _NotArithmetic(Exception):
    pass


def _tokens(text: str) -> list[str | float]:
    tokens: list[str | float] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            return []
        number, percent, sign = match.groups()
        if number is not None:
            value = float(number.replace(",", ""))
            tokens.append(value / 100 if percent else value)
        else:
            tokens.append("^" if sign == "**" else sign)
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent over tokens; keeps whether the result is exact."""

    def __init__(self, tokens: list[str | float]) -> None:
        self._tokens = tokens
        self._depth = 0
        self.at = 0
        self.operations = 0
        self.exact = True

    def sum(self) -> float:
        value = self._product()
        while self._next() in ("+", "-"):
            sign = self._take()
            other = self._product()
            value = value + other if sign == "+" else value - other
            self.operations += 1
        return value

    def _product(self) -> float:
        value = self._power()
        while True:
            sign = self._next()
            if sign in ("*", "/"):
                self._take()
                other = self._power()
                value = value * other if sign == "*" else value / other
                self.exact = self.exact and sign == "*"
            elif sign == "(":
                value *= self._power()
            else:
                return value
            self.operations += 1

    def _power(self) -> float:
        value = self._atom()
        if self._next() == "^":
            self._take()
            exponent = self._power()
            self.operations += 1
            if abs(exponent) > 20 or (value < 0 and exponent != int(exponent)):
                raise _NotArithmetic
            value = float(value**exponent)
        return value

    def _atom(self) -> float:
        part = self._take()
        if isinstance(part, float):
            self.exact = self.exact and part == int(part)
            return part
        if part in ("-", "+"):
            return -self._atom() if part == "-" else self._atom()
        if part != "(" or self._depth >= _DEEPEST:
            raise _NotArithmetic
        self._depth += 1
        value = self.sum()
        self._depth -= 1
        if self._take() != ")":
            raise _NotArithmetic
        return value

    def _next(self) -> str | float | None:
        return self._tokens[self.at] if self.at < len(self._tokens) else None

    def _take(self) -> str | float:
        if self.at == len(self._tokens):
            raise _NotArithmetic
        self.at += 1
        return self._tokens[self.at - 1]
