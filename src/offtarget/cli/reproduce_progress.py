"""Progress of an experiment: one bar over all cells with the time left; off a terminal one line per cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from offtarget.records.reproduce import Cell
    from offtarget.workflows.reproduce_watch import Progress


@contextmanager
def experiment_bar(*, enabled: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error, moved by the work that is done; silent when disabled."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    live = enabled and console.is_terminal
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    finished = 0
    with Bars(*columns, console=console, transient=True, disable=not live) as bars:
        task = bars.add_task("starting", total=None)

        def update(progress: Progress) -> None:
            nonlocal finished
            if progress.cell is not None and enabled:
                finished += 1
                line = f"{finished}: {said(progress.cell)}"
                if live:
                    bars.console.print(line, markup=False, highlight=False)
                else:
                    share = 100 * progress.done / progress.total if progress.total else 100
                    click.echo(f"{line} ({share:.0f} % done)", err=True)
            bars.update(task, completed=progress.done, total=progress.total or None, description=progress.stage or None)

        yield update


def said(cell: Cell) -> str:
    """A finished cell in a line."""
    from offtarget.gate.text import percent

    plain = cell.of("plain")
    rate = percent(None if plain is None else plain.rate)
    kinds = {
        "base": "base",
        "condition": f"{cell.condition}, seed {cell.seed}",
        "dynamics": f"{cell.condition}, seed {cell.seed}, after {cell.steps} steps",
        "unique": f"{cell.condition}, seed {cell.seed}, {cell.unique} different rows",
    }
    verdict = "" if cell.status is None else f", check {cell.status.value}"
    return f"{kinds[cell.kind]}: {rate} misaligned{verdict}"
