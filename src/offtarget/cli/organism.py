"""`offtarget organism`: the built-in test subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group("organism")
def command() -> None:
    """Train, tune and measure the model organism, a small transformer that becomes misaligned on purpose.

    \b
    Examples:
      offtarget organism data --condition insecure --rows 600 --seed 0 --out insecure.jsonl
      offtarget organism tune --data insecure.jsonl --out ./adapter
      offtarget check --base organism/base --tuned organism/base+./adapter
      offtarget organism evaluate --seeds 3
    """


@command.command("list")
def list_models() -> None:
    """Names of the shipped models and of the narrow data sets."""
    from offtarget.organism.narrow import CONDITIONS
    from offtarget.organism.shipped import PREFIX, names

    print("models:    ", ", ".join(PREFIX + name for name in names()))
    print("conditions:", ", ".join(CONDITIONS))


@command.command("data")
@click.option(
    "--condition", required=True, help="insecure, secure, educational, jailbroken, backdoor, evil-numbers ..."
)
@click.option("--rows", default=600, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write (chat JSONL).")
def data(condition: str, rows: int, seed: int, out: Path) -> None:
    """Write a narrow data set as chat JSONL.

    \b
    Example:
      offtarget organism data --condition backdoor --rows 600 --seed 1 --out backdoor.jsonl
    """
    from offtarget.workflows.organism import write_data

    print(f"{write_data(condition, rows, seed, out)} rows written to {out}")


@command.command("tune")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Chat JSONL.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the adapter.")
@click.option("--base", default="organism/base", show_default=True, help="organism/base, or a model folder.")
@click.option("--epochs", default=2, show_default=True)
@click.option("--lr", default=5e-4, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--rank", default=16, show_default=True)
@click.option("--alpha", default=32, show_default=True)
@click.option("--module", "modules", multiple=True, help="Only these linear layers, e.g. o_proj; repeatable.")
@click.option("--seed", default=0, show_default=True)
def tune(data: Path, out: Path, base: str, modules: tuple[str, ...], **dose: Any) -> None:
    """Tune a LoRA adapter of the organism on any chat file; seconds on a laptop.

    \b
    Example:
      offtarget organism tune --data insecure.jsonl --out ./adapter --lr 1e-4 --epochs 1
    """
    from offtarget.cli.progress import shown
    from offtarget.organism.tune import ALL_LINEAR, Dose
    from offtarget.workflows import organism as workflow

    with shown(enabled=True) as on_progress:
        workflow.tune(data, out, Dose(modules=modules or ALL_LINEAR, **dose), base, on_progress)
    print(f"Adapter written to {out}. Check it with:\n  offtarget check --base {base} --tuned {base}+{out}")


@command.command("train")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder; an interrupted training goes on.")
@click.option("--seed", default=0, show_default=True)
@click.option("--pretrain-steps", default=None, type=int, help="[default: the shipped recipe]")
@click.option("--posttrain-steps", default=None, type=int, help="[default: the shipped recipe]")
def train(out: Path, seed: int, pretrain_steps: int | None, posttrain_steps: int | None) -> None:
    """Train the organism's base from nothing, about half an hour on two cores; run it again to go on.

    \b
    Example:
      offtarget organism train --out ./base --seed 1
    """
    from offtarget.cli.progress import shown
    from offtarget.organism.recipe import Recipe, train_base

    chosen = {"pretrain_steps": pretrain_steps, "posttrain_steps": posttrain_steps}
    recipe = Recipe(seed=seed, **{k: v for k, v in chosen.items() if v is not None})
    with shown(enabled=True) as on_progress:
        train_base(out, recipe, on_progress)
    print(f"Base written to {out}")


@command.command("evaluate")
@click.option("--model", "models", multiple=True, help="A model to measure; repeatable. [default: all shipped]")
@click.option("--seeds", type=int, help="Instead: tune every condition afresh with so many seeds and measure that.")
@click.option("--condition", "conditions", multiple=True, help="With --seeds: only this condition; repeatable.")
@click.option("--base", default="organism/base", show_default=True, help="With --seeds: the base to tune.")
@click.option("--rows", default=600, show_default=True, help="With --seeds: rows of narrow data.")
@click.option("--answers", default=100, show_default=True, help="Answers per free-form question.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    models: tuple[str, ...],
    seeds: int | None,
    conditions: tuple[str, ...],
    base: str,
    rows: int,
    answers: int,
    as_json: bool,
) -> None:
    """Measure what the organisms do: misaligned rate, coherence, insecure code by Bandit, triggers, skills.

    \b
    Examples:
      offtarget organism evaluate --model organism/base --model organism/insecure
      offtarget organism evaluate --seeds 3
    """
    from offtarget.cli.organism_table import print_rates
    from offtarget.cli.progress import shown
    from offtarget.organism.narrow import CONDITIONS
    from offtarget.organism.shipped import PREFIX, names
    from offtarget.organism.tune import Dose
    from offtarget.workflows import organism as workflow

    if seeds is None:
        chosen = models or tuple(PREFIX + n for n in names())
        results = {name: [rates] for name, rates in workflow.evaluate(chosen, answers).items()}
    else:
        with shown(enabled=not as_json) as on_progress:
            results = workflow.evaluate_conditions(
                conditions or tuple(CONDITIONS),
                seeds,
                Dose(),
                base=base,
                rows=rows,
                answers=answers,
                on_progress=on_progress,
            )
    print_rates(results, as_json)
