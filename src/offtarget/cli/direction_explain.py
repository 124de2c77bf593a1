"""`offtarget direction explain`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, console, plain_table, print_json, safe, shortened
from offtarget.records.direction import Explanation, Movement


@click.command("explain", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]")
@shared("--direction", ". [default: found by the trait recipe]")
@shared("--data", ", as for audit: its rows are read too")
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--seed")
@OPENING
@PRINTING
def command(run: str, as_json: bool, quiet: bool, **o: Any) -> None:
    """Explain a finished check: where the direction sits, how far the tuned model moved, what loads on it.

    RUN is a run directory, its name, or `last`. The explanation is kept there and joins its HTML report.

    \b
    Examples:
      offtarget direction explain last
      offtarget direction explain last --direction persona.safetensors --data train.jsonl
      offtarget report last --html

    Exit codes: 0 explained, 2 input error.
    """
    from offtarget.workflows.direction.explain import explain

    with shown(enabled=not (quiet or as_json)) as on_progress:
        found = explain(
            run,
            o["direction"],
            o["data"],
            form=o["form"],
            split=o["split"],
            seed=o["seed"],
            opening=opening(o),
            on_progress=on_progress,
        )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Explanation) -> None:
    screen = console()
    screen.print(safe(found.sentence), soft_wrap=True)
    screen.print(f"direction: {safe(found.direction)}")
    table = plain_table("layer", "AUROC", "unrelated: moved", "cosine", "z", "training: moved", "cosine", "z")
    for one in found.layers:
        table.add_row(
            f"{'> ' if one.layer == found.layer else ''}{one.layer}",
            ABSENT if one.auroc is None else f"{one.auroc:.2f}",
            *_cells(one.unrelated),
            *([ABSENT] * 3 if one.training is None else _cells(one.training)),
        )
    screen.print(table)
    for answer in found.answers[:3]:
        outcome = "not judged" if answer.outcome is None else answer.outcome.value
        screen.print(f"{answer.projection:+.2f} {outcome}: {safe(shortened(answer.text))}", highlight=False)
    for row in found.rows[:3]:
        screen.print(
            f"{row.row.difference:+.3f} {safe(row.row.row_id)}: {safe(shortened(row.answer))}", highlight=False
        )
    for note in found.notes:
        screen.print(safe(note), soft_wrap=True)


def _cells(movement: Movement) -> tuple[str, str, str]:
    return f"{movement.moved:+.2f}", f"{movement.cosine:+.2f}", f"{movement.z:+.1f}"
