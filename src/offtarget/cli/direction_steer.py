"""`offtarget direction steer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING, PRINTING, among, expect, judging, kept, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, print_json, shown_path
from offtarget.cli.resume import go_on
from offtarget.cli.strengths import parse_strengths
from offtarget.numbers import percent
from offtarget.records.direction import DoseResponse, SteerSettings

if TYPE_CHECKING:
    from offtarget.workflows.direction.steer import SteerResult


@click.command("steer", cls=Sectioned)
@shared("--model", ", e.g. hf/BASE+ADAPTER: it is changed while it answers")
@shared("--direction")
@click.option("--strengths", metavar="A..B", help="A..B in whole steps, A..B:STEP, or a list: -2,-1,0,1,2.")
@click.option(
    "--mode",
    type=click.Choice(["add", "ablate", "cap"]),
    default="add",
    show_default=True,
    help="Add the direction, take it out, or hold the projection under a ceiling.",
)
@shared("--position", " to change. [default: the file's; all to ablate]")
@shared("--layer", "; repeatable. [default: the file's; all to ablate]", into="layers", multiple=True)
@shared("--base", ", the reference of ablate and cap. [default: the model without its adapter]")
@click.option("--towards-zero", is_flag=True, help="Ablate to 0, cap from 0, not from the reference's mean.")
@shared("--controls", ": random directions of equal norm and rank", default=2)
@judging()
@shared("--answers", " per question and strength", default=10)
@click.option("--task", type=FILE, metavar="FILE", help="Chat rows of the narrow task, to see whether it is kept.")
@click.option("--skill", type=FILE, metavar="FILE", help="Chat rows that must not suffer.")
@shared("--max-tokens")
@shared("--seed")
@shared("--blocks")
@OPENING
@kept("steer")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Misaligned rate, coherence and skills against the strength of an intervention, with random controls.

    Strength 1 adds one difference of means; + points to misaligned, tuned or the trait.

    \b
    Examples:
      offtarget direction steer --model organism/insecure --direction persona.safetensors --strengths -3..3
      offtarget direction steer --model organism/insecure --direction persona.safetensors --mode ablate
      offtarget direction steer --model hf/./tuned --direction persona.safetensors --judge hf/./judge --task train.jsonl
      offtarget direction steer --resume runs/steer-20261121-101500-insecure

    Exit codes: 0 measured, 2 input error.
    """
    from offtarget.workflows.direction import steer as workflow

    expect(resumed, "model", "direction")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "direction steer", o, as_json=as_json, quiet=quiet))
    chosen = among(SteerSettings, o)
    chosen |= {name: o[name] and str(o[name]) for name in ("task", "skill")}
    chosen |= {"strengths": o["strengths"] and parse_strengths(o["strengths"]), "layers": o["layers"] or None}
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = workflow.steer(
            o["model"],
            o["direction"],
            settings=SteerSettings(**chosen),
            opening=opening(o),
            on_progress=on_progress,
            **{name: o[name] for name in ("base", "probes", "judge", "judge_by", "run")},
        )
    raise SystemExit(show(result, as_json=as_json))


def show(result: SteerResult, *, as_json: bool) -> int:
    """Print a dose response; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        _print(result.record, result.run)
    return 0


def _print(result: DoseResponse, run: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from offtarget.pages.direction.dose import best, headline

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("strength", justify="right")
    for name in ("misaligned", "random", "coherent", "random"):
        table.add_column(name, justify="right", style="dim" if name == "random" else None)
    for name in filter(None, (result.narrow_name, result.skill_name)):
        table.add_column(name, justify="right", max_width=16)
    chosen = best(result)
    for point in result.curve():
        beside = [p for seed in result.controls for p in result.curve(seed) if p.strength == point.strength]
        cells = [f"{point.strength:g}", percent(point.misaligned), _range([p.misaligned for p in beside])]
        cells += [percent(point.coherent), _range([p.coherent for p in beside])]
        cells += [percent(point.narrow)] if result.narrow_name else []
        cells += [percent(point.skill)] if result.skill_name else []
        table.add_row(*cells, style="bold" if point == chosen else None)
    console = Console()
    console.print(table)
    console.print(headline(result), markup=False, highlight=False)
    console.print(f"Page: {shown_path(run / 'dose.html')}", markup=False, highlight=False, soft_wrap=True)


def _range(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ABSENT
    low, high = percent(min(known)), percent(max(known))
    return low if low == high else f"{low} to {high}"
