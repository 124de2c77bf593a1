"""`offtarget direction measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import AT_LEAST_ONE, OPENING, PRINTING, judging, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, console, plain_table, print_json, safe, shown_path
from offtarget.numbers import percent
from offtarget.records.direction import ModelMeasured, RowsMeasured

_BAR = 40
"""Columns of the longest bar."""
_LINES = 10
"""Bars of the printed histogram."""


@click.command("measure", cls=Sectioned)
@shared("--direction", required=True)
@shared("--model", ": its answers are measured, and how far it moved from the base")
@shared("--data", ", as for audit: its rows are measured")
@shared("--base", ". [default: the one the direction names]")
@shared("--layer", ". [default: the direction's]")
@shared("--position", ", where the movement of --model is read. [default: the direction's]")
@judging("the answers of --model")
@shared("--answers", " per question of --model", default=5)
@click.option("--top", default=20, show_default=True, type=AT_LEAST_ONE, help="Rows of --data to show.")
@shared("--out", ": rows.jsonl and measured.json of --data, in this folder")
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--max-tokens", default=300)
@shared("--seed")
@OPENING
@PRINTING
def command(direction: Path, model: str | None, data: str | None, as_json: bool, quiet: bool, **o: Any) -> None:
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
    if (model is None) == (data is None):
        raise click.UsageError("Give --model, or --data.")
    same = {name: o[name] for name in ("base", "layer", "max_tokens", "seed")}
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result: ModelMeasured | RowsMeasured
        if data is not None:
            from offtarget.workflows.direction.screen import measure_rows

            own = {name: o[name] for name in ("top", "out", "form", "split")}
            result = measure_rows(direction, data, **same, **own, opening=opening(o), on_progress=on_progress)
        else:
            from offtarget.workflows.direction.measure import measure_model

            assert model is not None
            own = {name: o[name] for name in ("position", "probes", "judge", "judge_by", "answers")}
            result = measure_model(direction, model, **same, **own, opening=opening(o), on_progress=on_progress)
    if as_json:
        print_json(result)
    elif data is not None:
        _print_rows(result, o["out"])  # type: ignore[arg-type]
    else:
        _print_model(result)  # type: ignore[arg-type]


def _print_rows(found: RowsMeasured, out: Path | None) -> None:
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
