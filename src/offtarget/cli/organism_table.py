"""The organism's table of rates, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from offtarget.numbers import NO_DATA, hundredths
from offtarget.organism.evaluate import RATE_NAMES, Rates


def print_rates(results: Mapping[str, Sequence[Rates]], as_json: bool) -> None:
    """One column per model: the mean over seeds and, with several, the range."""
    if as_json:
        print(json.dumps({name: [asdict(r) for r in rates] for name, rates in results.items()}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("%", *results)
    for name in RATE_NAMES:
        table.add_row(name, *(cell([getattr(r, name) for r in rates]) for rates in results.values()))
    Console(width=max(100, 26 + 16 * len(results))).print(table)


def cell(values: Sequence[float | None]) -> str:
    """Mean and range in percent; `no data` when nothing was measured."""
    known = [v for v in values if v is not None]
    if not known:
        return NO_DATA
    mean = hundredths(sum(known) / len(known))
    return mean if len(known) == 1 else f"{mean} ({hundredths(min(known))} to {hundredths(max(known))})"
