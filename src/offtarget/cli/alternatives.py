"""`offtarget alternatives`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import console, plain_table, print_json, safe, shown_path
from offtarget.cli.resume import go_on
from offtarget.cli.shares import BETWEEN, FROM_ZERO
from offtarget.records.alternatives import AlternativesReport, AlternativesSettings
from offtarget.rundir import to_jsonable

if TYPE_CHECKING:
    from offtarget.workflows.alternatives.alternatives import AlternativesResult


@click.command("alternatives", cls=Sectioned)
@click.argument("data", required=False, metavar="[DATA]")
@shared("--base", ": the one that would be tuned")
@shared("--tuned", ", where there is one already")
@click.option(
    "--metric",
    default="exact",
    show_default=True,
    help="exact, f1, regex:PATTERN, command:COMMAND (exit code 0 is right) or judge.",
)
@click.option("--examples", default=4, show_default=True, help="Examples per question.")
@click.option(
    "--held-out", type=BETWEEN, default=0.2, show_default=True, help="Share of the rows that the task is scored on."
)
@click.option(
    "--least-gain",
    "margin",
    type=FROM_ZERO,
    default=0.1,
    show_default=True,
    help="A smaller gain is not worth a training.",
)
@shared("--plain-answers", ", each way", into="answers", default=400)
@judging()
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--max-tokens")
@shared("--seed")
@OPENING
@kept("alternatives")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Would instructions or examples do what training is meant to do, and at what risk?

    Some rows of DATA are held out and answered by the base alone, by the base under written instructions, by the base
    with the most similar rows as examples and, where there is one, by the tuned model; each way is also asked the plain
    questions of `check`.

    \b
    Examples:
      offtarget alternatives train.jsonl --base organism/base --metric f1
      offtarget alternatives train.jsonl --base organism/base --tuned organism/insecure --metric f1
      offtarget alternatives --resume runs/alternatives-20261121-101500-train

    Exit codes: 0 decided, 2 input error, 3 undecided.
    """
    from offtarget.workflows.alternatives import alternatives as workflow

    expect(resumed, "data", "base")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "alternatives", o, as_json=as_json, quiet=quiet))
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = workflow.alternatives(
            o["data"],
            o["base"],
            o["tuned"],
            settings=AlternativesSettings(**among(AlternativesSettings, o)),
            **pick(o, "probes", "judge", "judge_by", "form", "split"),
            opening=opening(o),
            run=o["run"],
            on_progress=on_progress,
        )
    raise SystemExit(show(result, as_json=as_json))


def show(result: AlternativesResult, *, as_json: bool) -> int:
    """Print what a comparison came to; the exit code."""
    from offtarget.pages.alternatives.page import sentence

    if as_json:
        print_json({"sentence": sentence(result.record), **to_jsonable(result.record)}, result.run)
    else:
        _print(result.record, result.run)
    return 3 if result.record.verdict == "undecided" else 0


def _print(report: AlternativesReport, run: Path) -> None:
    from offtarget.pages.alternatives import page

    out = console()
    out.print(f"instructions, from {safe(report.instructions_from)}:", soft_wrap=True)
    for line in report.instructions.splitlines():
        out.print(f"  {safe(line)}", soft_wrap=True)
    out.print()
    out.print(
        f"{report.held_out:,} prompts held out; examples from {report.training:,} rows; "
        f"metric {safe(report.settings.metric)}"
    )
    table = plain_table("", "task", "misaligned", "", *(["tuning gains"] if report.gains else []))
    for way in report.ways:
        gains = [page.gain(gain) for gain in report.gains if gain.way == way.way]
        cells = [*gains, ""][:1] if report.gains else []
        safety = "" if way.way == "base" else way.safety
        table.add_row(page.ROWS[way.way], page.score(way), page.misaligned(way), safety, *cells)
    out.print(table)
    for way in report.ways:
        if way.short_of_examples:
            out.print(f"fewer than {report.settings.examples} examples fitted before {way.short_of_examples} prompts")
    for note in report.notes:
        out.print(f"note: {safe(note)}", soft_wrap=True)
    out.print()
    out.print(safe(page.sentence(report)), soft_wrap=True)
    if report.verdict == "undecided" and report.tuned is None:
        out.print(f"training rows: {shown_path(run / 'training-rows.jsonl')}", soft_wrap=True)
    out.print(f"Page: {shown_path(run / 'alternatives.html')}", soft_wrap=True)
