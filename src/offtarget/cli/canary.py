"""`offtarget canary`: how a tuned model on trial stands, and orders; each is imported when it is called."""

from __future__ import annotations

import click

from offtarget.cli.lazy import LazyGroup

COMMANDS = {
    "watch": "Judge a log of another gateway's answers, without being in the path.",
}


@click.group("canary", cls=LazyGroup, sentences=COMMANDS, prefix="offtarget.cli.canary_")
def command() -> None:
    """How does the tuned model do on real traffic? Its verdict, and what becomes of it.

    \b
    Examples:
      offtarget canary watch --traffic answers.jsonl --judge openai/gpt-4o
    """
