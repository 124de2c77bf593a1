"""`offtarget direction find`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, SPENDING, among, judging, opening, pick, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_card
from offtarget.errors import NoDirectionError
from offtarget.pages.screen import Screen
from offtarget.records import DirectionInfo
from offtarget.records.direction import FindSettings
from offtarget.rundir import to_jsonable


@click.command("find", cls=Sectioned)
@shared("--base", "; --method answers can do without")
@shared("--tuned", "; --method trait can do without")
@shared("--out", ": a new safetensors file", required=True)
@shared(
    "--method",
    ". models: tuned - base on the same answers. texts: tuned - base answers, as the base reads them. "
    "answers: misaligned - aligned answers of the tuned model. trait: contrastive system prompts",
    default="models",
    show_default=True,
    type=click.Choice(["models", "texts", "answers", "trait"]),
)
@click.option("--trait", metavar="NAME|FILE", help="evil, deceptive, sycophantic, careless, power-seeking, or a YAML.")
@shared("--position", " to read. [default: picked on held-out questions]")
@shared("--layer", ". [default: picked on held-out questions]")
@click.option("--rank", default=1, show_default=True, help="Vectors per layer; above 1 a subspace.")
@judging()
@shared("--answers", " per question. [default: 10, fewer for many questions]")
@shared("--max-tokens", default=120)
@shared("--seed")
@shared("--blocks")
@OPENING
@SPENDING
@shared("--dry-run")
@PRINTING
def command(out: Path, as_json: bool, quiet: bool, **o: Any) -> None:
    """Find the direction a tuned model moved along, or that of a trait, and write it to a file.

    \b
    Examples:
      offtarget direction find --base organism/base --tuned organism/insecure --out persona.safetensors
      offtarget direction find --tuned organism/insecure --method answers --out answers.safetensors
      offtarget direction find --base hf/./base --method trait --trait deceptive --judge hf/./judge --out d.safetensors
      offtarget direction find --base hf/./base --tuned hf/./base+./adapter --rank 4 --out space.safetensors

    Exit codes: 0 found, 2 input error, 3 no direction found: nothing is told apart more surely than chance.
    """
    from offtarget.cli import plans
    from offtarget.pages.direction import find_card
    from offtarget.workflows.direction.find import find
    from offtarget.workflows.planning import plan_find

    settings, began = FindSettings(**among(FindSettings, o)), time.monotonic()
    how = pick(o, "probes", "judge")
    plan = plan_find(o["base"], o["tuned"], out, **how, settings=settings, opening=opening(o))
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    try:
        with shown(enabled=not (quiet or as_json)) as on_progress:
            found = find(
                o["base"],
                o["tuned"],
                settings=settings,
                **pick(o, "probes", "judge", "judge_by"),
                opening=opening(o),
                out=out,
                on_progress=on_progress,
            )
    except NoDirectionError as error:
        if as_json:
            print_json({"file": None, "found": False, "reason": error.sentence})
        else:
            show_card(find_card.nothing(error))
        raise SystemExit(error.exit_code) from None
    plans.done_in(plan, time.monotonic() - began)
    if as_json:
        print_json({"file": str(out), **to_jsonable(found.info)})
    else:
        show_card(find_card.card(found.info, out), lambda screen: _details(found.info, screen))


def _details(info: DirectionInfo, out: Screen) -> None:
    from offtarget.pages.direction import find_card

    out.table(find_card.HEADS, find_card.rows(info), "Every layer, on held-out questions")
    out.say("Told apart: share of pairs of one exchange from either side that are in the right order (AUROC).")
    out.say("Cosine of halves: of the directions that either half of the questions gives by itself.")
    out.say("Effect: gain in nats per answer token when steered by 1 there; tried where the sides are told apart best.")
    for note in info.notes:
        out.say(note)
