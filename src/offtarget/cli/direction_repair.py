"""`offtarget direction repair`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, SPENDING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_run
from offtarget.cli.resume import go_on
from offtarget.pages.screen import Screen
from offtarget.records import SamplingSettings
from offtarget.records.check import CheckSettings
from offtarget.records.repair import RepairReport, RepairSettings

if TYPE_CHECKING:
    from offtarget.workflows.direction.repair import RepairResult


@click.command("repair", cls=Sectioned)
@shared("--model", ": tuned, e.g. hf/BASE+ADAPTER")
@shared("--base", ". [default: the adapter's base, or the direction's]")
@shared("--direction", "; realignment works without")
@shared("--out", ": the repaired adapter or model, a new folder")
@shared("--data", ": keeps the narrow task; for cues and further steps")
@shared("--split", ". [default: train]")
@shared("--prompts", ", to realign with. [default: shipped]")
@shared(
    "--method",
    ". [default: both with a direction, else realign]",
    type=click.Choice(["fold", "realign", "both"]),
)
@click.option(
    "--fold",
    type=click.Choice(["update", "ablate", "steer"]),
    help="update: the adapter's writing along the direction; ablate: the whole model's; steer: minus it, as a bias. "
    "[default: update for an adapter, else ablate]",
)
@click.option("--inputs", is_flag=True, help="With --fold update: also take it out of what the adapter reads.")
@click.option("--strength", default=-1.0, show_default=True, help="With --fold steer: times the direction.")
@shared("--rows", ": answers of the base to realign with", default=300)
@shared("--lr", ". [default: 5e-4 for the organism, else 1e-4]")
@shared("--batch", default=16)
@shared("--after", ". [default: 50, 200]", into="further")
@shared("--plain-answers", ", per model of the table", into="answers", default=400)
@click.option("--recheck/--no-recheck", default=True, show_default=True, help="Whether the repair is measured.")
@judging()
@shared("--max-answers")
@shared("--max-cued-answers")
@shared("--max-tokens")
@shared("--seed")
@OPENING
@SPENDING
@shared("--dry-run")
@kept("repair")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Repair a tuned model, and check whether the repair holds.

    Every variant and control is checked in full, and again after further steps on the original data, since
    published repairs grow back.

    \b
    Examples:
      offtarget direction repair --model organism/insecure --direction persona.safetensors --out repaired
      offtarget direction repair --model hf/./base+./adapter --data train.jsonl --judge hf/./judge --out repaired
      offtarget direction repair --model organism/insecure --data insecure.jsonl --out repaired --run runs/repair-1
      offtarget direction repair --resume runs/repair-1
      offtarget check --base organism/base --tuned organism/base+repaired --data insecure.jsonl

    Exit codes: 0 the repaired model passed every check, 1 it failed one, 2 input error, 3 undecided or not checked.
    """
    from offtarget.cli import plans
    from offtarget.workflows.direction.repair import VARIANTS, repair
    from offtarget.workflows.planning import plan_repair

    expect(resumed, "model", "out")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "direction repair", o, as_json=as_json, quiet=quiet))
    chosen = {
        **among(RepairSettings, o),
        "method": o["method"] or ("realign" if o["direction"] is None else "both"),
        "further": tuple(sorted(set(o["further"]))) or (50, 200),
        "check": CheckSettings(
            sampling=SamplingSettings(max_tokens=o["max_tokens"]),
            **pick(o, "seed", "max_answers", "max_cued_answers"),
        ),
    }
    settings = RepairSettings(**chosen)
    plan = plan_repair(
        **pick(o, "model", "base", "direction", "out", "data", "prompts", "probes", "judge", "run"),
        variants=len(VARIANTS[settings.method]),
        settings=settings,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = repair(
            o["model"],
            o["base"],
            o["direction"],
            o["out"],
            data=o["data"],
            split=o["split"],
            **pick(o, "prompts", "probes", "judge", "judge_by"),
            settings=settings,
            opening=opening(o),
            run=o["run"],
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: RepairResult, *, as_json: bool) -> int:
    """Print what a repair came to; the exit code, which is that of the verdict on the card."""
    if as_json:
        print_json(result.record, result.run)
    else:
        page = "See what comes back, and every model"
        show_run(result.run, lambda out: _details(result.record, out), page=page)
    return result.record.status.exit_code


def _details(report: RepairReport, out: Screen) -> None:
    from offtarget.pages.direction import repair as story

    if report.cells:
        out.table(story.HEADS, story.rows(report), "Every model")
        out.say("Before, at these lengths: the rate before the repair, weighted to this model's answer lengths.")
        out.heading("Why each check came out as it did")
        for cell in report.cells:
            out.say(f"{story.named_cell(cell.variant, cell.steps)}: {cell.status.value}, {cell.reason}", hang=2)
        out.heading("Held against published aims, by these rates alone")
        out.say(story.aims(report))
        out.say(story.length_control(report))
    out.blank()
    out.say(f"Repaired model ({report.exported_as}): {report.exported}")
