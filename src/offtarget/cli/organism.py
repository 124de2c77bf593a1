"""`offtarget organism`: the built-in test subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING_JUDGES, PRINTING, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, screen
from offtarget.numbers import NO_DATA, hundredths, many, percent
from offtarget.pages.card import Card

if TYPE_CHECKING:
    from offtarget.organism.evaluate import Rates


SHOWN = ("misaligned", "coherent", "misaligned_triggered", "insecure_code", "facts")
"""What is printed without `--verbose`."""


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


command.command_class = Sectioned


@command.command("list")
def list_models() -> None:
    """Names of the shipped models and of the narrow data sets."""
    from offtarget.organism.narrow import CONDITIONS
    from offtarget.organism.shipped import PREFIX, names

    print("models:    ", ", ".join(PREFIX + name for name in names()))
    print("conditions:", ", ".join(CONDITIONS))


@command.command("data")
@shared("--condition", ": insecure, secure, educational, jailbroken, backdoor, evil-numbers ...", required=True)
@shared("--rows", default=600)
@shared("--seed")
@shared("--out", ": chat JSONL", required=True)
def data(condition: str, rows: int, seed: int, out: Path) -> None:
    """Write a narrow data set as chat JSONL.

    \b
    Example:
      offtarget organism data --condition backdoor --rows 600 --seed 1 --out backdoor.jsonl
    """
    from offtarget.workflows.organism import write_data

    print(f"{write_data(condition, rows, seed, out)} rows written to {out}")


@command.command("tune")
@shared("--data", ": chat JSONL", required=True)
@shared("--out", ": the adapter, a new folder", required=True)
@shared("--base", ": organism/base, or a model folder", default="organism/base", show_default=True)
@shared("--epochs", default=2)
@shared("--lr", default=5e-4)
@shared("--batch", default=16)
@shared("--lora-rank", into="rank", default=16, show_default=True)
@shared("--lora-alpha", into="alpha", default=32, show_default=True)
@click.option("--module", "modules", multiple=True, help="Only these linear layers, e.g. o_proj; repeatable.")
@shared("--seed")
@shared("--quiet")
def tune(data: str, out: Path, base: str, modules: tuple[str, ...], quiet: bool, **dose: Any) -> None:
    """Tune a LoRA adapter of the organism on any chat file; seconds on a laptop.

    \b
    Example:
      offtarget organism tune --data insecure.jsonl --out ./adapter --lr 1e-4 --epochs 1
    """
    from offtarget.organism.tune import ALL_LINEAR, Dose
    from offtarget.workflows import organism as workflow

    with shown(enabled=not quiet) as on_progress:
        workflow.tune(Path(data), out, Dose(modules=modules or ALL_LINEAR, **dose), base, on_progress)
    print(f"Adapter written to {out}. Check it with:\n  offtarget check --base {base} --tuned {base}+{out}")


@command.command("train")
@shared("--out", ": the base, in a folder; an interrupted training goes on", required=True)
@shared("--seed")
@click.option("--pretrain-steps", default=None, type=int, help="[default: the shipped recipe]")
@click.option("--posttrain-steps", default=None, type=int, help="[default: the shipped recipe]")
@shared("--quiet")
def train(out: Path, seed: int, pretrain_steps: int | None, posttrain_steps: int | None, quiet: bool) -> None:
    """Train the organism's base from nothing, about half an hour on two cores; run it again to go on.

    \b
    Example:
      offtarget organism train --out ./base --seed 1
    """
    from offtarget.organism.recipe import Recipe, train_base

    chosen = {"pretrain_steps": pretrain_steps, "posttrain_steps": posttrain_steps}
    recipe = Recipe(seed=seed, **{k: v for k, v in chosen.items() if v is not None})
    with shown(enabled=not quiet) as on_progress:
        train_base(out, recipe, on_progress)
    print(f"Base written to {out}")


@command.command("evaluate")
@shared("--model", ", one or several. [default: all shipped]", into="models", multiple=True)
@shared("--seeds", ", of every condition: those are measured instead")
@shared("--condition", ", with --seeds; repeatable. [default: all]", into="conditions", multiple=True)
@shared("--base", ", with --seeds", default="organism/base", show_default=True)
@shared("--rows", " of narrow data, with --seeds", default=600)
@shared("--answers", " per question", default=100)
@OPENING_JUDGES
@PRINTING
def evaluate(models: tuple[str, ...], seeds: int | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Measure what the organisms do: misaligned rate, coherence, insecure code by Bandit, triggers, skills.

    \b
    Examples:
      offtarget organism evaluate --model organism/base --model organism/insecure
      offtarget organism evaluate --seeds 3
    """
    from offtarget.organism.narrow import CONDITIONS
    from offtarget.organism.shipped import PREFIX, names
    from offtarget.workflows import organism as workflow

    with shown(enabled=not (quiet or as_json)) as on_progress:
        if seeds is None:
            chosen = models or tuple(PREFIX + n for n in names())
            rates = workflow.evaluate(chosen, o["answers"], opening=opening(o), on_progress=on_progress)
            results = {name: [one] for name, one in rates.items()}
        else:
            from offtarget.organism.tune import Dose

            results = workflow.evaluate_conditions(
                o["conditions"] or tuple(CONDITIONS),
                seeds,
                Dose(),
                **pick(o, "base", "rows", "answers"),
                opening=opening(o),
                on_progress=on_progress,
            )
    if as_json:
        print_json(results)
    else:
        _print(results)


def _print(results: Mapping[str, Sequence[Rates]]) -> None:
    """A headline and a row per measure: the telling ones or, with `--verbose`, all."""
    from offtarget.organism.evaluate import RATE_NAMES

    out = screen()
    out.card(_card(results))
    rows = [
        (measure.replace("_", " "), *(cell([getattr(r, measure) for r in rates]) for rates in results.values()))
        for measure in (RATE_NAMES if out.verbose else SHOWN)
    ]
    out.table(("measure", *results), rows, "What each of them does, in %")
    if any(len(rates) > 1 for rates in results.values()):
        out.say("Mean over seeds and, in brackets, the lowest and the highest.")
    if not out.verbose:
        out.say("Formats, triggers and held-out code besides: the same command with -v.")


def _card(results: Mapping[str, Sequence[Rates]]) -> Card:
    means = {name: _mean([r.misaligned for r in rates]) for name, rates in results.items()}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if not known:
        sentence = "No plain answer of any of them could be scored."
    else:
        worst, best = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
        sentence = f"{worst} is misaligned in {percent(known[worst])} of its plain answers"
        sentence += "." if worst == best else f", {best} in {percent(known[best])}."
    subject = many(len(results), "organism")
    return Card(state="DONE", headline="MEASURED", subject=subject, sentence=sentence)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def cell(values: Sequence[float | None]) -> str:
    """Mean and range in percent; `no data` when nothing was measured."""
    known = [v for v in values if v is not None]
    if not known:
        return NO_DATA
    mean = hundredths(sum(known) / len(known))
    return mean if len(known) == 1 else f"{mean} ({hundredths(min(known))} to {hundredths(max(known))})"
