"""`offtarget direction explain`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_card
from offtarget.errors import EvidenceError
from offtarget.pages.card import Exchange, Side
from offtarget.pages.screen import Screen
from offtarget.records.direction import Explanation


@click.command("explain", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]", shell_complete=completing.runs)
@shared("--direction", ". [default: found by the trait recipe]")
@shared("--data", ", as for audit: its rows are read too")
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--seed")
@OPENING
@PRINTING
def command(run: str, as_json: bool, quiet: bool, **o: Any) -> None:
    """Explain a finished check: where the direction sits, how far the tuned model moved, what loads on it.

    RUN is a run directory, its name, or `last`. The explanation is kept there and joins its HTML report.

    \b
    Examples:
      offtarget direction explain last
      offtarget direction explain last --direction persona.safetensors --data train.jsonl
      offtarget report last --html

    Exit codes: 0 explained, 2 input error, 3 no direction found.
    """
    from offtarget.pages.direction import explain_card
    from offtarget.workflows.direction.explain import explain
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.verbs import CHECK

    with shown(enabled=not (quiet or as_json)) as on_progress:
        found = explain(
            run,
            o["direction"],
            o["data"],
            form=o["form"],
            split=o["split"],
            seed=o["seed"],
            opening=opening(o),
            on_progress=on_progress,
        )
    if as_json:
        print_json(found)
    else:
        show_card(explain_card.card(found, find_run(run, verb=CHECK)), lambda screen: _details(found, screen))
    raise SystemExit(EvidenceError.exit_code if found.layer is None else 0)


def _details(found: Explanation, out: Screen) -> None:
    from offtarget.pages.direction import explain_card

    out.table(explain_card.HEADS, explain_card.rows(found), "Layer by layer")
    out.say("Told apart: share of pairs, a misaligned and an aligned answer of the run, in the right order (AUROC).")
    out.say("Moved: tuned minus base on the same exchanges, in differences of means: what steering by 1 adds.")
    if found.rows:
        out.heading("Training rows that push most")
        for row in found.rows:
            sides = (Side(row.row.row_id, row.answer),)
            out.exchange(Exchange(row.prompt, sides, f"difference {row.row.difference:+.3f}"))
