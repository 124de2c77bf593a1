"""`offtarget alternatives`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, SPENDING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_run, shown_path
from offtarget.cli.resume import go_on
from offtarget.cli.shares import BETWEEN, FROM_ZERO
from offtarget.records.alternatives import AlternativesSettings
from offtarget.rundir import to_jsonable

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
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
@SPENDING
@shared("--dry-run")
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
    from offtarget.cli import plans
    from offtarget.workflows.alternatives import alternatives as workflow
    from offtarget.workflows.planning import plan_alternatives

    expect(resumed, "data", "base")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "alternatives", o, as_json=as_json, quiet=quiet))
    settings = AlternativesSettings(**among(AlternativesSettings, o))
    plan = plan_alternatives(
        **pick(o, "data", "base", "tuned", "probes", "judge", "form", "split", "run"),
        settings=settings,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = workflow.alternatives(
            o["data"],
            o["base"],
            o["tuned"],
            settings=settings,
            **pick(o, "probes", "judge", "judge_by", "form", "split"),
            opening=opening(o),
            run=o["run"],
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: AlternativesResult, *, as_json: bool) -> int:
    """Print what a comparison came to; the exit code."""
    from offtarget.pages.alternatives.story import sentence

    if as_json:
        print_json({"sentence": sentence(result.record), **to_jsonable(result.record)}, result.run)
    else:
        show_run(result.run, lambda out: details(result, out))
    return 3 if result.record.verdict == "undecided" else 0


def details(result: AlternativesResult, out: Screen) -> None:
    """The ways side by side, the instructions that were used, the rule, and where the files are."""
    from offtarget.pages.alternatives import page, story

    report = result.record
    out.say("What each way does, and what it risks", style="bold")
    out.table(page.heads(report), page.cells(report), left=(0, 3))
    for way in report.ways:
        if way.short_of_examples:
            few = f"fewer than {report.settings.examples} examples fitted before {way.short_of_examples} prompts"
            out.say(f"{story.ROWS[way.way]}: {few}.")
    out.heading(f"The instructions that were used, from {report.instructions_from}")
    for line in report.instructions.splitlines():
        out.say(line, indent=2)
    out.heading("How it was decided")
    out.say(story.sentence(report))
    out.say(story.rule(report))
    out.heading("Details")
    for name, value in page.facts(report):
        out.say(f"- {name}: {value}", hang=2)
    for what, name in (("The rows that were not held out", "training-rows.jsonl"), ("Page", "alternatives.html")):
        out.say(f"- {what}:")
        out.command(shown_path(result.run / name))
