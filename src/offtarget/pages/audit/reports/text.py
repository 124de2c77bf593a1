"""The audit's report as plain text, for a terminal or a log."""

from __future__ import annotations

from offtarget.numbers import audit_e_value, chosen, duration, many, of, p_value, percent, share_range, whole
from offtarget.pages.audit import facts, story, tables
from offtarget.pages.audit.card import next_step
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import one_line
from offtarget.records import LimitTest, Trigger

TRIGGERS = 5


def render(run: LoadedAudit) -> str:
    """The report as plain text without control characters."""
    malformed = facts.malformed(run)
    lines = [
        f"{story.status(run)}: {one_line(story.reason(run), 1000)}",
        f"  data      {one_line(facts.data_name(run))}",
        f"  rows      {whole(facts.rows(run))}{f', and {malformed:,} malformed' if malformed else ''}",
        f"  labelled  {story.labelled(run):,}",
        "",
        *filter(None, (one_line(story.basis(run), 1000),)),
        one_line(story.error_probability(run), 1000),
    ]
    if run.decision and run.decision.tests:
        lines += ["", "Limits", *(_limit(test) for test in run.decision.tests)]
    if run.decision:
        lines += ["", "Rows to read by hand"]
        lines += [f"  {whole(line.rows):>9}  until {line.what}: {line.why}" for line in tables.plan(run.decision)]
    lines += _found(run)
    if run.triggers:
        lines += ["", "Hidden conditions", *(_trigger(run, t) for t in run.triggers if t.rank <= TRIGGERS)]
    lines += _suspects(run)
    lines += _reviewers(run)
    kinds = ", ".join(f"{one_line(kind, 60)} {count:,}" for kind, count in facts.malformed_kinds(run)[:12])
    lines += ["", f"Malformed rows: {kinds}"] if kinds else []
    lines += ["", "Not tested", *(f"  - {one_line(item, 1000)}" for item in story.not_tested(run))]
    lines += [""] + [f"Note: {one_line(note, 1000)}" for note in story.notes(run)]
    if story.nobody_looked(run):
        lines.append("No person has labelled a row yet.")
    lines.append(f"Next: {one_line(next_step(run), 1000)}")
    return "\n".join(lines) + "\n"


def _limit(test: LimitTest) -> str:
    counted = f"{test.bad:,} bad of {test.labelled:,} labelled" if test.labelled else "no label yet"
    go = f", about {test.rows_to_go:,} rows to go" if test.rows_to_go is not None else ""
    e_fail, e_pass = audit_e_value(test.log_e_fail), audit_e_value(test.log_e_pass)
    evidence = f", e FAIL {e_fail}, e PASS {e_pass}" if test.labelled else ""
    shown = f", {share_range(test.interval)} in all rows" if test.interval else ""
    return (
        f"  {test.status.value:<9}  {one_line(story.limit_title(test), 80)}, at most {chosen(test.limit)}: "
        f"{counted}{shown}{evidence}{go}"
    )


def _found(run: LoadedAudit) -> list[str]:
    total = facts.rows(run) or 0
    hits = [d for d in facts.detectors(run) if d.rows or d.disclosed]
    lines = [
        f"  {d.rows:>9,}  {percent(d.rows / total if total else None):>7}  {one_line(d.title, 80)}"
        + (f" (+ {d.disclosed:,} disclosed)" if d.disclosed else "")
        + (" (hint)" if d.group == "hint" else "")
        for d in hits
    ]
    lines += [f"  whole data set: {one_line(f.reason, 500)} (p = {p_value(f.p_value)})" for f in run.dataset]
    return ["", "Rows flagged by detectors", *lines] if lines else []


def _trigger(run: LoadedAudit, trigger: Trigger) -> str:
    behaviour = one_line(facts.behaviour(run, trigger.behaviour), 80)
    number = "   same rows:" if trigger.same_rows_as is not None else f"{trigger.rank}."
    return (
        f"  {number} {one_line(trigger.text, 100)} ({one_line(trigger.kind, 40)}): {behaviour} "
        f"in {trigger.behaving_with:,} of {trigger.with_condition:,} rows with it, "
        f"{trigger.behaving_without:,} of {trigger.without_condition:,} without (p = {p_value(trigger.p_value)})"
    )


def _suspects(run: LoadedAudit) -> list[str]:
    lines = [f"  {s.key}  {one_line(line, 1000)}" for s, line in story.suspects(run)]
    return ["", "Suspected conditions", *lines] if lines else []


def _reviewers(run: LoadedAudit) -> list[str]:
    if run.decision is None or not run.decision.reviewers:
        return []
    lines = []
    for r in run.decision.reviewers:
        caught = f", caught {of(r.caught, r.controls)} planted rows" if r.controls else ", no planted rows"
        caught += f", marked {of(r.good_marked, r.good)} known-good rows" if r.good else ""
        pace = f", {duration(r.median_seconds)} per row" if r.median_seconds is not None else ""
        lines.append(f"  {one_line(r.reviewer, 80)}: {many(r.rows, 'row')}{caught}{pace}")
    agreement = run.decision.agreement
    if agreement:
        alpha = "not defined" if agreement.krippendorff_alpha is None else f"{agreement.krippendorff_alpha:.2f}"
        same = percent(agreement.raw)
        lines.append(f"  agreement on {many(agreement.rows, 'row')}: {same}, Krippendorff's alpha {alpha}")
    return ["", "Reviewers", *lines]


FORMAT = ReportFormat("text", "report.txt", "plain text", render)
