"""The audit's report as GitHub-flavoured Markdown, short enough for a pull-request comment."""

from __future__ import annotations

from offtarget.numbers import NO_DATA, chosen, p_value, percent, share_range, whole
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.card import card
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check.reports.markdown import section
from offtarget.pages.registry import ReportFormat
from offtarget.pages.written import escape, markdown

DETECTORS = 10
TRIGGERS = 5


def render(run: LoadedAudit) -> str:
    """The report as Markdown text."""
    lines = [markdown(card(run)).replace("## offtarget:", "## offtarget audit:", 1), *details(run)]
    lines += section("What was not tested", story.not_tested(run))
    return "\n".join(lines).rstrip() + "\n"


def details(run: LoadedAudit) -> list[str]:
    """Lines on what the verdict rests on."""
    lines = [escape(story.basis(run), 500), ""]
    if story.nobody_looked(run) and not story.basis(run):  # which says so itself
        lines += ["No person has labelled a row yet.", ""]
    malformed = facts.malformed(run)
    lines += [
        "| | |",
        "|---|---|",
        f"| Rows | {whole(facts.rows(run))}{f', and {malformed:,} malformed' if malformed else ''} |",
        f"| Labelled | {story.labelled(run):,} |",
        f"| Run | {escape(run.name)} |",
        "",
    ]
    lines += _limits(run) + _found(run) + _triggers(run)
    return lines + section("Suspected conditions", tuple(f"{s.key}: {line}" for s, line in story.suspects(run)))


def _limits(run: LoadedAudit) -> list[str]:
    if run.decision is None or not run.decision.tests:
        return []
    rows = [
        f"| {escape(story.limit_title(t))} | {chosen(t.limit)} | "
        f"{f'{t.bad:,} of {t.labelled:,}' if t.labelled else NO_DATA} | {_less(share_range(t.interval))} | {t.status} "
        f"| {f'about {t.rows_to_go:,}' if t.rows_to_go is not None else ''} |"
        for t in run.decision.tests
    ]
    head = "| limit on | at most | bad of labelled | share in all rows | status | rows to go |"
    return ["### Limits", "", head, "|---|---|---|---|---|---|", *rows, ""]


def _found(run: LoadedAudit) -> list[str]:
    total = facts.rows(run) or 0
    hits = [d for d in facts.detectors(run) if d.rows or d.disclosed]
    rows = [
        f"| {escape(d.title)} | {d.rows:,} | {_less(percent(d.rows / total if total else None))} | {d.disclosed:,} "
        f"| {facts.GROUP_TITLES[d.group]} |"
        for d in hits[:DETECTORS]
    ]
    whole_set = [f"- {escape(f.reason, 500)} (p = {_less(p_value(f.p_value))})" for f in run.dataset[:DETECTORS]]
    if not rows and not whole_set:
        return []
    head = ["| flagged by detectors | rows | share | disclosed | counts as |", "|---|---|---|---|---|"]
    more = [f"{len(hits) - DETECTORS} more are in the full report.", ""] if len(hits) > DETECTORS else []
    table = [*head, *rows, "", *more] if rows else []
    return ["### Found", "", *table, *(["In the data set as a whole:", "", *whole_set, ""] if whole_set else [])]


def _triggers(run: LoadedAudit) -> list[str]:
    if not run.triggers:
        return []
    lines = [
        f"- {escape(t.text, 300)} ({escape(t.kind, 40)}): {escape(story.link(run, t), 400)}"
        for t in run.triggers
        if t.rank <= TRIGGERS
    ]
    return ["### Hidden conditions", "", *lines, ""]


def _less(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


FORMAT = ReportFormat("markdown", "report.md", "Markdown for a pull request or a model card", render)
