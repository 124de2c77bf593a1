"""`offtarget canary`: how a tuned model on trial stands, and orders; each is imported when it is called."""

from __future__ import annotations

import click

from offtarget.cli.lazy import LazyGroup

COMMANDS = {
    "status": "How it stands: share, judged answers, evidence, what to do.",
    "dashboard": "The same in a browser, as it changes, with the orders.",
    "promote": "Raise its share of conversations.",
    "pause": "Stop the ramp; the share stays.",
    "rollback": "Send all traffic to the base at once: the kill switch.",
    "resume": "Go on with the ramp, or begin again after a rollback.",
    "evidence": "Fetch what was judged, how it was decided, what was flagged.",
    "confirm": "People read what the judge flagged.",
    "events": "What happened, who did it, and why.",
    "watch": "Judge a log of another gateway's answers, without being in the path.",
}


@click.group("canary", cls=LazyGroup, sentences=COMMANDS, prefix="offtarget.cli.canary_")
def command() -> None:
    """How does the tuned model do on real traffic? Its verdict, and what becomes of it.

    The gateway is the one that `offtarget serve` runs on this machine, or that of --admin.

    \b
    Examples:
      offtarget canary status
      offtarget canary promote 10% --reason "a week without flags"
      offtarget canary rollback --reason "rude answers in the logs"
      offtarget canary watch --traffic answers.jsonl --judge openai/gpt-4o
    """
