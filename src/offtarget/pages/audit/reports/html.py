"""The audit's report as one self-contained HTML page: no network, no script, rows only ever as text."""

from __future__ import annotations

from offtarget.pages.audit import examples, facts, story, tables
from offtarget.pages.audit.card import card
from offtarget.pages.audit.charts import evidence, found, lengths
from offtarget.pages.audit.charts.bars import rates, shares
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check import facts as run_facts
from offtarget.pages.page import page
from offtarget.pages.registry import ReportFormat
from offtarget.words import AUDIT_TERMS


def render(run: LoadedAudit) -> str:
    """The page as text that can be encoded as UTF-8."""
    return page(
        "audit/audit.html.j2",
        "audit/audit.css",
        run=run,
        card=card(run, on_page=True),
        words=AUDIT_TERMS,
        story=story,
        facts=facts,
        run_facts=run_facts,
        tables=tables,
        shares=shares,
        rates=rates,
        ranges=evidence.ranges(run),
        evidence=evidence.evidence(run),
        found=found.found(run),
        silent=found.silent(run),
        observed=found.observed,
        other_evidence=found.other_evidence,
        histograms=lengths.histograms(run),
        groups=examples.groups(run),
        trigger_example=examples.trigger_example,
    )


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
