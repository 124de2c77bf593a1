"""A check of many candidates in Markdown, as JUnit XML and as text: every candidate is there, the card first."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from offtarget.pages import written
from offtarget.pages.candidates.table import HEADS, rows
from offtarget.pages.card import Card
from offtarget.pages.text import sentence, visible
from offtarget.records import Status
from offtarget.records.candidates import CandidatesReport


def markdown(report: CandidatesReport, card: Card) -> str:
    """The card, then a table."""
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    lines += [f"| {' | '.join(written.escape(cell) for cell in row)} |" for row in rows(report)]
    return written.markdown(card) + "\n" + "\n".join(lines) + "\n"


def junit(report: CandidatesReport, card: Card) -> str:
    """A test per candidate: FAIL fails it; UNDECIDED, and one that was not checked, are errors."""
    cases = [_case(each.name, each.together.value, sentence(each.reason), each.together) for each in report.candidates]
    cases += [_case(each.name, "not checked", sentence(each.reason), Status.UNDECIDED) for each in report.not_checked]
    failed = report.count(Status.FAIL)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="{len(cases) - failed - report.count(Status.PASS)}"'
    out = xml_escape(visible(f"{card.sentence}\n{card.certainty}"))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="offtarget" {counts}><testsuite name="offtarget" {counts}>'
        f"{''.join(cases)}<system-out>{out}</system-out></testsuite></testsuites>\n"
    )


def _case(name: str, headline: str, reason: str, status: Status) -> str:
    said, text = quoteattr(visible(f"{headline}: {reason}")), xml_escape(visible(reason))
    ways = {
        Status.FAIL: f"<failure message={said}>{text}</failure>",
        Status.UNDECIDED: f"<error message={said}>{text}</error>",
        Status.PASS: f"<system-out>{text}</system-out>",
    }
    return f'<testcase classname="offtarget" name={quoteattr(visible(name))}>{ways[status]}</testcase>'


def text(report: CandidatesReport, card: Card) -> str:
    """The card and the table for logs."""
    from rich.console import Console

    from offtarget.pages.screen import PIPE_WIDTH, Screen

    file = io.StringIO()
    plain = Console(file=file, width=PIPE_WIDTH, no_color=True, highlight=False, markup=False, emoji=False, _environ={})
    screen = Screen(to=plain)
    screen.card(card)
    screen.blank()
    screen.table(HEADS, rows(report), left=(0, 1))
    screen.end(card)
    return visible(file.getvalue())


FORMATS: Mapping[str, Callable[[CandidatesReport, Card], str]] = {"markdown": markdown, "junit": junit, "text": text}
"""By the name of a format; the others show the card."""
