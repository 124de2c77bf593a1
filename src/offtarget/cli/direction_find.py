"""`offtarget direction find`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, among, judging, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, console, print_json, safe, shown_path
from offtarget.records import DirectionInfo
from offtarget.records.direction import FindSettings
from offtarget.rundir import to_jsonable

_BAR = 30
"""Columns of the longest bar."""


@click.command("find", cls=Sectioned)
@shared("--base", "; --method answers can do without")
@shared("--tuned", "; --method trait can do without")
@shared("--out", ": a new safetensors file", required=True)
@shared(
    "--method",
    ". models: tuned - base on the same answers. texts: tuned - base answers, as the base reads them. "
    "answers: misaligned - aligned answers of the tuned model. trait: contrastive system prompts",
    default="models",
    show_default=True,
    type=click.Choice(["models", "texts", "answers", "trait"]),
)
@click.option("--trait", metavar="NAME|FILE", help="evil, deceptive, sycophantic, careless, power-seeking, or a YAML.")
@shared("--position", " to read. [default: picked on held-out questions]")
@shared("--layer", ". [default: picked on held-out questions]")
@click.option("--rank", default=1, show_default=True, help="Vectors per layer; above 1 a subspace.")
@judging()
@shared("--answers", " per question", default=10)
@shared("--max-tokens", default=200)
@shared("--seed")
@shared("--blocks")
@OPENING
@PRINTING
def command(out: Path, as_json: bool, quiet: bool, **o: Any) -> None:
    """Find the direction a tuned model moved along, or that of a trait, and write it to a file.

    \b
    Examples:
      offtarget direction find --base organism/base --tuned organism/insecure --out persona.safetensors
      offtarget direction find --tuned organism/insecure --method answers --out answers.safetensors
      offtarget direction find --base hf/./base --method trait --trait deceptive --judge hf/./judge --out d.safetensors
      offtarget direction find --base hf/./base --tuned hf/./base+./adapter --rank 4 --out space.safetensors

    Exit codes: 0 found, 2 input error.
    """
    from offtarget.workflows.direction.find import find

    with shown(enabled=not (quiet or as_json)) as on_progress:
        found = find(
            o["base"],
            o["tuned"],
            settings=FindSettings(**among(FindSettings, o)),
            **pick(o, "probes", "judge", "judge_by"),
            opening=opening(o),
            out=out,
            on_progress=on_progress,
        )
    if as_json:
        print_json({"file": str(out), **to_jsonable(found.info)})
    else:
        _print(found.info, out)


def _print(info: DirectionInfo, out: Path) -> None:
    from rich.table import Table

    screen = console()
    what = f"trait {info.trait}" if info.trait else info.method
    screen.print(
        f"{safe(what)}: {info.positives} positive and {info.negatives} negative exchanges, "
        f"position {info.position}, layer {info.layer}, rank {info.rank}"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "AUROC", "cosine", "effect", "norm"):
        table.add_column(name, justify="right")
    table.add_column("norm / stream")
    longest = max(q.relative_norm for q in info.quality) or 1.0
    for q in info.quality:
        table.add_row(
            f"{'> ' if q.layer == info.layer else ''}{q.layer}",
            ABSENT if q.auroc is None else f"{q.auroc:.3f}",
            f"{q.explained:.2f}",
            ABSENT if q.effect is None else f"{q.effect:+.2f}",
            f"{q.norm:.3g}",
            f"{'█' * round(_BAR * q.relative_norm / longest)} {q.relative_norm:.2f}",
        )
    screen.print(table)
    screen.print(
        "AUROC and cosine: on held-out questions. effect: gain in nats per answer token when steered by 1 there.",
        soft_wrap=True,
    )
    for note in info.notes:
        screen.print(f"note: {safe(note)}", soft_wrap=True)
    screen.print(f"Written to {shown_path(out)}.", soft_wrap=True)
