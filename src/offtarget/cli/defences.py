"""`offtarget defences`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import (
    AT_LEAST_ONE,
    PRINTING,
    SPENDING,
    TRAINING,
    DefencesListed,
    expect,
    judging,
    kept,
    opening,
    pick,
    shared,
    training,
)
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_run, shown_path
from offtarget.cli.resume import go_on
from offtarget.records.tune import DefenceSettings

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.defences.compare import DefencesResult


@click.command("defences", cls=DefencesListed)
@click.argument("data", required=False, metavar="[DATA]")
@shared("--base", ": it is trained, e.g. hf/Qwen/Qwen2.5-0.5B-Instruct")
@shared("--defend", "; repeatable, NAME+NAME together. [default: all, their controls and some together]")
@shared("--seeds", ", per defence", default=1)
@shared("--answers", " per question and model", default=100)
@click.option(
    "--per-condition",
    type=AT_LEAST_ONE,
    default=20,
    show_default=True,
    metavar="NUMBER",
    help="Answers under each condition, per model.",
)
@shared("--max-tokens")
@shared("--after", ". [default: 50, 200]")
@shared("--split", ". [default: train]")
@judging()
@TRAINING
@SPENDING
@shared("--dry-run")
@kept("defences")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Train without and under every defence and its control, and measure each model on five axes.

    Misaligned answers plainly and under conditions, the narrow task, other skills, and whether the misalignment comes
    back in further steps without the defence. A tenth of the rows is held out to measure the task. Finished trainings
    are never repeated: `offtarget resume` goes on. Adapters are kept in the run directory.

    \b
    Examples:
      offtarget defences train.jsonl --base organism/base
      offtarget defences train.jsonl --base organism/base --seeds 3
      offtarget defences train.jsonl --base organism/base --defend kl --defend kl:control --answers 20
      offtarget defences train.jsonl --base organism/base --defend interleave+project --run runs/two-defences
      offtarget defences --resume runs/two-defences

    Exit codes: 0 measured, 2 input error, 130 interrupted.
    """
    from offtarget.cli import plans
    from offtarget.workflows.defences.compare import arms_named, compare_defences, default_arms
    from offtarget.workflows.planning import plan_defences
    from offtarget.workflows.tune.options import chosen_by_name

    expect(resumed, "data", "base")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "defences", o, as_json=as_json, quiet=quiet))
    comparing = DefenceSettings(
        arms=((), *arms_named(o["defend"])) if o["defend"] else None,
        seeds=tuple(range(o["seeds"])),
        answers=o["answers"],
        per_condition=o["per_condition"],
        max_tokens=o["max_tokens"],
        further=tuple(sorted(set(o["after"]))) or (50, 200),
    )
    settings, options = training(o)
    plan = plan_defences(
        **pick(o, "data", "base", "split", "run"),
        arms=len(default_arms() if comparing.arms is None else comparing.arms),
        options=chosen_by_name(options),
        settings=settings,
        comparing=comparing,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    settings, _ = training(o, fetch=True)
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = compare_defences(
            o["data"],
            o["base"],
            settings=settings,
            options=options,
            comparing=comparing,
            split=o["split"],
            opening=opening(o),
            run=o["run"],
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: DefencesResult, *, as_json: bool) -> int:
    """Print the comparison; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        show_run(result.run, lambda out: details(result, out))
    return 0


def details(result: DefencesResult, out: Screen) -> None:
    """Every arm on every axis, what each defence did, and where the page is."""
    from offtarget.pages.defences import table

    rows = table.rows(result.record)
    further = table.looked_at(rows)
    out.say("Every defence, then the controls", style="bold")
    out.say(f"Aims: {', '.join(table.aims_in_words())}. After further steps: plainly / under conditions.")
    out.table(table.heads(further), [row.cells(further) for row in rows])
    if not further:
        out.say("No defence kept the model aligned while it learnt, so none was trained further (--after).")
    out.heading("Details")
    for row in rows:
        for note in row.notes:
            out.say(f"- {note if note.startswith(row.label) else f'{row.label}: {note}'}", hang=2)
    out.say("- Page:")
    out.command(shown_path(result.run / "frontier.html"))
