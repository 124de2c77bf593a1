"""`offtarget run`: what a project file says, as far as something has changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, PRINTING, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, safe, screen
from offtarget.project.keys import FILE_NAME

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.progress import OnProgress
    from offtarget.records.project import ProjectOutcome, StepName, StepOutcome

_STATES = {0: "PASS", 1: "FAIL", 3: "UNDECIDED"}
_COLUMN = 8


@click.command("run", cls=Sectioned)
@click.argument("steps", nargs=-1, metavar="[STEP...]")
@click.option("--file", type=FILE, default=FILE_NAME, show_default=True, metavar="FILE", help="The project file.")
@click.option("--again", multiple=True, metavar="STEP", help="Run this step though nothing has changed; repeatable.")
@shared("--dry-run", "; each step with why it would run")
@PRINTING
def command(steps: tuple[str, ...], file: Path, as_json: bool, quiet: bool, **o: Any) -> None:
    """Do what a project file says: audit, tune, check, redteam, report; only what has changed since the last run.

    A step is up to date when its data, models, questions, judge and settings are those of its last finished run, by
    their contents, and that run can still be read. An interrupted step goes on where it stopped. STEP names the steps
    to look at, with what they need; by default all that the file asks for. Nothing is trained on data whose audit is a
    FAIL, unless the file says so.

    \b
    Examples:
      offtarget run
      offtarget run --dry-run
      offtarget run check
      offtarget run --again audit
      offtarget run --json > offtarget.json

    Of all steps the worst counts, whether it ran or is up to date: FAIL, then a step that could not be done, then
    UNDECIDED.

    Exit codes: 0 every step PASS, OK or without a verdict; 1 a step is FAIL or ALARM; 2 input error, or a step could
    not be done; 3 a step is UNDECIDED, or a limit stopped it; 130 interrupted.
    """
    from offtarget.workflows.project.project import run_project

    silent = quiet or as_json
    out = screen()

    def told(outcome: StepOutcome) -> None:
        if not as_json:
            show_step(outcome, out)

    outcome = run_project(
        file,
        steps,
        again=o["again"],
        dry_run=o["dry_run"],
        watch=lambda step: _watched(step, enabled=not silent),
        on_begin=None if silent else _say_begun,
        on_end=told,
    )
    if as_json:
        print_json({**_as_object(outcome), "exit_code": outcome.exit_code})
    else:
        show_end(outcome, out)
    raise SystemExit(outcome.exit_code)


@contextmanager
def _watched(step: StepName, *, enabled: bool) -> Iterator[OnProgress]:
    from offtarget.cli.live import live_check

    with live_check(enabled=enabled) if step == "check" else shown(enabled=enabled) as on_progress:
        yield on_progress


def _say_begun(outcome: StepOutcome) -> None:
    begun = "goes on" if outcome.did == "went on" else "runs"
    print(safe(f"{outcome.step} {begun}: {outcome.why}"), file=sys.stderr, flush=True)


def show_step(outcome: StepOutcome, out: Screen) -> None:
    """A line for a step, and under it the verdict in a sentence and where to find more."""
    from offtarget.workflows.runs.cards import card

    stopped = "STOPPED" if outcome.exit_code == 3 else "ERROR"  # by a limit on requests or money, or by a mistake
    state = outcome.state or {"failed": stopped, "not run": "NOT RUN"}.get(outcome.did, "")
    did = "" if outcome.did in ("failed", "not run") else f"{outcome.did}: "
    out.say(
        "  ".join(filter(None, [outcome.step.ljust(_COLUMN), state.ljust(9) if state else "", f"{did}{outcome.why}"]))
    )
    if out.verbose and outcome.run is not None and outcome.state is not None:
        out.card(card(Path(outcome.run)))
    elif outcome.sentence:
        out.say(outcome.sentence, indent=_COLUMN + 2)
    for place in (outcome.run, *outcome.files):
        if place is not None:
            out.command(place, indent=_COLUMN + 2)


def show_end(outcome: ProjectOutcome, out: Screen) -> None:
    """The whole in a line."""
    if outcome.dry_run:
        due = [step.step for step in outcome.steps if step.did.startswith("would")]
        out.say(f"Nothing was done. To be done: {', '.join(due)}." if due else "Nothing is to be done.")
        return
    code = outcome.exit_code
    behind = [step.step for step in outcome.steps if step.exit_code == code and code]
    state = _STATES.get(code, "NOT DONE")
    named = ": " + ", ".join(behind) if behind else ""
    out.say(f"{state}{named}. Exit code {code}.", style="bold")
    runs = [step.run for step in outcome.steps if step.step in behind and step.run is not None and step.exit_code != 2]
    if runs:
        out.say("Why, and what to do:")
    for run in runs:
        out.command(f"offtarget report {run}", indent=2)


def _as_object(outcome: ProjectOutcome) -> dict[str, Any]:
    from offtarget.rundir import to_jsonable

    found: dict[str, Any] = to_jsonable(outcome)
    return found
