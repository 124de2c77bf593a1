"""`offtarget direction steer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING, PRINTING, SPENDING, among, expect, judging, kept, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_run
from offtarget.cli.resume import go_on
from offtarget.cli.strengths import parse_strengths
from offtarget.pages.screen import Screen
from offtarget.records.direction import DoseResponse, SteerSettings

if TYPE_CHECKING:
    from offtarget.workflows.direction.steer import SteerResult


@click.command("steer", cls=Sectioned)
@shared("--model", ", e.g. hf/BASE+ADAPTER: it is changed while it answers")
@shared("--direction")
@click.option(
    "--strengths", metavar="A..B", help="A..B in whole steps, A..B:STEP, or a list: -2,-1,0,1. [default: -3..3]"
)
@click.option(
    "--mode",
    type=click.Choice(["add", "ablate", "cap"]),
    default="add",
    show_default=True,
    help="Add the direction, take it out, or hold the projection under a ceiling.",
)
@shared("--position", " to change. [default: the file's; all to ablate]")
@shared("--layer", "; repeatable. [default: the file's; all to ablate]", into="layers", multiple=True)
@shared("--base", ", the reference of ablate and cap. [default: the model without its adapter]")
@click.option("--towards-zero", is_flag=True, help="Ablate to 0, cap from 0, not from the reference's mean.")
@shared("--controls", ": random directions of equal norm and rank", default=2)
@judging()
@shared("--answers", " per question and strength. [default: 10, fewer for many questions]")
@click.option("--task", type=FILE, metavar="FILE", help="Chat rows of the narrow task, to see whether it is kept.")
@click.option("--skill", type=FILE, metavar="FILE", help="Chat rows that must not suffer.")
@shared("--max-tokens")
@shared("--seed")
@shared("--blocks")
@OPENING
@SPENDING
@shared("--dry-run")
@kept("steer")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Misaligned rate, coherence and skills against the strength of an intervention, with random controls.

    Strength 1 adds one difference of means; + points to misaligned, tuned or the trait.

    \b
    Examples:
      offtarget direction steer --model organism/insecure --direction persona.safetensors --strengths -3..3
      offtarget direction steer --model organism/insecure --direction persona.safetensors --mode ablate
      offtarget direction steer --model hf/./tuned --direction persona.safetensors --judge hf/./judge --task train.jsonl
      offtarget direction steer --resume runs/steer-20261121-101500-insecure

    Exit codes: 0 measured, 2 input error.
    """
    from offtarget.cli import plans
    from offtarget.workflows.direction import steer as workflow
    from offtarget.workflows.planning import plan_steer

    expect(resumed, "model", "direction")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "direction steer", o, as_json=as_json, quiet=quiet))
    chosen = among(SteerSettings, o)
    chosen |= {name: o[name] and str(o[name]) for name in ("task", "skill")}
    chosen |= {"strengths": o["strengths"] and parse_strengths(o["strengths"]), "layers": o["layers"] or None}
    settings = SteerSettings(**chosen)
    how = pick(o, "base", "probes", "judge", "run")
    plan = plan_steer(o["model"], o["direction"], **how, settings=settings, opening=opening(o))
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        result = workflow.steer(
            o["model"],
            o["direction"],
            settings=settings,
            opening=opening(o),
            on_progress=on_progress,
            **{name: o[name] for name in ("base", "probes", "judge", "judge_by", "run")},
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: SteerResult, *, as_json: bool) -> int:
    """Print a dose response; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        show_run(result.run, lambda out: _details(result.record, out), page="See the curves")
    return 0


def _details(response: DoseResponse, out: Screen) -> None:
    from offtarget.pages.direction import dose

    out.table(dose.heads(response), dose.rows(response), "Every strength")
    out.say("The best: the lowest rate among strengths that are not shown to cost more than 2 points of coherence.")
    out.say("Chosen on the answers shown here: its rate on new answers will be a little higher.")
