"""The result of an audit as a block for the card of a data set."""

from __future__ import annotations

from offtarget.pages.audit import story
from offtarget.pages.audit.card import card
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check.reports.markdown import section
from offtarget.pages.model_card import block
from offtarget.pages.registry import ReportFormat


def render(run: LoadedAudit) -> str:
    """The marked block: the card, what was said of suspected conditions, what was not tested."""
    lines = section("Suspected conditions", tuple(f"{s.key}: {line}" for s, line in story.suspects(run)))
    lines += section("What was not tested", story.not_tested(run))
    return block(card(run), lines).replace("## offtarget:", "## offtarget audit:", 1)


FORMAT = ReportFormat("card", "model-card.md", "a block for the card of the data set", render)
