"""`offtarget direction explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records.direction import Explanation, Movement


@click.command("explain")
@click.argument("run", default="last", metavar="[RUN]")
@click.option("--direction", type=click.Path(path_type=Path), help="File of `direction find`. [default: trait recipe]")
@click.option("--data", metavar="DATA", help="What the model was tuned on: a file or folder, as for audit.")
@click.option("--form", metavar="FORM", help="chat, sharegpt, alpaca, prompt, preference or text. [default: guessed]")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1. [default: CUDA where there is one]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="[default: float32 on CPU]")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON on standard output.")
def command(run: str, direction: Path | None, data: str | None, as_json: bool, **o: Any) -> None:
    """Explain a finished check: where the direction sits, how far the tuned model moved, what loads on it.

    RUN is a run directory, its name, or `last`. The explanation is kept there and joins its HTML report.

    \b
    Examples:
      offtarget direction explain last
      offtarget direction explain last --direction persona.safetensors --data train.jsonl
      offtarget report last --html

    Exit codes: 0 explained, 2 input error.
    """
    from dataclasses import asdict

    from offtarget.cli.progress import shown
    from offtarget.records.runs import OpenSettings
    from offtarget.workflows.direction_explain import explain

    with shown(enabled=not as_json) as on_progress:
        found = explain(
            run,
            direction,
            data,
            form=o["form"],
            seed=o["seed"],
            opening=OpenSettings(o["device"], o["dtype"]),
            on_progress=on_progress,
        )
    if as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        _print(found)


def _print(found: Explanation) -> None:
    from offtarget.cli.render import ABSENT, console, plain_table, safe, shortened

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
