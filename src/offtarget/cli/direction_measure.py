"""`offtarget direction measure`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import AT_LEAST_ONE, OPENING, PRINTING, SPENDING, judging, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_card
from offtarget.numbers import whole
from offtarget.pages.screen import Screen
from offtarget.records.direction import ModelMeasured, RowsMeasured

_BAR = 40
"""Columns of the longest bar."""
_FIRST = 3
"""Rows that are listed without `--verbose`."""
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
@shared("--answers", " per question of --model. [default: 5, fewer for many questions]")
@click.option("--top", default=20, show_default=True, type=AT_LEAST_ONE, help="Rows of --data to show.")
@shared("--out", ": rows.jsonl and measured.json of --data, in this folder")
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--max-tokens", default=300)
@shared("--seed")
@OPENING
@SPENDING
@shared("--dry-run")
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
    from offtarget.cli import plans
    from offtarget.pages.direction import measure_card
    from offtarget.workflows.planning import plan_measure

    how = pick(o, "base", "probes", "judge", "answers", "max_tokens", "form", "split")
    plan, began = plan_measure(direction, model=model, data=data, **how, opening=opening(o)), time.monotonic()
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
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
    plans.done_in(plan, time.monotonic() - began)
    if as_json:
        print_json(result)
    elif isinstance(result, RowsMeasured):
        card = measure_card.rows_card(result, str(data), str(direction), o["out"])
        show_card(card, lambda screen: _rows(result, screen), always=lambda screen: _first(result, screen))
    else:
        show_card(measure_card.model_card(result), lambda screen: _layers(result, screen))


def _first(found: RowsMeasured, out: Screen) -> None:
    """The rows that push most; all that were kept stand with the details."""
    from offtarget.pages.direction import measure_card

    if not out.verbose:
        out.table(measure_card.ROW_HEADS, measure_card.rows(found)[:_FIRST], "Rows that push most")


def _rows(found: RowsMeasured, out: Screen) -> None:
    from offtarget.pages.direction import measure_card

    out.table(measure_card.ROW_HEADS, measure_card.rows(found), "Rows that push most")
    out.heading("How the differences are spread")
    bars = found.histogram
    per = -(-len(bars.counts) // _LINES)
    sums = [sum(bars.counts[i : i + per]) for i in range(0, len(bars.counts), per)]
    width = (bars.high - bars.low) / len(bars.counts)
    for i, count in enumerate(sums):
        low = bars.low + i * per * width
        out.say(f"{low:+8.3f}  {'█' * round(_BAR * count / max(sums))} {whole(count)}")


def _layers(found: ModelMeasured, out: Screen) -> None:
    from offtarget.pages.direction import measure_card

    if found.drift:
        out.table(measure_card.LAYER_HEADS, measure_card.layers(found), "Layer by layer")
        out.say(
            f"Moved: at the position {found.position}, in differences of means, on the base's own answers. Zero is the "
            "origin of activation space; only differences of projections mean something."
        )
