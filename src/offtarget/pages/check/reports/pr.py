"""A comparison as a comment on a pull request."""

from __future__ import annotations

from offtarget.pages import comment
from offtarget.pages.cards import with_cost
from offtarget.pages.check import story
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.reports.markdown import details
from offtarget.pages.registry import ReportFormat
from offtarget.pages.written import escape


def render(run: LoadedRun) -> str:
    """The comment as Markdown text."""
    run = counted(run)
    told = with_cost(card(run), run.path)
    models = run.manifest.models
    return comment.comment(
        told,
        run.manifest.verb,
        (models["base"].name, models["tuned"].name),
        run.name,
        ("What was not tested", [f"- {escape(item, 1000)}" for item in story.not_tested(run)]),
        ("Rates, bounds and how it was decided", details(run, told)),
    )


FORMAT = ReportFormat("pr", "report.pr.md", "a comment for a pull request, verdict first", render)
