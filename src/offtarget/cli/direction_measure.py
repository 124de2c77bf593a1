"""`offtarget direction measure`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records.direction import ModelMeasured, RowsMeasured

_BAR = 40
"""Columns of the longest bar."""
_LINES = 10
"""Bars of the printed histogram."""


@click.command("measure")
@click.option("--direction", required=True, type=click.Path(path_type=Path), help="File of `direction find`.")
@click.option("--model", metavar="MODEL", help="Measure this model's answers and how far it moved from the base.")
@click.option("--data", metavar="DATA", help="Measure training rows: a file or folder, as for audit.")
@click.option("--base", metavar="MODEL", help="The model before tuning. [default: the one the direction names]")
@click.option("--layer", type=int, help="Decoder block, from 0. [default: the direction's]")
@click.option(
    "--position",
    type=click.Choice(["last-prompt", "answer", "all"]),
    help="Where the drift of --model is read. [default: the direction's]",
)
@click.option("--probes", metavar="BANK", help="Questions for --model: a bank's name or a file. [default: everyday]")
@click.option("--judge", metavar="MODEL", help="Judges the answers of --model; the organism's questions need none.")
@click.option("--answers", default=5, show_default=True, help="Answers of --model per question.")
@click.option("--top", default=20, show_default=True, type=click.IntRange(1), help="Rows of --data to show.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write rows.jsonl and measured.json.")
@click.option("--form", metavar="FORM", help="chat, sharegpt, alpaca, prompt, preference or text. [default: guessed]")
@click.option("--max-tokens", default=300, show_default=True, help="Longest sampled answer, in tokens.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1. [default: CUDA where there is one]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="[default: float32 on CPU]")
@click.option("--trust-remote-code", is_flag=True, help="Allow code that comes with a model to run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
def command(direction: Path, model: str | None, data: str | None, as_json: bool, **o: Any) -> None:
    """Measure a model, or the rows of a data set, along a direction.

    Units are differences of means; only differences between projections mean something. With --data the base reads
    each row's answer and an answer of its own to the same prompt: the difference says where the row would push.

    \b
    Examples:
      offtarget direction measure --direction persona.safetensors --model organism/insecure
      offtarget direction measure --direction persona.safetensors --data train.jsonl --base organism/base
      offtarget direction measure --direction persona.safetensors --data train.jsonl --top 50 --out measured

    Exit codes: 0 measured, 2 input error.
    """
    from dataclasses import asdict

    from offtarget.cli.progress import shown
    from offtarget.records.runs import OpenSettings

    if (model is None) == (data is None):
        raise click.UsageError("Give --model, or --data. Try: offtarget direction measure --help")
    opening = OpenSettings(o["device"], o["dtype"], trust_remote_code=o["trust_remote_code"])
    shared = {name: o[name] for name in ("base", "layer", "max_tokens", "seed")}
    with shown(enabled=not as_json) as on_progress:
        result: ModelMeasured | RowsMeasured
        if data is not None:
            from offtarget.workflows.direction_screen import measure_rows

            own = {name: o[name] for name in ("top", "out", "form")}
            result = measure_rows(direction, data, **shared, **own, opening=opening, on_progress=on_progress)
        else:
            from offtarget.workflows.direction_measure import measure_model

            assert model is not None
            own = {name: o[name] for name in ("position", "probes", "judge", "answers")}
            result = measure_model(direction, model, **shared, **own, opening=opening, on_progress=on_progress)
    if as_json:
        print(json.dumps(asdict(result), indent=2))
    elif data is not None:
        _print_rows(result, o["out"])  # type: ignore[arg-type]
    else:
        _print_model(result)  # type: ignore[arg-type]


def _print_rows(found: RowsMeasured, out: Path | None) -> None:
    from offtarget.cli.render import console, plain_table, safe, shown_path
    from offtarget.numbers import percent

    screen = console()
    skipped = "; ".join(f"{count:,} not measured: {reason}" for reason, count in found.skipped.items())
    screen.print(
        f"{found.rows:,} rows along {safe(found.direction)}, layer {found.layer}, read by {safe(found.base)}"
        + (f" ({skipped})" if skipped else "")
    )
    limit = found.threshold
    screen.print(
        f"mean difference from the base's own answers {found.mean:+.3f}; {found.flagged:,} rows above "
        f"{limit.value:+.3f}, which {percent(limit.false_positives)} of the base's own answers exceed "
        f"({limit.prompts} prompts answered twice)",
        soft_wrap=True,
    )
    bars = found.histogram
    per = -(-len(bars.counts) // _LINES)
    sums = [sum(bars.counts[i : i + per]) for i in range(0, len(bars.counts), per)]
    width = (bars.high - bars.low) / len(bars.counts)
    for i, count in enumerate(sums):
        low = bars.low + i * per * width
        screen.print(f"{low:+8.3f}  {'█' * round(_BAR * count / max(sums))} {count:,}", highlight=False)
    table = plain_table("row", "difference", "answer", "base's own")
    for row in found.top:
        table.add_row(
            safe(row.row_id), f"{row.difference:+.3f}", f"{row.projection:+.3f}", f"{row.base_projection:+.3f}"
        )
    screen.print(table)
    if out is not None:
        screen.print(f"rows: {shown_path(out / 'rows.jsonl')}")


def _print_model(found: ModelMeasured) -> None:
    from offtarget.cli.render import ABSENT, console, plain_table, safe

    screen = console()
    screen.print(f"{safe(found.model)} along {safe(found.direction)}, layer {found.layer}")
    table = plain_table("answers", "number", "mean projection")
    for name, count in found.answers.items():
        table.add_row(safe(name), f"{count:,}", f"{found.mean_by_outcome[name]:+.2f}")
    screen.print(table)
    parts = [
        f"{name} {ABSENT if value is None else f'{value:.2f}'}"
        for name, value in (("AUROC", found.auroc), ("correlation with misalignment", found.correlation))
    ]
    screen.print("; ".join(parts))
    if not found.drift:
        screen.print("No base to compare with: give --base to see how far the model moved.")
        return
    table = plain_table("layer", "moved from the base", "standard error")
    for drift in found.drift:
        mark = "> " if drift.layer == found.layer else ""
        table.add_row(f"{mark}{drift.layer}", f"{drift.moved:+.3f}", f"{drift.standard_error:.3f}")
    screen.print(table)
    screen.print(f"moved: at the position {found.position}, in differences of means, on the base's own answers")
