"""`offtarget runs --together`: which verdicts on candidates of one base stand when all are looked at."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.cli.render import print_json, screen, shown_path
from offtarget.numbers import e_value
from offtarget.pages.card import Step
from offtarget.pages.check.reports.json import finite
from offtarget.rundir import to_jsonable, write_whole

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.records.candidates import Together


def show(check: str, of: int | None, html: Path | None, *, as_json: bool) -> None:
    """Decide and print it, and write the page where one was asked for."""
    from offtarget.pages.runs.together import card, render
    from offtarget.workflows.check.candidates import together

    found = together(check, of)
    if html is not None:
        write_whole(html, render(found))
    if as_json:
        print_json(finite(to_jsonable(found)))
        return
    out, made = screen(), card(found)
    out.card(made)
    out.blank()
    _table(found, out)
    out.end(made)
    if html is None:
        again = f"offtarget runs --together {shlex.quote(check)} --html candidates.html"
        out.step(Step("The same as a page, with a chart", again))
    else:
        out.say(f"The page: {shown_path(html)}")


def _table(found: Together, out: Screen) -> None:
    rows = [
        (each.tuned, Path(each.run).name, each.alone.value, each.together.value, e_value(each.log_e_fail))
        for each in found.candidates
    ]
    out.table(("candidate", "run", "alone", "together", "evidence of harm"), rows, left=(0, 1, 2, 3))
