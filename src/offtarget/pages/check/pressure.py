"""What the page of a check shows of its conversations under pressure: the heat map of their own page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.redteam.heat import Heat, heat
from offtarget.pages.redteam.loading import RESULT, load_pressed
from offtarget.pages.text import sentence
from offtarget.rundir import place

STYLE = "redteam/redteam.css"
"""Of the heat map."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """The section."""

    says: str
    heat: Heat | None
    """None where the conversations were taken out of the run."""
    command: str
    """What writes their own page."""
    missing: str = ""
    """The file that is not there."""


def pressure(run: LoadedRun) -> Pressure | None:
    """The section of a check that held conversations; None of one that held none. InputError for damaged records."""
    under = None if run.decision is None else run.decision.pressed
    if under is None:
        return None
    folder = run.path / under.run
    command = f"offtarget report {shlex.quote(str(place(folder)))} --html"
    if not (folder / RESULT).exists():
        return Pressure(sentence(under.reason), None, command, str(place(folder / RESULT)))
    return Pressure(sentence(under.reason), heat(load_pressed(folder)), command)
