"""What settings may be, said with the name of the option: each settings record checks itself when it is made."""

from __future__ import annotations

from numbers import Real

from offtarget.errors import InputError
from offtarget.numbers import chosen


def at_least(least: int, **options: float) -> None:
    """InputError for the first option that is below, e.g. `--max-answers must be at least 1, not 0`."""
    for name, value in options.items():
        if not (is_number(value) and value >= least):
            raise InputError(f"{_option(name)} must be at least {least}, not {value!r:.60}.")


def whole(**options: int) -> None:
    """InputError for the first option that is no whole number: Python hands on whatever it is given, as 2.5 turns."""
    for name, value in options.items():
        if not is_number(value) or not isinstance(value, int):
            raise InputError(f"{_option(name)} must be a whole number, not {value!r:.60}.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def is_number(value: object) -> bool:
    """Whether it can be reckoned with; truth values cannot."""
    return isinstance(value, Real) and not isinstance(value, bool)


def share(*, zero: bool = False, one: bool = False, **options: float) -> None:
    """InputError for the first option that is no share; `zero` and `one` say whether the ends are allowed."""
    for name, value in options.items():
        if (fault := share_fault(value, zero=zero, one=one)) is not None:
            raise InputError(f"{_option(name)} {fault}")


def share_fault(value: float, *, zero: bool = False, one: bool = False) -> str | None:
    """What is wrong with a share, as the end of a sentence; None where nothing is.

    Whoever writes 5 for 5 % is told how to say it: a tolerance of 500 % would pass everything.
    """
    wanted = f"must be a share {'from 0 on' if zero else 'above 0'} and {'at most' if one else 'below'} 1"
    if not is_number(value):
        return f"{wanted}, not {value!r:.60}."
    if (value > 0 or (zero and value == 0)) and (value < 1 or (one and value == 1)):
        return None
    if 1 <= value <= 100:
        return f"{wanted}: {value:g} is {chosen(value)}, and {chosen(value / 100)} is {value / 100:g}."
    return f"{wanted}, not {value:g}."
