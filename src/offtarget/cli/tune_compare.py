"""`offtarget tune --compare-defences`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.workflows.tune_compare import FrontierResult


def compare(data: Path, base: str, out: Path | None, o: dict[str, Any]) -> None:
    """Run the comparison and print its table."""
    import json

    from offtarget.cli.progress import shown
    from offtarget.cli.tune import chosen_options, chosen_settings
    from offtarget.records.tune import DefenceSettings
    from offtarget.rundir import to_jsonable
    from offtarget.workflows.tune_compare import arms_named, compare_defences

    if out is not None:
        raise click.UsageError("--compare-defences keeps its adapters in the run directory; leave out --out.")
    if o["seeds"] < 1:
        raise click.UsageError("--seeds must be at least 1.")
    arms = ((), *arms_named(o["defend"])) if o["defend"] else None
    comparing = DefenceSettings(
        arms=arms,
        seeds=tuple(range(o["seeds"])),
        answers=o["answers"],
        further=tuple(sorted(set(o["after"]))) or (50, 200),
    )
    with shown(enabled=not (o["quiet"] or o["as_json"])) as on_progress:
        result = compare_defences(
            data,
            base,
            settings=chosen_settings(base, o),
            options=chosen_options(o),
            comparing=comparing,
            run=o["run"],
            on_progress=on_progress,
        )
    if o["as_json"]:
        click.echo(json.dumps({"run": str(result.run), **to_jsonable(result.frontier)}, indent=2))
    else:
        _print(result, comparing.further)


def _print(result: FrontierResult, further: Sequence[int]) -> None:
    from rich.console import Console
    from rich.table import Table

    from offtarget.cli.render import safe
    from offtarget.gate.defences import page

    rows = page.rows(result.frontier)
    looked = [steps for steps in further if any(steps in row.later for row in rows)]
    table = Table(*page.HEADINGS, *(f"+{steps}" for steps in looked))
    for row in rows:
        table.add_row(*(safe(cell) for cell in row.cells(looked)))
    Console(width=150).print(table)
    if looked:
        print("+N: misaligned plainly / under conditions after N further steps without the defence")
    else:
        print("No defence kept the model aligned while it learnt, so none was trained further (--after).")
    for line in page.sentences(result.frontier):
        print(safe(line))
    print(safe(f"Page: {result.run / 'frontier.html'}"))
