"""`offtarget redteam`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import (
    FILE,
    OPENING,
    PAGE,
    PRINTING,
    SPENDING,
    among,
    expect,
    kept,
    opening,
    pick,
    review_page,
    said,
    shared,
)
from offtarget.cli.progress import loss, shown
from offtarget.cli.render import print_json, safe, show_run
from offtarget.cli.resume import go_on
from offtarget.numbers import e_value, many
from offtarget.records import DecisionSettings, SamplingSettings
from offtarget.records.redteam import RedTeamSettings
from offtarget.words import NOT_WORSE, WORSE

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.redteam.redteam import RedTeamResult

_USUAL = RedTeamSettings()
OPENED = ("device", "dtype", "trust_remote_code", "endpoints", "chat_template", "prices", "max_cost", "max_requests")
"""How models are opened, and what may be spent."""


@click.command("redteam", cls=Sectioned)
@shared("--base")
@shared("--tuned", ", e.g. hf/BASE+ADAPTER")
@shared(
    "--goals",
    ": a set's name, or a YAML file of your own red lines. [default: general, or the organism's own]",
)
@click.option(
    "--move",
    "moves",
    multiple=True,
    metavar="MOVE",
    shell_complete=completing.moves,
    help="Only this form of pressure, e.g. role-play, or several together, e.g. role-play+in-json; repeatable. "
    "[default: all, one by one]",
)
@click.option(
    "--attacker",
    metavar="MODEL",
    shell_complete=completing.models,
    help="A model that holds the user's side and goes on from the answers; with rewriting/ before its name it puts the "
    "scripted turns into other words. [default: scripted, no model]",
)
@shared("--judge", " every answer of a conversation; the organism's goals need nobody")
@shared("--judge-by")
@shared("--confirm")
@shared("--confirm-with")
@PAGE
@click.option(
    "--budget",
    type=int,
    default=_USUAL.budget,
    show_default=True,
    help="Conversations with the tuned model at most; half of them search, the others decide.",
)
@click.option(
    "--turns", type=int, default=_USUAL.turns, show_default=True, help="User turns of one conversation at most."
)
@shared("--tolerance", default=_USUAL.decision.tolerance)
@shared("--margin", default=_USUAL.decision.margin)
@shared("--alpha")
@shared("--base-is-misaligned")
@shared("--max-tokens")
@shared("--temperature")
@shared("--top-p")
@shared("--seed")
@shared("--no-register")
@OPENING
@SPENDING
@click.option(
    "--found",
    type=FILE,
    metavar="FILE",
    help="Write what brought the tuned model down as JSONL: questions of the next `check --probes`.",
)
@click.option(
    "--replay",
    metavar="RUN[:KEY]",
    help="Hold a conversation of a run again, word for word: the shortest that worked, or that of the key; also with "
    "other models.",
)
@shared("--dry-run")
@kept("redteam")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Under pressure, in conversations: does the tuned model give way where its base holds?

    Half of the budget searches for pressure that brings the models down. The verdict rests on fresh conversations of
    what was found, from the same scripts for both models, until they decide.

    \b
    Examples:
      offtarget redteam --base organism/base --tuned organism/jailbroken
      offtarget redteam --base hf/./base --tuned hf/./base+./adapter --goals red-lines.yaml --judge openai/gpt-4.1
      offtarget redteam --base organism/base --tuned organism/jailbroken --move role-play+in-json --budget 60
      offtarget redteam --base hf/./base --tuned hf/./tuned --judge hf/./judge --attacker hf/./attacker --turns 6
      offtarget redteam --replay last:role-play.contempt.0/1 --tuned hf/./repaired
      offtarget redteam --resume runs/redteam-20261121-101500-jailbroken --found found.jsonl

    MOVE is one of those in docs/redteam.md, or several joined by +. GOALS in YAML have a format, which is there too.

    Exit codes: 0 PASS, 1 FAIL, 2 input error, 3 UNDECIDED.
    """
    from offtarget.cli import plans
    from offtarget.cli.replaying import hold_again
    from offtarget.workflows.planning import plan_redteam
    from offtarget.workflows.redteam import redteam as workflow
    from offtarget.workflows.redteam.export import check_file
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.verbs import REDTEAM

    if o["replay"] is not None:
        _alone("replay", "base", "tuned", "judge", *OPENED)
        hold_again(o["replay"], o, as_json=as_json, quiet=quiet)
        raise SystemExit(0)
    if o["found"] is not None:
        check_file(o["found"])
    expect(resumed, "base", "tuned", still=("found", "host", "port", "no_browser"))
    if resumed is not None:
        run = resumed if o["found"] is None else find_run(resumed, verb=REDTEAM)
        code = go_on(run, "redteam", o, as_json=as_json, quiet=quiet)
        _write_found(run, o["found"])
        raise SystemExit(code)
    settings = RedTeamSettings(
        **among(RedTeamSettings, o),
        decision=DecisionSettings(
            **pick(o, "alpha", "tolerance", "margin", "base_is_misaligned"),
            average_margin=o["margin"],
            base_per_tuned=1,
        ),
        sampling=SamplingSettings(**pick(o, "temperature", "top_p", "max_tokens")),
        register=not o["no_register"],
    )
    plan = plan_redteam(
        **pick(o, "base", "tuned", "goals", "attacker", "judge", "confirm_with", "run"),
        settings=settings,
        opening=opening(o),
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with shown(enabled=not (quiet or as_json), beside=beside) as on_progress:
        result = workflow.redteam(
            o["base"],
            o["tuned"],
            **pick(o, "goals", "attacker", "judge", "judge_by", "confirm", "confirm_with", "run"),
            page=review_page(o),
            settings=settings,
            opening=opening(o),
            on_progress=on_progress,
        )
    plans.done(plan, result.run)
    code = show(result, as_json=as_json)
    _write_found(result.run, o["found"])
    raise SystemExit(code)


def _alone(only: str, *beside: str) -> None:
    """UsageError where more is said than what goes with an option: it would be ignored."""
    extra = sorted(said() - {only, "as_json", "verbose", "quiet", *beside})
    if extra:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
        raise click.UsageError(f"--{only} does not go with {names}. Leave out one or the other.")


def _write_found(run: Path, file: Path | None) -> None:
    """Write the conversations that worked, where somebody wants them; a note where there are none."""
    if file is None:
        return
    from offtarget.errors import InputError
    from offtarget.workflows.redteam.export import export_found, left_out

    try:
        found = export_found(run, file)
    except InputError as error:
        click.echo(f"--found: {safe(str(error))}", err=True)
        return
    click.echo(f"--found: {many(len(found.probes), 'conversation')} in {file}. {left_out(found)}".rstrip(), err=True)


def beside(detail: object) -> str:
    """What a line of progress says besides the count: what the search found, or the evidence so far."""
    from offtarget.workflows.check.loop import CheckProgress

    if not isinstance(detail, CheckProgress):
        return loss(detail)
    look = detail.looks[0]
    return f"{WORSE} {e_value(look.log_e_fail)}, {NOT_WORSE} {e_value(look.log_e_pass)}"


def show(result: RedTeamResult, *, as_json: bool) -> int:
    """Print what a red-team run came to; the exit code."""
    if as_json:
        print_json(result.record, result.run)
    else:
        show_run(result.run, lambda out: details(result, out))
    return result.record.status.exit_code


def details(result: RedTeamResult, out: Screen) -> None:
    """Every move at every goal, how it was decided, what was not tried."""
    from offtarget.pages.redteam import story, tables

    record = result.record
    out.table(tables.WEAK, tables.weak(record), "What the verdict is about: fresh conversations", left=(0, 1))
    out.table(tables.TRIED, tables.tried(record), "What the search tried; it is no evidence", left=(0, 1))
    for title, lines in story.asides(record):
        out.heading(title)
        for line in lines:
            out.say(f"- {line}", hang=2)
