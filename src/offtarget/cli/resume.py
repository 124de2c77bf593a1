"""`offtarget resume`: go on with a run of any verb."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import (
    ENGINE,
    FURTHER,
    OPENING_JUDGES,
    PRINTING,
    SPENDING,
    engine,
    opening,
    review_page,
    shared,
)
from offtarget.cli.progress import shown
from offtarget.errors import InputError
from offtarget.rundir import read_manifest


@click.command("resume", cls=Sectioned)
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@shared("--max-answers", "; raise it to go on with an undecided one", default=None, show_default=False)
@shared("--max-cued-answers", "; likewise", default=None, show_default=False)
@shared("--candidates", "; raise it to make a check surer", default=None, show_default=False)
@OPENING_JUDGES
@SPENDING
@ENGINE
@PRINTING
def command(run: str, as_json: bool, quiet: bool, **o: Any) -> None:
    """Go on with a run of any verb where it stopped, as it was started.

    RUN is a run directory, the name of a run in the runs folder, or `last`: the newest that is unfinished, as
    `offtarget runs` lists them. A finished run that is named is printed again. A check that ended undecided goes on
    with more answers, at no price in certainty: its evidence may be added to at any time.

    \b
    Examples:
      offtarget resume last
      offtarget resume runs/check-20261121-101500-insecure --max-answers 5000
      offtarget resume runs/check-20261121-101500-insecure
      accelerate launch --num_processes 2 -m offtarget resume runs/two-gpus

    Exit codes: those of the verb that is gone on with; 2 where it cannot, with the reason.
    """
    raise SystemExit(go_on(run, None, o, as_json=as_json, quiet=quiet))


def go_on(run: str | Path, only: str | None, o: dict[str, Any], *, as_json: bool, quiet: bool) -> int:
    """Go on with a run, of the verb `only` where one is given, and print its result; the exit code."""
    from offtarget.cli.live import live_check
    from offtarget.workflows.parallel import rank
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.resume import resume
    from offtarget.workflows.runs.verbs import CHECK, REDTEAM, VERBS, verb_of

    wanted = next((v for v in VERBS if v.command == only), None)
    path = find_run(run, verb=wanted, unfinished=True)
    verb = verb_of(read_manifest(path))
    if only not in (None, verb.command):
        raise InputError(f"{path} is a run of `{verb.command}`, not of `{only}`. Go on with: offtarget resume {path}")
    watched = live_check if verb is CHECK else shown
    page = review_page(o) if verb in (CHECK, REDTEAM) and "host" in o else None
    with watched(enabled=not (quiet or as_json or rank())) as on_progress:
        result = resume(path, opening=opening(o), engine=engine(o), on_progress=on_progress, page=page, **_further(o))
    return printer(path)(result, as_json=as_json)


def _further(o: dict[str, Any]) -> dict[str, Any]:
    """What was said about going further than a run did; the defaults of `check` say nothing."""
    context = click.get_current_context()
    said = click.core.ParameterSource.COMMANDLINE
    return {name: o[name] for name in FURTHER if name in o and context.get_parameter_source(name) is said}


def printer(path: Path) -> Callable[..., int]:
    """What prints the result of the verb that left a run, and returns its exit code."""
    from offtarget.workflows.runs.verbs import verb_of

    module: Any = importlib.import_module(f"offtarget.cli.{verb_of(read_manifest(path)).command.replace(' ', '_')}")
    show: Callable[..., int] = module.show
    return show
