"""`offtarget judge confirm`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.judge_label import about
from offtarget.cli.options import PAGE, review_page, shared
from offtarget.cli.render import print_json, screen
from offtarget.numbers import of
from offtarget.pages.text import sentence


@click.command("confirm", cls=Sectioned)
@click.argument("run", shell_complete=completing.runs)
@shared("--reviewers", default=1, show_default=True)
@shared("--seed")
@PAGE
@shared("--json", into="as_json")
def command(run: str, reviewers: int, seed: int, as_json: bool, **o: Any) -> None:
    """People read the answers behind an alarm of `tune`: does it stand without the judge's word?

    They see what the judge flagged up to the alarm and as many answers that it did not, and are not told which is
    which. An answer counts only where judge and people call it misaligned; the evidence is weighed again.

    \b
    Examples:
      offtarget judge confirm last
      offtarget judge confirm runs/tune-20261121-101500-adapter --reviewers 2

    Exit codes: 1 the alarm stands, 2 input error, 3 it does not stand on people's word, or that cannot be said; 130
    interrupted.
    """
    from offtarget.workflows.people.alarm import confirm_alarm
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.verbs import TUNE

    reading = confirm_alarm(run, seed=seed, reviewers=reviewers, page=review_page(o))
    code = 1 if reading.word == "confirmed" else 3
    if as_json:
        print_json(reading, find_run(run, verb=TUNE))
        raise SystemExit(code)
    out = screen()
    out.say(f"The alarm at step {reading.step} ({reading.kind}): {reading.word}. {sentence(reading.reason)}")
    if reading.others:
        out.say(f"Of answers that the judge had not flagged, {of(reading.missed, reading.others)} are misaligned.")
    for line in about(reading.quality):
        out.say(line)
    raise SystemExit(code)
