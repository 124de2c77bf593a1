"""All of an audit's result as text: what `--verbose` prints between the card and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from offtarget.numbers import of, p_value, percent, whole
from offtarget.pages.audit import facts, story, tables
from offtarget.pages.audit.loading import LoadedAudit, load_audit
from offtarget.pages.screen import ABSENT, Screen
from offtarget.pages.text import one_line
from offtarget.records import Category, DatasetFinding

TRIGGERS = 10
TRIGGER = 300
"""Characters of a condition that are printed."""
_SHOWN_P = 0.01
_COUNTS = (Category.DUPLICATE, Category.LABEL_CONFLICT)
"""Findings on the whole set that are counts, not tests."""


def details(path: Path, out: Screen) -> None:
    """Print limits, what was found, conditions, who read, what was not read and what was not tested."""
    run = load_audit(path)
    if run.decision is None:
        out.say(story.reason(run))
        return
    out.say(story.basis(run))
    _limits(run, out)
    _plan(run, out)
    _found(run, out)
    _whole_set(run.dataset, out)
    _conditions(run, out)
    _suspects(run, out)
    _reviewers(run, out)
    _unread(run, out)
    _list("Not tested", story.not_tested(run), out)


def _limits(run: LoadedAudit, out: Screen) -> None:
    if run.decision is not None and any(test.labelled for test in run.decision.tests):
        out.table(tables.LIMITS, tables.limits(run), "Limits, by the rows drawn at random", left=(0, 1))


def _plan(run: LoadedAudit, out: Screen) -> None:
    assert run.decision is not None
    plan = tables.plan_cells(run.decision)
    out.table(("until", "rows", "what it means"), plan, "Rows to read by hand", left=(0, 2))


def _found(run: LoadedAudit, out: Screen) -> None:
    total = max(facts.rows(run) or 0, 1)
    rows = [
        (
            f"{d.title} ({d.name})",
            whole(d.rows),
            percent(d.rows / total),
            whole(d.disclosed),
            facts.GROUP_TITLES[d.group],
        )
        for d in facts.detectors(run)
        if d.rows or d.disclosed
    ]
    heads = ("flagged by detectors", "rows", "share", "asked for or admitted", "counts as")
    out.table(heads, rows, "What was found", left=(0, 4))


def _whole_set(findings: Iterable[DatasetFinding], out: Screen) -> None:
    shown = [f for f in findings if f.p_value <= _SHOWN_P or (f.p_value == 1.0 and f.category in _COUNTS)]
    if shown:
        out.heading("In the data set as a whole")
    for finding in shown:
        chance = "" if finding.p_value == 1.0 else f" Chance does that with probability {p_value(finding.p_value)}."
        out.say(f"{finding.reason}{chance}")


def _conditions(run: LoadedAudit, out: Screen) -> None:
    if not run.triggers:
        return
    out.heading("Conditions in the prompt that go with another kind of answer")
    out.say("Most are honest properties of a task. The probability of chance counts everything that was tried.")
    for trigger in run.triggers[:TRIGGERS]:
        label = "   same rows:" if trigger.same_rows_as is not None else f"{trigger.rank}."
        out.say(f"{label} {trigger.kind} “{one_line(trigger.text, TRIGGER)}”", hang=3)
        out.say(story.link(run, trigger), indent=3, hang=3)


def _suspects(run: LoadedAudit, out: Screen) -> None:
    _list("Suspected triggers", [f"{suspect.key}: {line}" for suspect, line in story.suspects(run)], out)


def _reviewers(run: LoadedAudit, out: Screen) -> None:
    assert run.decision is not None
    rows = [
        (
            r.reviewer, whole(r.rows), of(r.caught, r.controls) if r.controls else ABSENT,
            of(r.good_marked, r.good) if r.good else ABSENT,
        )
        for r in run.decision.reviewers
    ]  # fmt: skip
    if not rows:
        return
    heads = ("reviewer", "rows read", "planted bad rows found", "planted good rows marked bad")
    out.table(heads, rows, "Who read")


def _unread(run: LoadedAudit, out: Screen) -> None:
    lines = [f"{bad.file}, line {bad.line}: {bad.detail}" for bad in run.malformed_first]
    more = facts.malformed(run) - len(lines)
    if more > 0:
        lines.append(f"{more:,} more, all in malformed.jsonl of the run")
    _list("Not read", lines, out)


def _list(title: str, lines: Iterable[str], out: Screen) -> None:
    lines = list(lines)
    if lines:
        out.heading(title)
    for line in lines:
        out.say(f"- {line}", hang=2)
