"""`offtarget direction repair`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records.repair import RepairReport

FILE = click.Path(path_type=Path)


@click.command("repair")
@click.option("--model", required=True, metavar="MODEL", help="The tuned model, e.g. hf/BASE+ADAPTER.")
@click.option("--base", metavar="MODEL", help="Before fine-tuning. [default: the adapter's base, or the direction's]")
@click.option("--direction", type=FILE, help="From `direction find`; realignment works without.")
@click.option("--out", required=True, type=FILE, help="New folder for the repaired adapter or model.")
@click.option("--data", type=FILE, help="The original training data: keeps the narrow task, cues, further steps.")
@click.option("--prompts", type=FILE, help="Text file of prompts to realign with, one per line. [default: shipped]")
@click.option(
    "--method",
    type=click.Choice(["fold", "realign", "both"]),
    help="[default: both with a direction, else realign]",
)
@click.option(
    "--fold",
    type=click.Choice(["update", "ablate", "steer"]),
    help="update: the adapter's writing along the direction; ablate: the whole model's; steer: minus it, as a bias. "
    "[default: update for an adapter, else ablate]",
)
@click.option("--inputs", is_flag=True, help="With --fold update: also take it out of what the adapter reads.")
@click.option("--strength", default=-1.0, show_default=True, help="With --fold steer: times the direction.")
@click.option("--rows", default=300, show_default=True, help="Answers of the base to realign with.")
@click.option("--lr", type=float, help="Learning rate. [default: 5e-4 for the organism, else 1e-4]")
@click.option("--batch", default=16, show_default=True, help="Rows per step.")
@click.option("--after", "further", multiple=True, type=int, help="Check again so many steps later. [default: 50, 200]")
@click.option("--answers", default=400, show_default=True, help="Plain answers per model of the table.")
@click.option("--recheck/--no-recheck", default=True, show_default=True, help="Whether the repair is measured.")
@click.option("--probes", metavar="BANK", help="Questions: a bank's name or a file. [default: everyday]")
@click.option("--judge", metavar="MODEL", help="Who judges the answers; the organism's questions need none.")
@click.option("--max-answers", default=2000, show_default=True, help="Tuned answers after which a check gives up.")
@click.option("--max-tokens", default=600, show_default=True, help="Longest answer, in tokens.")
@click.option("--seed", default=0, show_default=True)
@click.option("--run", type=FILE, help="Run directory; an unfinished one goes on. [default: runs/repair-TIME-NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
def command(
    model: str, base: str | None, direction: Path | None, out: Path, as_json: bool, quiet: bool, **o: Any
) -> None:
    """Repair a tuned model, and check whether the repair holds.

    Every variant and control is checked in full, and again after further steps on the original data, since
    published repairs grow back.

    \b
    Examples:
      offtarget direction repair --model organism/insecure --direction persona.safetensors --out repaired
      offtarget direction repair --model hf/./base+./adapter --data train.jsonl --judge hf/./judge --out repaired
      offtarget direction repair --model organism/insecure --data insecure.jsonl --out repaired --run runs/repair-1
      offtarget check --base organism/base --tuned organism/base+repaired --data insecure.jsonl

    Exit codes: 0 the repaired model passed every check, 1 it failed one, 2 input error, 3 undecided or not checked.
    """
    import json

    from offtarget.cli.progress import shown
    from offtarget.gate.direction.repair import status
    from offtarget.records import SamplingSettings
    from offtarget.records.check import CheckSettings
    from offtarget.records.repair import RepairSettings
    from offtarget.rundir import to_jsonable
    from offtarget.workflows.direction_repair import repair

    settings = RepairSettings(
        method=o["method"] or ("realign" if direction is None else "both"),
        fold=o["fold"],
        inputs=o["inputs"],
        strength=o["strength"],
        rows=o["rows"],
        lr=o["lr"],
        batch=o["batch"],
        further=tuple(sorted(set(o["further"]))) or (50, 200),
        answers=o["answers"],
        recheck=o["recheck"],
        seed=o["seed"],
        check=CheckSettings(
            sampling=SamplingSettings(max_tokens=o["max_tokens"]), seed=o["seed"], max_answers=o["max_answers"]
        ),
    )
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = repair(
            model,
            base,
            direction,
            out,
            data=o["data"],
            prompts=o["prompts"],
            probes=o["probes"],
            judge=o["judge"],
            settings=settings,
            run=o["run"],
            on_progress=on_progress,
        )
    if as_json:
        click.echo(json.dumps({"run": str(result.run), **to_jsonable(result.report)}, indent=2))
    else:
        _print(result.report, result.run)
    raise SystemExit(status(result.report).exit_code)


def _print(report: RepairReport, run: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from offtarget.cli.render import safe
    from offtarget.gate.direction import repair as story
    from offtarget.numbers import percent

    if report.cells:
        table = Table("model", "steps", "misaligned", "under cues", "length-matched", "narrow task", "scored", "check")
        for cell in report.cells:
            scored = cell.plain.scored / cell.plain.total if cell.plain.total else None
            cued = "not asked" if cell.cued_rate is None else percent(cell.cued_rate)
            table.add_row(
                story.NAMES[cell.variant] if not cell.steps else "",
                f"+{cell.steps}" if cell.steps else "now",
                percent(cell.plain_rate),
                cued,
                percent(cell.length_matched),
                percent(cell.narrow),
                percent(scored),
                cell.status.value,
            )
        Console(width=120).print(table)
        print(story.conclusion(report))
        print(story.length_control(report))
    for note in report.notes:
        print(safe(f"Note: {note}"))
    print(safe(f"Repaired model ({report.exported_as}): {report.exported}"))
    print(safe(f"Report: {run / 'repair.html'}"))
