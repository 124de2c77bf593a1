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
