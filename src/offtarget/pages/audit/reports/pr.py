"""An audit as a comment on a pull request."""

from __future__ import annotations

from offtarget.pages import comment
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.card import card
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.audit.reports.markdown import details
from offtarget.pages.registry import ReportFormat
from offtarget.pages.written import escape


def render(run: LoadedAudit) -> str:
    """The comment as Markdown text."""
    return comment.comment(
        card(run),
        "audit",
        (facts.data_name(run),),
        run.name,
        ("What was not tested", [f"- {escape(item, 1000)}" for item in story.not_tested(run)]),
        ("What was found, limit by limit", details(run)),
    )


FORMAT = ReportFormat("pr", "report.pr.md", "a comment for a pull request, verdict first", render)
