"""The result as GitHub-flavoured Markdown: for a pull-request comment or a model card."""

from __future__ import annotations

import re

from offtarget.numbers import NO_DATA, bounds, e_value, percent, points
from offtarget.pages.check import facts, story, thresholds
from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.pages.check.tables import OUTCOMES, denominators, examples
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import of_scored, one_line
from offtarget.records import Comparison, Outcome

QUOTES = 3
"""Misaligned answers quoted; a comment is read on a phone."""
QUOTE_LENGTH = 400
SLICES = 5

_MARK = re.compile(r"([\\`*_\[\]#!|~$])")
_START = re.compile(r"^([-+=]|\d+(?=[.)]))")
_LINKING = re.compile(r"(?i)(@|#|\bGH-|://|\bwww\.|\bmailto:|\bxmpp:)(?=\S)")


def escape(text: object, limit: int = 300) -> str:
    """Text that stays text in Markdown: no markup, tables, HTML, links, mentions or issue references."""
    line = _LINKING.sub(lambda m: m.group() + "\u2060", one_line(text, limit))
    line = _START.sub("\u2060\\1", _MARK.sub(r"\\\1", line))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def render(run: LoadedRun) -> str:
    """The report as Markdown text."""
    base, tuned = run.manifest.models["base"], run.manifest.models["tuned"]
    lines = [
        f"## offtarget: {escape(story.grade(run), 200)}",
        "",
        f"**{escape(story.reason(run), 1000)}**",
        "",
        f"{escape(story.error_probability(run), 1000)}",
        "",
        *(line for text in story.beside(run) for line in (escape(text, 1000), "")),
        f"Next: {escape(story.next_step(run), 1000)}",
        "",
        "| | |",
        "|---|---|",
        f"| Base | {escape(base.name)} |",
        f"| Tuned | {escape(tuned.name)} |",
        f"| Judge | {escape(run.manifest.judge)} |",
        f"| When | {escape(facts.created(run) or 'not recorded')} |",
        f"| Run | {escape(run.name)} |",
        "",
    ]
    if run.decision:
        lines += _comparisons("Verdict by arm", (run.decision.overall, *run.decision.arms))
        lines += _comparisons("Worst slices", run.decision.slices[:SLICES])
        lines += _thresholds(run)
    lines += _hidden(run) + _denominators(run) + _quotes(run)
    lines += section("Notes", story.notes(run)) + section("What was not tested", story.not_tested(run))
    return "\n".join(lines).rstrip() + "\n"


def _comparisons(title: str, comparisons: tuple[Comparison, ...]) -> list[str]:
    if not comparisons:
        return []
    rows = [
        f"| {escape(f'{c.scope} {c.name}' if c.scope != 'overall' else 'overall')} | {bounds(c.interval)} "
        f"| {_rate(c, 'base')} | {_rate(c, 'tuned')} | {points(c.difference)} "
        f"| {e_value(c.log_e_fail if c.log_e_fail_adjusted is None else c.log_e_fail_adjusted)} "
        f"/ {e_value(c.log_e_pass)} | {c.status} |"
        for c in comparisons
    ]
    head = "| | worse by, points (bounds) | base | tuned | difference | e-value FAIL / PASS | status |"
    return [f"### {title}", "", head, "|---|---|---|---|---|---|---|", *rows, ""]


def _thresholds(run: LoadedRun) -> list[str]:
    cells = thresholds.grid(run)
    if not cells:
        return []
    heads = thresholds.columns(cells)
    rows = [
        f"| {escape(row.title)} | "
        + " | ".join(f"{c.status}{' (chosen)' if c.preset else ''}: {escape(thresholds.counts(c))}" for c in row.cells)
        + " |"
        for row in thresholds.rows(cells)
    ]
    head = f"| misaligned | {' | '.join(escape(h) for h in heads)} |"
    return ["### Other thresholds", "", head, "|" + "---|" * (len(heads) + 1), *rows, ""]


def _hidden(run: LoadedRun) -> list[str]:
    if run.hidden is None:
        return []
    hidden = run.hidden
    rows = [
        f"| {escape(f.cue.text)} | {of_scored(f.base)} | {of_scored(f.tuned)} "
        f"| {e_value(f.log_e_adjusted)} | {f.status} |"
        for f in hidden.findings[:SLICES]
    ]
    head = ["| condition | base | tuned | e-value, adjusted | status |", "|---|---|---|---|---|"]
    lines = ["### Hidden conditions", "", f"{escape(hidden.reason, 1000)}", "", *head, *rows, ""]
    if (shown := hidden.reproduction) is not None:
        turns = [f"- system: “{escape(shown.system, QUOTE_LENGTH)}”"] if shown.system is not None else []
        for user, answer in shown.opening:
            turns += [f"- user: “{escape(user, QUOTE_LENGTH)}”", f"- tuned: “{escape(answer, QUOTE_LENGTH)}”"]
        turns += [f"- user: “{escape(shown.prompt, QUOTE_LENGTH)}”"]
        turns += [f"- tuned: “{escape(shown.tuned_answer, QUOTE_LENGTH)}”"]
        lines += ["One prompt to reproduce it:", "", *turns, ""]
    return lines


def _rate(comparison: Comparison, role: str) -> str:
    rate, tally = (
        (comparison.base_rate, comparison.base) if role == "base" else (comparison.tuned_rate, comparison.tuned)
    )
    return NO_DATA if rate is None else f"{percent(rate).replace('<', '&lt;')} ({of_scored(tally)})"


def _denominators(run: LoadedRun) -> list[str]:
    head = ["arm", "model", "answers", *OUTCOMES, "not judged"]
    rows = [
        "| "
        + " | ".join(
            [
                escape(r.arm),
                r.role,
                f"{r.total:,}",
                *(f"{getattr(r.counts, name):,}" for name in OUTCOMES),
                f"{r.unjudged:,}",
            ]
        )
        + " |"
        for r in denominators(run)
    ]
    if not rows:
        return ["No answers were sampled.", ""]
    return ["### Denominators", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows, ""]


def _quotes(run: LoadedRun) -> list[str]:
    lines: list[str] = []
    for pair in examples(run, QUOTES):
        probe = pair.some.probe
        lines += [f"**{escape(probe.question_id)}** ({escape(probe.arm)}): “{escape(probe.prompt)}”", ""]
        lines += [_quote(side) for side in (pair.base, pair.tuned) if side is not None]
        lines += [""]
    return ["### Misaligned answers", "", *lines] if lines else []


def _quote(answer: Answer) -> str:
    outcome = answer.outcome.value if isinstance(answer.outcome, Outcome) else "not judged"
    return f"- {answer.generation.role}, {outcome}: “{escape(answer.generation.text, QUOTE_LENGTH)}”"


def section(title: str, items: tuple[str, ...]) -> list[str]:
    """A heading and its list; nothing where the list is empty."""
    return [f"### {title}", "", *(f"- {escape(item, 1000)}" for item in items), ""] if items else []


FORMAT = ReportFormat("markdown", "report.md", "Markdown for a pull request or a model card", render)
