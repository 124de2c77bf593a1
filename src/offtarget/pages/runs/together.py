"""Candidates of one base together: which verdicts stand, as a card and as a page in order of time."""

from __future__ import annotations

from pathlib import Path

from offtarget.numbers import bounds, chosen, difference, e_value, many
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.charts.over_time import over_time
from offtarget.pages.page import page
from offtarget.records import Status
from offtarget.records.candidates import Candidate, Together
from offtarget.words import TERMS

HEADS = ("candidate", "run", "started", "worse than the base", "bounds", "alone", "together", "evidence of harm")


def card(found: Together) -> Card:
    """What stands, for a reader with five seconds."""
    failed, passed = _count(found, Status.FAIL), _count(found, Status.PASS)
    return Card(
        state="DONE",
        headline=f"{failed} FAIL, {passed} PASS",
        subject=f"{many(found.of, 'candidate')} against {found.base}, as far as this machine knows",
        sentence=(
            f"Of {many(found.of, 'candidate')} looked at together, FAIL stands for {failed} and PASS for {passed}"
            + ("." if failed + passed == found.of else "; the others are not decided surely enough.")
        ),
        certainty=(
            f"On average at most {chosen(found.alpha)} of the FAILs that stand are wrong, and of the PASSes "
            "(e-BH, arXiv 2009.02824)."
        ),
        figures=(
            Figure("checked here", str(len(found.candidates)), f"of {many(found.of, 'candidate')}"),
            Figure("FAIL stands for", str(failed)),
            Figure("PASS stands for", str(passed)),
        ),
        cautions=found.notes,
        steps=tuple(_surer(each, found.of) for each in found.candidates if each.together is not each.alone),
    )


def _count(found: Together, status: Status) -> int:
    return sum(each.together is status for each in found.candidates)


def _surer(each: Candidate, of: int) -> Step:
    from shlex import quote

    return Step(
        f"Make the {each.alone.value} of {each.tuned} sure enough for one of {of}",
        f"offtarget resume {quote(each.run)} --candidates {of}",
    )


def rows(found: Together) -> list[tuple[str, ...]]:
    """A row per candidate under `HEADS`, oldest first."""
    return [
        (
            each.tuned,
            Path(each.run).name,
            each.created[:16].replace("T", " "),
            f"{difference(each.difference)} points",
            bounds(each.worse_by),
            each.alone.value,
            each.together.value,
            e_value(each.log_e_fail),
        )
        for each in sorted(found.candidates, key=lambda each: each.created)
    ]


def render(found: Together) -> str:
    """The page."""
    return page(
        "runs/together.html.j2",
        "runs/together.css",
        card=card(found),
        chart=over_time(found.candidates),
        heads=HEADS,
        rows=rows(found),
        words=TERMS,
    )
