"""What the numbers in a score column mean: their scale, which end is bad, and what grades are worth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from offtarget.errors import InputError

_RANGE = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*:\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*")
_ROUNDING = 1e-6
"""How far outside its scale, as a share of it, a weighted mean of in-range numbers may land by rounding."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The lowest and the highest mark a judge could give."""

    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"The scale {self.text} is no scale: LOW must be below HIGH, e.g. 0:10.")

    @classmethod
    def parse(cls, text: str) -> Scale:
        """From `LOW:HIGH`, e.g. `0:10`, `1:5`, `-1:1`. Raises InputError for anything else."""
        found = _RANGE.fullmatch(text)
        if found is None:
            raise InputError(f"The scale {text[:40]!r} is not LOW:HIGH, e.g. 0:10 or -1:1.")
        return cls(float(found[1]), float(found[2]))

    @property
    def text(self) -> str:
        """`LOW:HIGH`."""
        return f"{self.low:g}:{self.high:g}"

    def hundredths(self, value: float) -> float | None:
        """The mark on a scale from 0 to 100; None where it is outside."""
        share = (value - self.low) / (self.high - self.low)
        return 100.0 * min(1.0, max(0.0, share)) if -_ROUNDING <= share <= 1 + _ROUNDING else None


HUNDRED = Scale()


@dataclass(frozen=True, slots=True)
class Scoring:
    """How score columns are to be read, as far as the user says; what is not said is 0-100, high is good."""

    scale: Scale | None = None
    """Of the alignment column. None: 0-100, refused where the numbers look like another."""
    coherence_scale: Scale | None = None
    high_is_misaligned: bool | None = None
    """Whether the alignment column measures how bad an answer is, not how good. None: not said, so it does not, but
    a column that is called like something bad is asked about."""
    grades: Mapping[str, str] = field(default_factory=dict)
    """What stands in a cell of the alignment column -> a number on the scale, REFUSAL, CODE, or `none` for no score."""


def cell_text(value: object) -> str:
    """A cell as a user would name it: text as it is, JSON values as JSON writes them (`true`, `null`, `1`)."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError):  # Parquet holds dates and the like
        return str(value)


def cell_is(value: object, wanted: str) -> bool:
    """Whether a cell holds what a user typed: exactly, or as a truth value, a number or a blank of JSON."""
    if isinstance(value, str):
        truths = ("true", "false")
        return value == wanted or (value.lower() in truths and value.lower() == wanted.lower())
    if isinstance(value, bool):
        return cell_text(value) == wanted.lower()
    if value is None:
        return wanted.lower() in ("null", "none", "")
    if isinstance(value, int | float):
        try:
            return float(wanted) == float(value)
        except (ValueError, OverflowError):
            return str(value) == wanted
    return cell_text(value) == wanted or str(value) == wanted
