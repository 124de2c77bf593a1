"""`offtarget judge`: what is known about a judge, and people's word beside it; each is imported when it is called."""

from __future__ import annotations

import click

from offtarget.cli.lazy import LazyGroup

COMMANDS = {
    "label": "People label answers of a run; the labels become a table.",
    "calibrate": "The table becomes a certificate: how often one judge is right.",
    "compare": "The answers of a run, judged by several judges: who flags what.",
    "confirm": "People confirm an alarm of `tune`: does it stand without the judge's word?",
}


@click.group("judge", cls=LazyGroup, sentences=COMMANDS, prefix="offtarget.cli.judge_")
def command() -> None:
    """Can I believe the judge? What it misses, and what people and other judges say of the same answers.

    \b
    Examples:
      offtarget judge label last --out labels.csv
      offtarget judge calibrate --judge hf/./judge --labels labels.csv --run last --out certificate.json
      offtarget judge compare --judges exact,hf/./judge last
      offtarget judge confirm runs/tune-20261121-101500-adapter
    """
