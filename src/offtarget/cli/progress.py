"""Progress bars with the time left, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        console=Console(stderr=True),
    )


@contextmanager
def steps_bar(name: str) -> Iterator[Callable[[int, int, float], None]]:
    """A bar for one run of steps, updated as (done, total, loss)."""
    with _bars() as bars:
        task = bars.add_task(name, total=None, loss=float("nan"))

        def update(done: int, total: int, loss: float) -> None:
            bars.update(task, completed=done, total=total, loss=loss)

        yield update


@contextmanager
def stages_bar() -> Iterator[Callable[[str, int, int, float], None]]:
    """A bar for each stage, updated as (stage, done, total, loss)."""
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int, loss: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, loss=loss)
            bars.update(tasks[stage], completed=done, loss=loss)

        yield update


@contextmanager
def bytes_bar(name: str, *, enabled: bool) -> Iterator[Callable[[int, int, int | None], None]]:
    """A bar for a pass over files, updated as (rows, bytes, bytes in all); silent when disabled or off a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal)) as bars:
        task = bars.add_task(name, total=None, rows=0)

        def update(rows: int, done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total, rows=rows)

        yield update


@contextmanager
def rows_bar(name: str, *, enabled: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar for labelling, updated as (rows done, rows to go by estimate)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal)) as bars:
        task = bars.add_task(name, total=None)

        def update(done: int, to_go: int | None) -> None:
            bars.update(task, completed=done, total=None if to_go is None else done + to_go)

        yield update


@contextmanager
def counts_bar(*, enabled: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, updated as (stage, done, total); silent when disabled or off a terminal.

    A stage with a total of 0 is a line that stays.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal)) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if not total:
                if not bars.disable:
                    bars.console.print(stage, markup=False, highlight=False, soft_wrap=True)
                return
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update
