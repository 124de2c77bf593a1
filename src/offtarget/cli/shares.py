"""Options that take a share: `0.05`, or `5%`; whoever writes 5 is told that this is 500 %."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from offtarget.records.checks import share_fault

if TYPE_CHECKING:
    _Type = click.ParamType[float]
else:  # earlier versions of click take no argument there
    _Type = click.ParamType


class Share(_Type):
    """A share as a number or in per cent; `zero` and `one` say whether the ends are allowed."""

    name = "share"

    def __init__(self, *, zero: bool = False, one: bool = False) -> None:
        self._zero, self._one = zero, one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share; a usage error says what is allowed."""
        share = value if isinstance(value, float) else self._read(str(value), param, ctx)
        if (fault := share_fault(share, zero=self._zero, one=self._one)) is not None:
            self.fail(f"it {fault}", param, ctx)
        return share

    def _read(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number, percent, rest = text.strip().partition("%")
        try:
            if rest:
                raise InvalidOperation
            return float(Decimal(number.strip()) / (100 if percent else 1))
        except (InvalidOperation, OverflowError):
            self.fail(f"{text!r} is no share. Write it as 0.05 or 5%.", param, ctx)


BETWEEN = Share()
"""More than nothing, less than all."""
FROM_ZERO = Share(zero=True)
"""Less than all."""
UP_TO_ONE = Share(one=True)
"""More than nothing."""
ANY = Share(zero=True, one=True)
"""Both ends allowed."""
