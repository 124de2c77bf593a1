"""Fixed benchmarks on the command line: their margins and metrics as options, and what they say as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import click

from offtarget.cli.shares import BETWEEN

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.records.benchmarks import BenchmarkFamily

T = TypeVar("T")


def by_benchmark(
    values: Iterable[str], read: Callable[[str], T], parameter: click.Parameter, context: click.Context
) -> dict[str, T]:
    """`0.05` for all and `gsm8k=0.03` for one, by name; the one for all under an empty name."""
    found: dict[str, T] = {}
    for value in values:
        name, equals, wanted = value.rpartition("=")
        if (equals and not name.strip()) or not wanted.strip():
            raise click.BadParameter(f"{value!r} is neither a value for all nor NAME=VALUE.", context, parameter)
        if name.strip() in found:
            raise click.BadParameter(f"{name.strip() or 'the one for all'} is given twice.", context, parameter)
        found[name.strip()] = read(wanted.strip())
    return found


def read_margins(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Margins by benchmark, as a callback of click."""
    return by_benchmark(values, lambda text: BETWEEN.convert(text, parameter, context), parameter, context)


def read_names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Metrics by benchmark, as a callback of click."""
    return by_benchmark(values, str, parameter, context)


def print_benchmarks(family: BenchmarkFamily, out: Screen) -> None:
    """The table of all benchmarks."""
    from offtarget.pages.benchmarks.panel import HEADS, cells

    out.table(HEADS, cells(family), "Benchmarks (difference and bounds: tuned minus base, points)", left=(0, 1))


def print_benchmark_details(family: BenchmarkFamily, out: Screen) -> None:
    """How each was decided."""
    from offtarget.pages.benchmarks.panel import panel
    from offtarget.pages.benchmarks.story import said

    made = panel(family)
    for result in family.results:
        out.say(said(result), hang=2)
    out.table(made.more_heads, made.more_cells, "Evidence against each statement; margin in points", left=(0, 1))
    for caution in made.cautions:
        out.say(f"! {caution}", hang=2)
