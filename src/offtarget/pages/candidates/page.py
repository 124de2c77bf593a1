"""The page of a check of many candidates: the card, a chart with a line for each, a table, and what each came to."""

from __future__ import annotations

from dataclasses import replace

from offtarget.pages.candidates.table import HEADS, rows
from offtarget.pages.card import Card
from offtarget.pages.charts.over_time import in_order
from offtarget.pages.page import page
from offtarget.records.candidates import CandidatesReport
from offtarget.words import TERMS


def render(report: CandidatesReport, card: Card) -> str:
    """The page as one self-contained file."""
    return page(
        "candidates/candidates.html.j2",
        "runs/together.css",
        card=card,
        chart=in_order([replace(each, tuned=each.name) for each in report.candidates]),
        heads=HEADS,
        rows=rows(report),
        report=report,
        words=TERMS,
    )
