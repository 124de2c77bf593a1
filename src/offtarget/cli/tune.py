"""`offtarget tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.options import PRINTING, TRAINING, DefencesListed, expect, judging, kept, opening, shared, training
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, safe, shown_path
from offtarget.cli.resume import go_on
from offtarget.records.tune import TuneReport

if TYPE_CHECKING:
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

    Exit codes: 0 trained, no alarm stands; 1 trained, but the alarm stands; 2 input error; 130 interrupted (`offtarget
    resume` goes on).
    """
    from offtarget.workflows.parallel import rank

    expect(resumed, "data", "base", "out")
    if resumed is not None:
        raise SystemExit(go_on(resumed, "tune", o, as_json=as_json, quiet=quiet))
    with shown(enabled=not (quiet or as_json or rank())) as on_progress:
        from offtarget.workflows.tune.tune import tune

        settings, options = training(o)
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
    raise SystemExit(show(result, as_json=as_json))


def show(result: TuneResult, *, as_json: bool) -> int:
    """Print the report of a training, in the first of its processes; the exit code."""
    from offtarget.workflows.parallel import rank

    if as_json and not rank():
        print_json(result.record, result.run)
    elif not rank():
        print("\n".join(safe(line) for line in story(result)))
    return result.record.exit_code


def story(result: TuneResult) -> list[str]:
    """The report in lines."""
    from offtarget.workflows.ground import ground_of

    report = result.record
    under = f" under {' + '.join(report.defences)}" if report.defences else ""
    loss = "" if report.loss is None else f", last loss {report.loss:.3f}"
    lines = [f"Trained {report.rows} rows{under}: {report.steps} of {report.planned} steps{loss}."]
    if report.kept_step != report.steps:
        lines.append(f"Kept: the checkpoint of step {report.kept_step}.")
    lines.append(_alarm(report))
    if report.alarm_step is not None and (result.run / "watched.jsonl").is_file():
        lines.append(f"Is it right? People read what is behind it: offtarget judge confirm {shown_path(result.run)}")
    lines += [f"Checked: {check}" for check in report.checks]
    lines += [f"Note: {note}" for note in report.notes]
    lines.append(f"Saved: {report.out}   Run: {result.run}")
    if (page := result.run / "monitor.html").is_file():
        lines.append(f"Page: {page}")
    base, name, data = (shlex.quote(text) for text in (report.base, report.name, report.data))
    split = "" if report.split is None else f" --split {shlex.quote(report.split)}"
    judge = "" if ground_of(report.base).organism else " --judge MODEL"  # a check of other models needs one
    lines.append(f"Next: offtarget check --base {base} --tuned {name} --data {data}{split}{judge}")
    return lines


def _alarm(report: TuneReport) -> str:
    if not report.monitored:
        return "Not monitored."
    if report.alarm_step is None:
        return "The monitor raised no alarm. That is no clearance: run the check below."
    if not report.alarm_stands:
        learnt = "" if report.best_step is not None else ", when the task was not learnt yet"
        return (
            f"ALARM at step {report.alarm_step}; the weights kept (step {report.kept_step}) are from before it{learnt}."
        )
    best = (
        "no checkpoint had learnt the task before it"
        if report.best_step is None
        else (f"the best checkpoint before it is step {report.best_step} (keep it with --defend early-stop)")
    )
    return f"ALARM at step {report.alarm_step}: the model is becoming misaligned; {best}."
