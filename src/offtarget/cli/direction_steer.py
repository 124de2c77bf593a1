"""`offtarget direction steer`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records.direction import DoseResponse


@click.command("steer")
@click.option("--model", metavar="MODEL", help="The model to change, e.g. hf/BASE+ADAPTER.")
@click.option("--direction", type=click.Path(), help="File made by `direction find`.")
@click.option("--strength", "strengths", metavar="A..B", help="A..B in whole steps, A..B:STEP, or a list: -2,-1,0,1,2.")
@click.option(
    "--mode",
    type=click.Choice(["add", "ablate", "cap"]),
    default="add",
    show_default=True,
    help="Add the direction, take it out, or hold the projection under a ceiling.",
)
@click.option(
    "--position",
    type=click.Choice(["all", "answer", "last-prompt"]),
    help="Tokens. [default: the file's; all to ablate]",
)
@click.option("--layer", "layers", type=int, multiple=True, help="Repeatable. [default: the file's; all to ablate]")
@click.option("--base", metavar="MODEL", help="Reference of ablate and cap. [default: the model without its adapter]")
@click.option("--towards-zero", is_flag=True, help="Ablate to 0, cap from 0, not from the reference's mean.")
@click.option("--controls", default=2, show_default=True, help="Random directions of equal norm and rank.")
@click.option("--answers", default=10, show_default=True, help="Per plain question and strength.")
@click.option("--probes", metavar="BANK", help="Questions, as in check.")
@click.option("--judge", metavar="MODEL", help="Judge, as in check; the organism's questions need none.")
@click.option("--task", type=click.Path(), help="Chat rows of the narrow task: is it kept?")
@click.option("--skill", type=click.Path(), help="Chat rows that must not suffer.")
@click.option("--blocks", metavar="PATH", help="Attribute that lists the decoder blocks of an unknown architecture.")
@click.option("--max-tokens", default=600, show_default=True, help="Longest answer, in tokens.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Run directory. [default: runs/steer-TIME-NAME]")
@click.option("--resume", "resumed", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(
    model: str | None,
    direction: str | None,
    strengths: str | None,
    layers: tuple[int, ...],
    out: Path | None,
    resumed: Path | None,
    as_json: bool,
    quiet: bool,
    **o: Any,
) -> None:
    """Misaligned rate, coherence and skills against the strength of an intervention, with random controls.

    Strength 1 adds one difference of means; + points to misaligned, tuned or the trait.

    \b
    Examples:
      offtarget direction steer --model organism/insecure --direction persona.safetensors --strength -3..3
      offtarget direction steer --model organism/insecure --direction persona.safetensors --mode ablate
      offtarget direction steer --model hf/./tuned --direction persona.safetensors --judge hf/./judge --task train.jsonl
    """
    from offtarget.cli.progress import shown
    from offtarget.records.direction import SteerSettings
    from offtarget.workflows import direction_steer as workflow

    if resumed is None and (model is None or direction is None):
        raise click.UsageError("Give --model and --direction, or --resume RUN. Try: offtarget direction steer --help")
    with shown(enabled=not (quiet or as_json)) as on_progress:
        if resumed is not None:
            result, run = workflow.resume(resumed, on_progress=on_progress)
        else:
            assert model is not None
            assert direction is not None
            wanted = None if strengths is None else parse_strengths(strengths)
            settings = SteerSettings(model, direction, strengths=wanted, layers=layers or None, **o)
            result, run = workflow.steer(settings, out=out, on_progress=on_progress)
    if as_json:
        from offtarget.rundir import to_jsonable

        click.echo(json.dumps({"run": str(run), **to_jsonable(result)}, indent=2))
    else:
        _print(result, run)


def parse_strengths(text: str) -> tuple[float, ...]:
    """Numbers of `A..B`, `A..B:STEP` or `A,B,C`. UsageError for anything else."""
    try:
        if ".." not in text:
            numbers = [float(item) for item in text.split(",")]
        else:
            ends, _, step_text = text.partition(":")
            first, _, last = ends.partition("..")
            low, high, step = float(first), float(last), float(step_text or 1)
            if not (step > 0 and high >= low and (high - low) / step <= 1000):
                raise ValueError
            numbers = [round(low + i * step, 10) for i in range(math.floor((high - low) / step + 1e-9) + 1)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--strength '{text}' is not A..B, A..B:STEP (STEP above 0) or a list of numbers."
        ) from None
    return tuple(numbers)


def _print(result: DoseResponse, run: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from offtarget.cli.render import shown_path
    from offtarget.gate.direction.dose import best, headline
    from offtarget.numbers import percent

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
    from offtarget.cli.render import ABSENT
    from offtarget.numbers import percent

    known = [value for value in values if value is not None]
    if not known:
        return ABSENT
    low, high = percent(min(known)), percent(max(known))
    return low if low == high else f"{low} to {high}"
