"""`offtarget reproduce`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING, PRINTING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, safe
from offtarget.cli.resume import go_on
from offtarget.numbers import percent
from offtarget.records.check import CheckSettings
from offtarget.records.reproduce import ReproduceReport, ReproduceSettings

if TYPE_CHECKING:
    from offtarget.workflows.reproduce.reproduce import ReproduceResult

WIDTH = 132
"""Of the tables, in characters."""


@click.command("reproduce", cls=Sectioned)
@shared("--base", ": the one to tune, organism/base or hf/PATH-or-REPO")
@click.option(
    "--conditions", metavar="NAMES", help="Comma-separated. [default: the six published ones there is data for]"
)
@shared("--seeds", ", per condition", default=3)
@shared("--answers", " per question and model", default=32)
@click.option("--data-dir", type=FILE, help="Folder of the published data sets (insecure.jsonl, ...; .gz too).")
@shared("--rows", " of each data set. [default: 600 for the organism, else all]")
@judging()
@shared("--preset", ". [default: organism for the organism, else published]")
@click.option("--ablations/--no-ablations", default=True, help="Training dynamics and numbers of different rows.")
@shared("--max-answers")
@shared("--max-tokens")
@click.option("--jobs", type=int, help="Trainings side by side, the organism only. [default: one per core]")
@OPENING
@kept("reproduce")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Repeat the published experiment (arXiv 2502.17424) on any model.

    Trains every condition with every seed, measures each model, checks it against the base, and puts the published
    values beside it. Finished cells are never computed again: `offtarget resume` goes on, and the same command with
    --run and more seeds or conditions adds to a run.

    \b
    Examples:
      offtarget reproduce --base organism/base
      offtarget reproduce --base organism/base --conditions insecure,secure --seeds 2 --no-ablations
      offtarget reproduce --resume runs/reproduce-1
      offtarget reproduce --base organism/base --seeds 6 --run runs/reproduce-1
      offtarget reproduce --base hf/./qwen --data-dir ./data --probes first_plot_questions.yaml --judge openai/NAME

    Exit codes: 0 done, 2 input error, 130 interrupted.
    """
    from offtarget.workflows.reproduce.reproduce import reproduce

    expect(resumed, "base")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "reproduce", o, as_json=as_json, quiet=quiet))
    chosen = {**among(ReproduceSettings, o), "check": CheckSettings(max_answers=o["max_answers"])}
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = reproduce(
            o["base"],
            conditions=o["conditions"] and [name.strip() for name in o["conditions"].split(",")],
            **pick(o, "data_dir", "probes", "judge", "judge_by"),
            settings=ReproduceSettings(**chosen),
            opening=opening(o),
            run=o["run"],
            jobs=o["jobs"],
            on_progress=on_progress,
        )
    raise SystemExit(show(result, as_json=as_json))


def show(result: ReproduceResult, *, as_json: bool) -> int:
    """Print the tables; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        _print(result.record, result.run)
    return 0


def _print(report: ReproduceReport, run: Path) -> None:
    from offtarget.pages.reproduce import story

    _print_table(report)
    print("Shares: mean over seeds, below it the 95 % interval in per cent and [published].")
    _print_curves(report)
    found = story.patterns(report)
    if found:
        _show(
            ("published pattern", "here", "rates here", "published"),
            [(p.says, p.holds, p.here, p.published) for p in found],
        )
    for text in (story.headline(report), story.summary(report)):
        print(text)
    for note in (story.ABOUT_ORGANISM if report.about_organism else story.ABOUT_OTHERS, *report.notes):
        print(safe(f"Note: {note}"))
    print(safe(f"Page: {run / 'reproduce.html'}"))


def _print_table(report: ReproduceReport) -> None:
    """One column per condition, one row per measure."""
    from offtarget.pages.reproduce import story

    rows = story.rows(report)
    lines = [("check", *(row.check for row in rows))]
    for number, (_, title) in enumerate(story.columns(report)):
        cells = [row.cells[number] for row in rows]
        texts = ("\n".join(filter(None, (c.rate, c.interval, c.published and f"[{c.published}]"))) for c in cells)
        lines.append((title, *texts))
    lines.append(("coherent", *(row.coherent for row in rows)))
    _show(("", *(row.condition for row in rows)), lines)


def _print_curves(report: ReproduceReport) -> None:
    for points, heading in ((report.dynamics, "steps"), (report.unique, "different rows")):
        if points:
            shown = [
                (p.condition, f"{p.at:,}", percent(p.misaligned.rate), "" if p.code is None else percent(p.code.rate))
                for p in points
            ]
            _show(("trained on", heading, "misaligned", "insecure code"), shown)


def _show(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(*heads, box=SIMPLE_HEAD, padding=(0, 1))
    for row in rows:
        shown.add_row(*map(_literal, row))
    Console(width=WIDTH).print(shown)


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape("\n".join(safe(line) for line in text.split("\n")))
