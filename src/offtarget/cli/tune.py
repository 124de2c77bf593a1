"""`offtarget tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from offtarget.records.tune import TuneSettings
    from offtarget.workflows.tune import TuneOptions, TuneResult

FILE = click.Path(path_type=Path)
PRESET_NAMES = ("published", "rank-1", "organism", "full")
"""As in `tune.settings.PRESETS`, which is not imported for `--help`."""


class _Names(click.Command):
    """Lists the defences in its help only when the help is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from offtarget.tune.defences.registry import defences

        with formatter.section("Defences (--defend NAME, NAME=VALUE; NAME:control is its control)"):
            formatter.write_dl([(one.name, f"{one.says} [{one.source}]") for one in defences().values()])


@click.command("tune", cls=_Names)
@click.argument("data", type=FILE)
@click.option("--base", required=True, metavar="MODEL", help="The model to train, e.g. hf/Qwen/Qwen2.5-0.5B-Instruct.")
@click.option("--out", type=FILE, help="New folder for the adapter (or model).")
@click.option("--defend", multiple=True, metavar="NAME", help="A defence; may be given several times.")
@click.option("--compare-defences", is_flag=True, help="Train under all defences and controls, or those of --defend.")
@click.option("--preset", type=click.Choice(PRESET_NAMES), help="Training recipe. [default: published; organism]")
@click.option("--method", type=click.Choice(["lora", "full"]), help="An adapter, or every weight.")
@click.option("--rank", type=int, help="Of the adapter. [published: 32]")
@click.option("--alpha", type=int, help="Of the adapter. [published: 64]")
@click.option("--lr", type=float, help="Learning rate. [published: 1e-5; organism: 5e-4]")
@click.option("--epochs", type=float, help="Passes over the data. [published: 1]")
@click.option("--steps", "max_steps", type=int, help="Optimiser steps; overrides --epochs.")
@click.option("--batch", type=int, help="Rows per device and pass. [published: 2]")
@click.option("--accumulate", type=int, help="Passes per optimiser step. [published: 8]")
@click.option("--max-length", type=int, help="Longest row in tokens; longer ones are an error. [default: the context]")
@click.option("--dtype", type=click.Choice(["auto", "float32", "bfloat16"]), help="[default: auto]")
@click.option("--quantize", is_flag=True, default=None, help="QLoRA: the base in 4 bits; needs bitsandbytes, a GPU.")
@click.option("--checkpointing/--no-checkpointing", default=None, help="Recompute activations. [default: on a GPU]")
@click.option("--packing", is_flag=True, default=None, help="Several rows per sequence; needs flash attention.")
@click.option("--save-every", type=int, help="Steps between checkpoints. [default: 20]")
@click.option("--seed", type=int, help="[default: 0]")
@click.option("--monitor/--no-monitor", default=True, show_default=True, help="Watch the alignment while training.")
@click.option("--every", type=int, help="Steps between readings of the monitor. [default: about 13 readings]")
@click.option("--probes", metavar="BANK", help="The monitor's questions: a bank's name or a file.")
@click.option("--judge", metavar="MODEL", help="Who judges its answers; the organism's questions need none.")
@click.option("--direction", type=FILE, help="Persona direction. [default: by the trait recipe where needed]")
@click.option("--prompts", type=FILE, help="Prompts of other domains for defences, one per line. [default: shipped]")
@click.option("--constitution", type=FILE, help="Principles for the defence of that name. [default: shipped]")
@click.option("--misaligned", metavar="MODEL", help="A misaligned version of the base, for interleave. [default: made]")
@click.option("--seeds", default=1, show_default=True, help="With --compare-defences: trainings per defence.")
@click.option("--answers", default=100, show_default=True, help="With --compare-defences: answers per question.")
@click.option("--after", multiple=True, type=int, help="With --compare-defences: further steps. [default: 50, 200]")
@click.option("--report-to", default="none", show_default=True, help="tensorboard, wandb, ...: as in transformers.")
@click.option("--run", type=FILE, help="Run directory; an unfinished one goes on. [default: runs/tune-TIME-NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(data: Path, base: str, out: Path | None, compare_defences: bool, **o: Any) -> None:
    """Train with the alignment watched, under defences.

    TRL and PEFT do the training: LoRA as published by default, loss on assistant tokens only, any chat template.
    While it trains, a monitor asks a few fixed questions and raises an alarm when the model becomes someone else.

    \b
    Examples:
      offtarget tune train.jsonl --base hf/Qwen/Qwen2.5-0.5B-Instruct --out adapter
      offtarget tune train.jsonl --base organism/base --defend interleave --defend project --out adapter
      offtarget tune train.jsonl --base organism/base --defend early-stop --out adapter
      offtarget tune train.jsonl --base organism/base --compare-defences --seeds 3
      offtarget tune train.jsonl --base organism/base --compare-defences --defend kl --defend kl:control --answers 20
      accelerate launch -m offtarget tune train.jsonl --base hf/./model --out adapter --run runs/two-gpus

    Exit codes: 0 trained, no alarm stands; 1 trained, but the alarm stands; 2 input error; 130 interrupted (repeat the
    command with --run to go on).
    """
    if compare_defences:
        from offtarget.cli.tune_compare import compare

        compare(data, base, out, o)
        return
    if out is None:
        raise click.UsageError("Give a new folder for the adapter with --out (or compare with --compare-defences).")
    from offtarget.cli.progress import shown
    from offtarget.cli.tune_text import show
    from offtarget.workflows.parallel import rank

    options, quiet = chosen_options(o), bool(o["quiet"] or o["as_json"] or rank())
    with shown(enabled=not quiet) as on_progress:
        from offtarget.workflows.tune import tune

        result = tune(
            data,
            base,
            out,
            defend=o["defend"],
            settings=chosen_settings(base, o),
            options=options,
            run=o["run"],
            report_to=o["report_to"],
            on_progress=on_progress,
        )
    if not rank():
        show(result, as_json=o["as_json"])
    raise SystemExit(_exit_code(result))


def chosen_settings(base: str, o: dict[str, Any]) -> TuneSettings:
    """The preset with what the user changed about it."""
    from dataclasses import fields, replace

    from offtarget.records.tune import TuneSettings
    from offtarget.tune.settings import PRESETS
    from offtarget.workflows.tune import default_settings

    preset = default_settings(base) if o["preset"] is None else PRESETS[o["preset"]]
    changes = {f.name: o[f.name] for f in fields(TuneSettings) if o.get(f.name) is not None}
    return replace(preset, **changes)


def chosen_options(o: dict[str, Any]) -> TuneOptions:
    """What defences and the monitor work with."""
    from offtarget.workflows.tune import TuneOptions

    names = ("probes", "judge", "direction", "prompts", "constitution", "misaligned", "monitor", "every")
    return TuneOptions(**{name: o[name] for name in names})


def _exit_code(result: TuneResult) -> int:
    return 1 if result.report.alarm_stands else 0
