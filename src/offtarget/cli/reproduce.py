"""`offtarget reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING, PRINTING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, print_json, show_run
from offtarget.cli.resume import go_on
from offtarget.numbers import percent, whole
from offtarget.pages.screen import Screen
from offtarget.records.check import CheckSettings
from offtarget.records.reproduce import ReproduceReport, ReproduceSettings

if TYPE_CHECKING:
    from offtarget.workflows.reproduce.reproduce import ReproduceResult


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
@shared("--preset", ". [default: published; small below a billion parameters; organism]")
@click.option("--ablations/--no-ablations", default=True, help="Training dynamics and numbers of different rows.")
@shared("--max-answers")
@shared("--max-tokens")
@click.option("--jobs", type=int, help="Trainings side by side, the organism only. [default: one per core]")
@OPENING
@shared("--dry-run")
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
    from offtarget.cli import plans
    from offtarget.workflows.planning import plan_reproduce
    from offtarget.workflows.reproduce.reproduce import reproduce

    expect(resumed, "base")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "reproduce", o, as_json=as_json, quiet=quiet))
    chosen = {**among(ReproduceSettings, o), "check": CheckSettings(max_answers=o["max_answers"])}
    settings = ReproduceSettings(**chosen)
    names = o["conditions"] and [name.strip() for name in o["conditions"].split(",")]
    plan = plan_reproduce(
        o["base"],
        conditions=names,
        **pick(o, "data_dir", "probes", "judge", "run"),
        settings=settings,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = reproduce(
            o["base"],
            conditions=names,
            **pick(o, "data_dir", "probes", "judge", "judge_by"),
            settings=settings,
            opening=opening(o),
            run=o["run"],
            jobs=o["jobs"],
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: ReproduceResult, *, as_json: bool) -> int:
    """Print what the experiment came to; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        report = result.record
        page = "See the conditions beside the published ones"
        show_run(result.run, lambda out: _details(report, out), always=lambda out: _conditions(report, out), page=page)
    return 0


def _conditions(report: ReproduceReport, out: Screen) -> None:
    """A line per condition."""
    from offtarget.pages.reproduce import story

    rows = [(one.name, one.here, one.published or ABSENT, one.same or ABSENT) for one in story.told(report)]
    out.table(("tuned on", "misaligned (95 % interval)", "published", "same pattern"), rows, "Condition by condition")


def _details(report: ReproduceReport, out: Screen) -> None:
    from offtarget.pages.reproduce import story

    found = story.patterns(report)
    if found:
        lines = [(p.says, p.holds, p.here, p.published) for p in found]
        heads = ("published pattern", "here", "rates here", "published")
        out.table(heads, lines, "Published patterns", left=(0, 1, 2, 3))
    out.heading("Every condition on every measure")
    out.say("Mean over seeds, its 95 % interval in per cent, and the published value.")
    for row in story.rows(report):
        out.say(f"{row.condition} ({row.seeds})" + (f", check {row.check}" if row.check else ""))
        for (_, title), cell in zip(story.columns(report), row.cells, strict=True):
            ends = f" ({cell.interval})" if cell.interval else ""
            beside = f", published {cell.published}" if cell.published else ""
            out.say(f"{title}: {cell.rate}{ends}{beside}", indent=2, hang=2)
        out.say(f"coherent: {row.coherent}", indent=2)
    for points, heading, title in (
        (report.dynamics, "steps", "While training"),
        (report.unique, "different rows", "How many different rows"),
    ):
        rows = [
            (
                f"{p.condition}, {whole(p.at)} {heading}",
                percent(p.misaligned.rate),
                percent(p.code.rate) if p.code else ABSENT,
            )
            for p in points
        ]
        if rows:
            out.table(("tuned on", "misaligned", "insecure code"), rows, title)
    out.blank()
    out.say(story.ABOUT_ORGANISM if report.about_organism else story.ABOUT_OTHERS)
