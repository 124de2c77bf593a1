"""Fixed benchmarks that a verb asks: which, how many items, and what a red flag does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import FILE, said, shared, together
from offtarget.errors import InputError

if TYPE_CHECKING:
    from offtarget.records.benchmark_runs import BenchmarkChoice
    from offtarget.records.benchmarks import BenchmarkSettings

FIXED = together(
    click.option(
        "--benchmarks",
        metavar="NAMES",
        help="Fixed benchmarks that both models are asked besides: mmlu, truthfulqa, hellaswag, arc, gsm8k, ifeval, "
        "organism, any task of lm-eval, a task's file (./mine.yaml), or a safety set's (./xstest.csv); separated by "
        "commas.",
    ),
    click.option(
        "--limit-items",
        type=click.IntRange(min=1),
        metavar="COUNT",
        help="Items of each benchmark at most, drawn at random, the same for both models. [default: all]",
    ),
    click.option("--include-path", type=FILE, metavar="DIR", help="A folder of further tasks in lm-eval's format."),
    shared("--benchmark-margin"),
    shared("--benchmark-tolerance"),
    shared("--benchmark-alpha"),
    click.option(
        "--red-flag",
        type=click.Choice(["fail", "warn"]),
        default="fail",
        show_default=True,
        help="What a red flag on a fixed benchmark does to the verdict.",
    ),
)


_ABOUT = {"limit_items", "include_path", "benchmark_margin", "benchmark_tolerance", "benchmark_alpha", "red_flag"}
"""Options that mean nothing without benchmarks."""


def choice(o: dict[str, Any]) -> BenchmarkChoice | None:
    """Which benchmarks are asked; None for none. InputError for options that belong to benchmarks without any."""
    from offtarget.benchmarks.chosen import split_names
    from offtarget.records.benchmark_runs import BenchmarkChoice

    if o["benchmarks"] is None:
        alone = sorted(said() & _ABOUT)
        if alone:
            option = f"--{alone[0].replace('_', '-')}"
            raise InputError(f"{option} is for fixed benchmarks, and none are asked for: add --benchmarks NAMES.")
        return None
    folder = o["include_path"]
    include = None if folder is None else str(folder.expanduser().resolve())
    return BenchmarkChoice(split_names(o["benchmarks"]), o["limit_items"], include)


def settings(o: dict[str, Any]) -> BenchmarkSettings:
    """What counts as worse on them."""
    from offtarget.records.benchmarks import BenchmarkSettings

    margins = dict(o["benchmark_margin"])
    margin = margins.pop("", BenchmarkSettings().margin)
    return BenchmarkSettings(o["benchmark_alpha"], margin, margins, o["benchmark_tolerance"], o["red_flag"])
