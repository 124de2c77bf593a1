"""The result as plain text, for logs: what a terminal prints of it."""

from __future__ import annotations

from offtarget.pages import written
from offtarget.pages.cards import with_cost
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.registry import ReportFormat


def render(run: LoadedRun) -> str:
    """The report as plain text."""
    return written.text(with_cost(card(counted(run)), run.path))


FORMAT = ReportFormat("text", "report.txt", "plain text", render)
