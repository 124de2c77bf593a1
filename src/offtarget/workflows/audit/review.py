"""Labels for an audit: from people at the review page, or from a chat model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from offtarget.asking.spending import counted, timed
from offtarget.detect.categories import MEANINGS, Group
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.detect.false_marks import good_cards_due
from offtarget.detect.review.review import Review
from offtarget.detect.review.server import serve
from offtarget.detect.settled import is_judge
from offtarget.errors import InputError
from offtarget.judge.row_judge import RowJudge, RowVerdict
from offtarget.models.chat import ChatModel
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Category, Finding, Label, Row, Status, Stream
from offtarget.records.audit import JUDGE, person
from offtarget.records.rated import PEOPLE
from offtarget.records.runs import OpenSettings
from offtarget.review.store import LabelStore
from offtarget.workflows.audit.audit import AuditResult, result_of
from offtarget.workflows.audit.run import AuditRun
from offtarget.workflows.ground import open_named
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import AUDIT

_PATTERN: tuple[Stream, ...] = ("random", "random", "control", "random", "flagged")
"""How a judge's rows are mixed; planted and flagged rows run out first."""
_BATCH = 10


def review(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> AuditResult:
    """Show the review page until somebody finishes it, then decide; every label is kept whatever happens.

    Raises PrerequisiteError without the extra `review`, InputError where the address cannot be had.
    """
    opened = AuditRun.open(find_run(run, verb=AUDIT))
    page = Review(
        opened.manifest.name,
        opened.file("labels.sqlite"),
        opened.review_queue,
        opened.decide,
        {**opened.findings, **_findings_on_controls(opened)},
        opened.suspect_rows,
    )
    try:
        serve(page, host=host, port=port, on_ready=on_ready, open_browser=open_browser)
    finally:
        page.close()
    return result_of(opened, opened.record_decision())


@timed
def judge_rows(
    run: str | Path,
    judge: str | ChatModel,
    *,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> AuditResult:
    """Let a chat model label rows in the order of review until the verdict is decided or the rows are used up.

    Labels it gave before are kept and not asked for again, so an interrupted judge goes on where it was. Planted
    rows measure what it misses, as with a person. Raises InputError when the model cannot be opened or never answers.
    """
    opened = AuditRun.open(find_run(run, verb=AUDIT))
    if judge == PEOPLE:
        raise InputError("People label rows at the review page: give --review in place of --judge people.")
    asked = RowJudge(
        open_named(judge, opening), {c: m.bad_when for c, m in MEANINGS.items() if m.group is not Group.HINT}
    )
    reviewer = f"{JUDGE}{asked.name}"
    with counted(opened.path):
        store = opened.store
        try:
            done = {label.row_id for label in store.labels() if label.reviewer == reviewer}
            due = partial(_good_due, opened, store, reviewer)
            cards = ((stream, row) for stream, row in _cards(opened, due) if row.id not in done)
            decision = opened.decide(store.counting())
            while decision.status is Status.UNDECIDED or decision.basis == "detectors":
                if decision.waits_for_a_person:  # a model has no say about those, however many rows it reads
                    break
                if decision.basis == "judge" and decision.plan.rows_to_go is None:
                    break  # no label of a model can decide: people must overrule the detectors
                batch = list(islice(cards, _BATCH))
                if not batch:
                    break
                for (stream, row), verdict in zip(batch, asked.verdicts([row for _, row in batch]), strict=True):
                    store.add(_label(row, reviewer, stream, verdict))
                decision = opened.decide(store.counting())
                labelled, to_go = len(store.labels()), decision.plan.rows_to_go
                on_progress(Progress("rows judged", labelled, None if to_go is None else labelled + to_go))
        finally:
            store.close()
        decision = opened.record_decision()
    return result_of(opened, decision)


def answer_suspects(
    run: str | Path, *, confirm: Sequence[str] = (), dismiss: Sequence[str] = (), by: str, reason: str = ""
) -> AuditResult:
    """Say for hidden conditions that an audit suspects whether they are a backdoor, as the review page does.

    A FAIL takes two people who confirm the same condition, and more who confirm than dismiss it; one who dismisses it
    suffices where nobody confirms. A name in other letters or with other spaces is the same person.
    `confirm` and `dismiss`: keys of the suspects, as the audit prints them; `by` the person who says so. A word holds
    for the condition in these very bytes and for nothing else.
    Raises InputError for a key this audit does not suspect, a key on both sides, no person's name, or no reason to
    dismiss.
    """
    opened = AuditRun.open(find_run(run, verb=AUDIT))
    by, reason = " ".join(by.split()), reason.strip()
    known = {suspect.key for suspect in opened.suspects}
    for key in (*confirm, *dismiss):
        if key not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InputError(
                f"{key} names no condition that this audit of {opened.manifest.name} suspects (those are: {listed}). A "
                "word on a condition holds only for the data it was given on; look at the conditions of this audit."
            )
    if both := set(confirm) & set(dismiss):
        raise InputError(f"{min(both)} is both to be confirmed and to be dismissed. Say one of them.")
    if not by or is_judge(by.lower()):
        raise InputError(
            "A person has to answer for a condition: give a name that is no model's (--by NAME, in Python by=)."
        )
    if dismiss and not reason:
        raise InputError(
            "A dismissal needs its reason, which stands in every report: give --why TEXT in the command, or reason=."
        )
    store = opened.store
    try:
        names = (label.reviewer for label in (*store.conditions(), *store.labels()))
        by = next((name for name in names if person(name) == person(by)), by)
        for key in confirm:
            store.add(Label(key, by, "bad", Category.BACKDOOR, "condition", reason))
        for key in dismiss:
            store.add(Label(key, by, "ok", None, "condition", reason))
    finally:
        store.close()
    return result_of(opened, opened.record_decision())


def _findings_on_controls(run: AuditRun) -> dict[str, list[Finding]]:
    """A decided control shows what detectors say, as any decided row does; without that it would stick out."""
    scanner = RowScanner(row_detectors())
    return {row.id: scanner.scan(row) for row in (*run.controls[0], *run.known_good)}


def _good_due(run: AuditRun, store: LabelStore, reviewer: str) -> int:
    """Known-good rows that the model should have met by now."""
    planted = {row.id for row in (*run.controls[0], *run.known_good)}
    bad = sum(x.reviewer == reviewer and x.mark == "bad" and x.row_id not in planted for x in store.labels())
    return good_cards_due(bad, len(run.known_good))


def _cards(run: AuditRun, good_due: Callable[[], int]) -> Iterator[tuple[Stream, Row]]:
    """Random rows in their order with planted and flagged ones mixed in; a row comes once."""
    good, given = iter(run.known_good), 0
    flagged = {row.id: row for row in run.flagged}
    waiting: dict[Stream, Iterator[Row]] = {
        "random": iter(run.queue[: run.settings.max_rows]),
        "control": iter(run.controls[0]),
        "flagged": iter([flagged[row_id] for row_id in run.review_queue.flagged_order][: run.settings.max_rows // 5]),
    }
    seen: set[str] = set()
    while True:
        came = False
        for stream in _PATTERN:
            row = next((row for row in waiting[stream] if row.id not in seen), None)
            if row is not None:
                seen.add(row.id)
                came = came or stream == "random"
                yield stream, row
        while given < good_due() and (row := next(good, None)) is not None:
            given += 1
            came = True
            yield "control", row
        if not came:
            return


def _label(row: Row, reviewer: str, stream: Stream, verdict: RowVerdict) -> Label:
    return Label(
        row_id=row.id,
        reviewer=reviewer,
        mark=verdict.mark,
        category=verdict.category,
        stream=stream,
        note=verdict.reason,
    )
