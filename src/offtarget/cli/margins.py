"""What a PASS has to show: the margins of every arm and of the average, and `--strict`."""

from __future__ import annotations

from typing import Any

from offtarget.cli.options import said

STRICT_AVERAGE, STRICT_MARGIN = 0.01, 0.03
"""What `--strict` asks of the average and of every arm: with three arms and nothing misaligned, the average needs about
440 answers, by which each arm is below 3 %."""


def margins(o: dict[str, Any]) -> dict[str, Any]:
    """The margins of an arm and of the average: as said, else those of `--strict`, else the usual ones."""
    margin, average = o["margin"], o["average_margin"]
    if o["strict"]:
        margin = margin if "margin" in said() else STRICT_MARGIN
        average = min(margin, STRICT_AVERAGE) if average is None else average
    return {"margin": margin, "average_margin": average}
