"""The rows that several formats of the audit's report print."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from offtarget.numbers import chosen, duration, of, percent, share_range, whole
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.examples import Turn, turns
from offtarget.pages.audit.facts import SourceFile
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.text import one_line
from offtarget.records import AuditDecision, BadRow, Row
from offtarget.records.audit import Detector

LONGEST_LIST = 12
"""Entries of a list of prompts, openings or system prompts that are shown."""


Cells = list[tuple[str, ...]]
LIMITS = (
    "limit on", "verdict", "at most", "bad of those read", "share of all rows", "evidence of more", "evidence of less",
    "rows to go",
)  # fmt: skip
REVIEWERS = (
    "reviewer", "rows", "planted bad rows found", "finds of bad rows", "planted good rows marked",
    "marks of good rows", "time per row",
)  # fmt: skip
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One line of the review plan."""

    what: str
    rows: int | None
    why: str


def plan(decision: AuditDecision) -> list[PlanLine]:
    """How many rows a review takes, as planned before it began and from here."""
    plan, rule = decision.plan, decision.settings
    noise, spreading = map(chosen, (rule.noise_limit, rule.spreading_limit))
    lines = [
        PlanLine("PASS, if every row is fine", plan.clean_rows, f"shows that at most {noise} of the rows are bad"),
        PlanLine("PASS at the very earliest", plan.floor_rows, "no valid method without assumptions passes on fewer"),
        PlanLine(
            f"the {spreading} limit is shown too",
            plan.clean_rows_spreading,
            "if every row is fine; "
            + ("needed for PASS here" if rule.certify_spreading else "not needed for PASS here"),
        ),
    ]
    if plan.flagged_rows_to_fail is not None:
        why = "flagged rows to confirm, if the flags are mostly right"
        lines.append(PlanLine("FAIL by flagged rows", plan.flagged_rows_to_fail, why))
    if plan.rows_to_go is not None:
        lines.append(PlanLine("a decision, from here", plan.rows_to_go, "estimate from the labels so far"))
    return lines


@dataclass(frozen=True, slots=True)
class Marks:
    """How many rows of one stream have which label."""

    stream: str
    ok: int
    bad: int
    unsure: int
    skip: int


_STREAMS = {
    "random": "drawn at random (these estimate the share)",
    "flagged": "flagged by detectors",
    "double": "seen blind by a second reviewer",
    "control": "planted rows, known-bad and known-good",
}


def marks(run: LoadedAudit) -> list[Marks]:
    """Labels per stream, streams without labels left out."""
    counted: Counter[tuple[str, str]] = Counter((label.stream, label.mark) for label in run.labels)
    streams = [name for name in _STREAMS if any(stream == name for stream, _ in counted)]
    return [Marks(_STREAMS[s], *(counted[s, mark] for mark in ("ok", "bad", "unsure", "skip"))) for s in streams]


def first_malformed(run: LoadedAudit, kind: str) -> list[BadRow]:
    """The first malformed rows of a kind."""
    return [row for row in run.malformed_first if row.error == kind]


def excerpt(row: Row) -> tuple[Turn, ...]:
    """A row as a trigger's example: prompt and answer, short."""
    return turns(row, (), whole=600)


def listed(pairs: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """The most frequent entries, one line each."""
    return [(one_line(text, 300) or "(empty)", count) for text, count in pairs[:LONGEST_LIST]]


def ledger(run: LoadedAudit) -> list[tuple[str, str]]:
    """What the run says about a cleaned file, name by name."""
    return [(name, one_line(value, 300)) for name, value in run.cleaned.items() if not isinstance(value, dict)]


def formats(run: LoadedAudit) -> list[tuple[str, float, str]]:
    """Formats of prompts as (name, share, ""), most frequent first; those never seen left out."""
    shares = run.cues.formats if run.cues else {}
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return [(one_line(name, 60), min(1.0, share), "") for name, share in ranked[:LONGEST_LIST] if share > 0]


def turns_per_row(run: LoadedAudit) -> list[tuple[str, int]]:
    """(number of messages, rows), the long tail in one."""
    found = sorted((int(key), n) for key, n in facts.counts(run.scan.get("turns")).items() if key.isdigit())
    head = [(f"{messages}", n) for messages, n in found[:8]]
    rest = sum(n for _, n in found[8:])
    return head + ([(f"more than {found[7][0]}", rest)] if rest else [])


def limits(run: LoadedAudit) -> Cells:
    """Each limit with what the rows drawn at random say about it; where nothing is allowed, no evidence is weighed."""
    alpha = facts.round_alpha(run)
    return [
        (
            one_line(story.limit_title(t), 80), t.status.value, chosen(t.limit),
            of(t.bad, t.labelled) if t.labelled else "none read", share_range(t.interval) if t.interval else NOTHING,
            story.evidence(t.log_e_fail, alpha) if t.labelled and t.limit else NOTHING,
            story.evidence(t.log_e_pass, alpha) if t.labelled and t.limit else NOTHING,
            NOTHING if t.rows_to_go is None else f"about {t.rows_to_go:,}",
        )
        for t in (run.decision.tests if run.decision else ())
    ]  # fmt: skip


def plan_cells(decision: AuditDecision) -> Cells:
    """The plan as cells."""
    return [(line.what, whole(line.rows), line.why) for line in plan(decision)]


def reviewers(decision: AuditDecision) -> Cells:
    """Who read, and how well on planted rows."""
    return [
        (
            one_line(r.reviewer, 80), whole(r.rows), of(r.caught, r.controls), share_range(r.sensitivity),
            of(r.good_marked, r.good), share_range(r.false_marks), duration(r.median_seconds),
        )
        for r in decision.reviewers
    ]  # fmt: skip


def mark_cells(found: list[Marks]) -> Cells:
    """Labels per stream as cells."""
    return [(m.stream, whole(m.ok), whole(m.bad), whole(m.unsure), whole(m.skip)) for m in found]


def recalls(detectors: list[Detector]) -> Cells:
    """What each detector found of what it should find."""
    return [
        (one_line(d.title, 80), "unknown", NOTHING, NOTHING)
        if d.recall is None
        else (one_line(d.title, 80), percent(d.recall), whole(d.recall_rows), one_line(d.recall_among, 200))
        for d in detectors
    ]


def malformed_cells(run: LoadedAudit, kinds: list[tuple[str, int]]) -> Cells:
    """Every kind of place that is no row, with the first of them."""
    cells: Cells = []
    for kind, count in kinds:
        first = first_malformed(run, kind)
        places = [(f"{one_line(b.file, 80)}, line {b.line}", one_line(b.detail, 300)) for b in first]
        for number, (place, detail) in enumerate(places or [("not recorded", NOTHING)]):
            cells.append((one_line(kind, 60), whole(count) if number == 0 else NOTHING, place, detail))
    return cells


def file_cells(files: list[SourceFile]) -> Cells:
    """Files with their rows and digests."""
    return [
        (one_line(f.file, 200), whole(f.rows), whole(f.malformed), one_line(f.sha256 or "not recorded", 80))
        for f in files
    ]


def listed_cells(pairs: tuple[tuple[str, int], ...], total: int | None) -> Cells:
    """The most frequent texts with their share."""
    return [(text, whole(count), percent(count / total if total else None)) for text, count in listed(pairs)]
