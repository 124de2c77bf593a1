"""The result of an audit as text for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from offtarget.cli.render import (
    ABSENT,
    console,
    plain_table,
    print_verdict,
    safe,
    shown_path,
)
from offtarget.numbers import audit_e_value, chosen, many, of, p_value, percent, share_range, times
from offtarget.records import AuditDecision, Category, DatasetFinding, Status, Suspect, Trigger

if TYPE_CHECKING:
    from rich.console import Console

    from offtarget.workflows.audit.audit import AuditResult, Example

_TRIGGERS = 5
_EXAMPLES = 6
_SHOWN_P = 0.01
_COUNTS = (Category.DUPLICATE, Category.LABEL_CONFLICT)
"""Findings on the whole set that are counts, not tests."""
_TEXT = 110
"""Characters of a quoted row that are printed; the report has more."""
_BASES = {
    "people": "by people's labels on rows drawn at random",
    "judge": "by a model's labels on rows drawn at random; no person has labelled one",
    "detectors": "by detectors over all rows; no person has labelled one yet",
    "none": "no label yet",
}


def print_audit(result: AuditResult) -> None:
    """Print the verdict, the limits, what was found, hidden conditions, what was not tested, the next step."""
    out = console()
    decision = result.decision
    print_verdict(decision.status, decision.reason, out)
    by_condition = any(suspect.state == "confirmed" for suspect in decision.suspects)
    out.print(f"basis: {'by the word of people on a suspected condition' if by_condition else _BASES[decision.basis]}")
    out.print(f"{many(decision.rows, 'row')}, {result.flagged_rows:,} flagged")
    _print_unread(result, out)
    out.print()
    if any(test.labelled for test in decision.tests):
        out.print(_limits(decision))
    else:
        out.print(_plan(decision), soft_wrap=True)
    _print_found(result, out)
    _print_dataset(result.dataset, out)
    _print_triggers(result.triggers, out)
    _print_suspects(decision.suspects, out)
    _print_examples(result.examples, out)
    out.print()
    for reviewer in decision.reviewers:
        caught = f", found {of(reviewer.caught, reviewer.controls)} planted known-bad rows" if reviewer.controls else ""
        if reviewer.good:
            caught += f", marked {of(reviewer.good_marked, reviewer.good)} planted known-good rows"
        out.print(f"reviewer {safe(reviewer.reviewer)}: {many(reviewer.rows, 'row')}{caught}", soft_wrap=True)
    for note in decision.notes:
        out.print(f"note: {safe(note)}", soft_wrap=True)
    out.print("not tested for:")
    for item in decision.not_tested:
        out.print(f"  - {safe(item)}", soft_wrap=True)
    if result.cleaned is not None:
        cleaned = result.cleaned
        out.print(f"cleaned: {shown_path(cleaned.out)}, {cleaned.kept:,} rows kept, {cleaned.removed:,} removed")
        out.print(f"ledger:  {shown_path(cleaned.ledger)}", soft_wrap=True)
    out.print()
    out.print(_next_step(result), soft_wrap=True)


def _print_unread(result: AuditResult, out: Console) -> None:
    """The first places that are no rows, each with its file and line."""
    for bad in result.unread:
        out.print(f"not read: {safe(bad.file)}, line {bad.line}: {safe(bad.detail)}", soft_wrap=True)
    more = result.decision.malformed - len(result.unread)
    if more > 0:
        out.print(f"not read: {more:,} more, all in {shown_path(result.run / 'malformed.jsonl')}", soft_wrap=True)


def _plan(decision: AuditDecision) -> str:
    plan = decision.plan
    text = (
        f"review: a clean data set passes after {plan.clean_rows:,} rows drawn at random (no valid method needs fewer "
        f"than {plan.floor_rows:,}); {plan.clean_rows_spreading:,} also show the "
        f"{chosen(decision.settings.spreading_limit)} limit of kinds known to spread"
    )
    if plan.flagged_rows_to_fail is not None and decision.status is not Status.FAIL:
        text += f"; if the flags are right, it fails after {plan.flagged_rows_to_fail:,} of the flagged"
    return text


def _limits(decision: AuditDecision) -> Any:
    table = plain_table(
        "limit", "allowed", "bad of labelled", "share in the data", "e over", "e under", "", "rows to go"
    )
    for test in decision.tests:
        table.add_row(
            test.name,
            chosen(test.limit),
            of(test.bad, test.labelled),
            share_range(test.interval),
            audit_e_value(test.log_e_fail),
            audit_e_value(test.log_e_pass),
            test.status.value,
            ABSENT if test.rows_to_go is None else f"about {test.rows_to_go:,}",
        )
    return table


def _print_found(result: AuditResult, out: Console) -> None:
    if not result.found:
        return
    out.print()
    table = plain_table("found by detectors", "rows", "share", "disclosed", "counts under")
    for found in result.found:
        table.add_row(
            f"{found.title} ({found.name})",
            f"{found.rows:,}",
            percent(found.rows / max(result.decision.rows, 1)),
            f"{found.disclosed:,}",
            found.group,
        )
    out.print(table)


def _print_dataset(findings: Iterable[DatasetFinding], out: Console) -> None:
    for finding in findings:
        if finding.p_value <= _SHOWN_P:
            out.print(f"whole data set: {safe(finding.reason)} (p = {p_value(finding.p_value)})", soft_wrap=True)
        elif finding.p_value == 1.0 and finding.category in _COUNTS:
            out.print(f"whole data set: {safe(finding.reason)}", soft_wrap=True)


def _print_triggers(triggers: tuple[Trigger, ...], out: Console) -> None:
    if not triggers:
        return
    out.print()
    out.print("Conditions in the prompt that go with another kind of answer; most are honest properties of a task:")
    table = plain_table("condition", "goes with", "rows with it", "without it", "lift", "p")
    for trigger in (t for t in triggers if t.rank <= _TRIGGERS):
        same = trigger.same_rows_as is not None
        table.add_row(
            f"{'   same rows:' if same else f'{trigger.rank}.'} {trigger.kind} {_shortened(trigger.text, 48)}",
            _shortened(trigger.behaviour, 34),
            of(trigger.behaving_with, trigger.with_condition),
            of(trigger.behaving_without, trigger.without_condition),
            times(trigger.lift),
            p_value(trigger.p_value),
        )
    out.print(table)


def _print_suspects(suspects: Iterable[Suspect], out: Console) -> None:
    for suspect in suspects:
        if suspect.state == "open":
            said = f"{suspect.waits}; a PASS needs a person's word"
        else:
            said = f"{suspect.state} by {suspect.by}, {suspect.at[:10]}: {suspect.reason}"
        out.print(f"suspected {suspect.key}: {safe(suspect.condition)}: {safe(said)}", soft_wrap=True)


def _print_examples(examples: Iterable[Example], out: Console) -> None:
    for number, example in enumerate(examples):
        if number == _EXAMPLES:
            return
        if number == 0:
            out.print()
        out.print(f"{safe(example.row.id)}: {safe(example.finding.reason)}", soft_wrap=True)
        out.print(f"  prompt: {_shortened(example.row.prompt)}", soft_wrap=True)
        out.print(f"  answer: {_shortened(example.around)}", soft_wrap=True)


def _shortened(text: str, limit: int = _TEXT) -> str:
    line = safe(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _next_step(result: AuditResult) -> str:
    run = shown_path(result.run)
    report = f"offtarget report {run} --html"
    if result.decision.status is Status.PASS:
        return f"Next: keep the evidence: {report}"
    if result.decision.status is Status.FAIL and result.cleaned is None:
        return f"Next: read what was found: {report}; then clean: offtarget audit --resume {run} --clean cleaned.jsonl"
    if result.cleaned is not None and result.cleaned.kept == 0:
        return "Next: nothing is left to train on; look for other data"
    if result.cleaned is not None:
        return f"Next: audit the remainder: offtarget audit {shown_path(result.cleaned.out)} --review"
    if result.decision.waits_for_a_person and not any(s.state == "open" for s in result.decision.suspects):
        return f"Next: a second person looks at rows called a backdoor: offtarget audit --resume {run} --review"
    if result.decision.waits_for_a_person:
        return f"Next: look at the suspected conditions and answer: offtarget audit --resume {run} --review"
    return f"Next: review the rows: offtarget audit --resume {run} --review"
