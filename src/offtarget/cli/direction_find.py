"""`offtarget direction find`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records import DirectionInfo

_BAR = 30
"""Columns of the longest bar."""


@click.command("find")
@click.option("--base", metavar="MODEL", help="The model before fine-tuning; --method answers can do without.")
@click.option("--tuned", metavar="MODEL", help="The model after fine-tuning; --method trait can do without.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New safetensors file.")
@click.option(
    "--method",
    default="models",
    show_default=True,
    type=click.Choice(["models", "texts", "answers", "trait"]),
    help="models: tuned - base on the same answers. texts: tuned - base answers, as the base reads them. "
    "answers: misaligned - aligned answers of the tuned model. trait: contrastive system prompts.",
)
@click.option("--trait", metavar="NAME|FILE", help="evil, deceptive, sycophantic, careless, power-seeking, or a YAML.")
@click.option(
    "--position",
    type=click.Choice(["last-prompt", "answer", "all"]),
    help="Which tokens to read. [default: picked on held-out questions]",
)
@click.option("--layer", type=int, help="Decoder block, from 0. [default: picked on held-out questions]")
@click.option("--rank", default=1, show_default=True, help="Vectors per layer; above 1 a subspace.")
@click.option("--probes", metavar="BANK", help="Questions: a bank's name or a YAML/JSONL file. [default: everyday]")
@click.option("--judge", metavar="MODEL", help="Who judges the answers; the organism's questions need none.")
@click.option("--answers", default=10, show_default=True, help="Answers sampled per question.")
@click.option("--max-tokens", default=200, show_default=True, help="Longest answer, in tokens.")
@click.option("--seed", default=0, show_default=True)
@click.option("--blocks", metavar="PATH", help="Attribute that lists the decoder blocks, for unusual models.")
@click.option("--device", help="cpu, cuda, cuda:1. [default: CUDA where there is one]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="[default: float32 on CPU]")
@click.option("--trust-remote-code", is_flag=True, help="Allow code that comes with a model to run.")
@click.option("--json", "as_json", is_flag=True, help="Print the provenance as JSON on standard output.")
def command(base: str | None, tuned: str | None, out: Path, as_json: bool, **o: Any) -> None:
    """Find the direction a tuned model moved along, or that of a trait, and write it to a file.

    \b
    Examples:
      offtarget direction find --base organism/base --tuned organism/insecure --out persona.safetensors
      offtarget direction find --tuned organism/insecure --method answers --out answers.safetensors
      offtarget direction find --base hf/./base --method trait --trait deceptive --judge hf/./judge --out d.safetensors
      offtarget direction find --base hf/./base --tuned hf/./base+./adapter --rank 4 --out space.safetensors

    Exit codes: 0 found, 2 input error.
    """
    from dataclasses import fields

    from offtarget.cli.progress import shown
    from offtarget.records.direction import FindSettings
    from offtarget.records.runs import OpenSettings
    from offtarget.workflows.direction import find

    with shown(enabled=not as_json) as on_progress:
        found = find(
            base,
            tuned,
            settings=FindSettings(**{field.name: o[field.name] for field in fields(FindSettings)}),
            probes=o["probes"],
            judge=o["judge"],
            opening=OpenSettings(o["device"], o["dtype"], trust_remote_code=o["trust_remote_code"]),
            out=out,
            on_progress=on_progress,
        )
    if as_json:
        from dataclasses import asdict

        print(json.dumps({"file": str(out), **asdict(found.info)}, indent=2))
    else:
        _print(found.info, out)


def _print(info: DirectionInfo, out: Path) -> None:
    from rich.table import Table

    from offtarget.cli.render import ABSENT, console, safe, shown_path

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
