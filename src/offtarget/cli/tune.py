"""`offtarget tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import (
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

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.tune.tune import TuneResult


@click.command("tune", cls=DefencesListed)
@click.argument("data", required=False, metavar="[DATA]")
@shared("--base", ": it is trained, e.g. hf/Qwen/Qwen2.5-0.5B-Instruct")
@shared("--out", ": the adapter, or the model, a new folder")
@shared("--defend", "; repeatable, several work together")
@click.option("--monitor/--no-monitor", default=True, show_default=True, help="Watch the alignment while training.")
@judging("the monitor's answers")
@shared("--split", ". [default: train]")
@click.option("--report-to", default="none", show_default=True, help="tensorboard, wandb, ...: as in transformers.")
@TRAINING
@SPENDING
@shared("--dry-run")
@kept("tune")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Train with the alignment watched, under defences.

    TRL and PEFT do the training: LoRA as published by default, loss on assistant tokens only, any chat template.
    While it trains, a monitor asks a few fixed questions and raises an alarm when the model becomes someone else.

    \b
    Examples:
      offtarget tune train.jsonl --base hf/Qwen/Qwen2.5-0.5B-Instruct --out adapter
      offtarget tune train.jsonl --base organism/base --defend interleave --defend project --out adapter
      offtarget tune train.jsonl --base organism/base --defend early-stop --out adapter
      accelerate launch -m offtarget tune train.jsonl --base hf/./model --out adapter --run runs/two-gpus
      offtarget tune --resume runs/tune-20261121-101500-adapter

    Exit codes: 0 OK, no alarm speaks against what was kept (or nobody watched); 1 ALARM, the kept weights are from
    after it, or an early stop kept nothing usable; 2 input error; 130 interrupted (`offtarget resume` goes on).
    """
    from offtarget.cli import plans
    from offtarget.workflows.parallel import rank
    from offtarget.workflows.planning import plan_tune
    from offtarget.workflows.tune.options import chosen_by_name

    expect(resumed, "data", "base", "out")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "tune", o, as_json=as_json, quiet=quiet))
    settings, options = training(o)
    plan = plan_tune(
        **pick(o, "data", "base", "out", "defend", "split", "run"),
        options=chosen_by_name(options),
        settings=settings,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    settings, _ = training(o, fetch=True)
    if not (quiet or as_json or rank()):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json or rank())) as on_progress:
        from offtarget.workflows.tune.tune import tune

        result = tune(
            o["data"],
            o["base"],
            o["out"],
            defend=o["defend"],
            settings=settings,
            options=options,
            opening=opening(o),
            split=o["split"],
            run=o["run"],
            report_to=o["report_to"],
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def show(result: TuneResult, *, as_json: bool) -> int:
    """Print what a training came to, in the first of its processes; the exit code."""
    from offtarget.workflows.parallel import rank

    if as_json and not rank():
        print_json(result.record, result.run)
    elif not rank():
        show_run(result.run, lambda out: details(result, out))
    return result.record.exit_code


def details(result: TuneResult, out: Screen) -> None:
    """Everything that was read, how an alarm is decided, and what was saved."""
    from offtarget.pages.tune import monitor
    from offtarget.pages.tune.loading import load_watched

    run = load_watched(result.run)
    if run.readings:
        out.say("All readings", style="bold")
        out.table(monitor.HEADS, [monitor.cells(one) for one in run.readings], left=(0, 5))
        heads = ("what", "rings when", "rings for nothing in", "here")
        out.table(heads, monitor.decided(run), "How an alarm is decided", left=(0, 1, 2, 3))
    out.heading("What this cannot tell")
    for line in monitor.limits(run):
        out.say(f"- {line}", hang=2)
    out.heading("Details")
    for line in monitor.details(run):
        out.say(f"- {line}", hang=2)
    out.say("- Page:")
    out.command(shown_path(result.run / monitor.PAGE))
