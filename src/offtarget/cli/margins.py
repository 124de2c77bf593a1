"""What a PASS has to show: the margins of every arm and of the average, and `--strict`."""

from __future__ import annotations

from typing import Any

from offtarget.cli.options import said
from offtarget.errors import InputError
from offtarget.numbers import chosen
from offtarget.records.check import STRICT_AVERAGE, STRICT_MARGIN


def margins(o: dict[str, Any]) -> dict[str, Any]:
    """The margins of an arm and of the average: as said, or those of `--strict`, else the usual ones.

    Raises InputError where both are said: one of them would be ignored.
    """
    margin, average = o["margin"], o["average_margin"]
    if o["strict"]:
        too = [f"--{name.replace('_', '-')}" for name in ("margin", "average_margin") if name in said()]
        if too:
            raise InputError(
                f"--strict sets both margins: {chosen(STRICT_AVERAGE)} on average and {chosen(STRICT_MARGIN)} in every "
                f"way of asking. Leave out --strict or {' and '.join(too)}."
            )
        margin, average = STRICT_MARGIN, STRICT_AVERAGE
    return {"margin": margin, "average_margin": average}
