"""The result of an audit as a block for the card of a data set."""

from __future__ import annotations

from offtarget.pages.audit.card import card
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.model_card import block
from offtarget.pages.registry import ReportFormat


def render(run: LoadedAudit) -> str:
    """The marked block."""
    return block(card(run)).replace("## offtarget:", "## offtarget audit:", 1)


FORMAT = ReportFormat("card", "model-card.md", "a block for the card of the data set", render)
