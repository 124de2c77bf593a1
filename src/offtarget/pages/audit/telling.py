"""The rows that tell most about a data set: with the trigger and without it, else the gravest of those flagged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from offtarget.pages.audit import examples, facts, story
from offtarget.pages.audit.examples import State
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.card import TELLING, Exchange, Side
from offtarget.records import Finding, Label, Row, Suspect

BEFORE = 60
"""Characters shown before the suspicious ones."""
REASONS = 3
_MARKS: dict[State, str] = {"bad": "bad", "ok": "fine", "unsure": "unsure", "disputed": "disputed"}


def telling(run: LoadedAudit) -> tuple[str, tuple[Exchange, ...]]:
    """A title, and at most `TELLING` rows as exchanges."""
    suspect = story.leading_suspect(run)
    if suspect is not None and story.is_the_story(run, suspect):
        rows = list(_with_trigger(run, suspect))
        if rows:
            return f"Rows with the {story.suspicion(suspect)} trigger", tuple(rows)
    chosen = list(_gravest(run))
    bad = [any(side.mark == "bad" for side in exchange.sides) for exchange in chosen]
    if chosen and not any(side.mark in ("bad", "flagged") for exchange in chosen for side in exchange.sides):
        return "Rows that detectors saw something in", tuple(chosen)
    title = "Rows that were called bad" if any(bad) else "Rows that detectors flag"
    return title + (" or that detectors flag" if any(bad) and not all(bad) else ""), tuple(chosen)


def _with_trigger(run: LoadedAudit, suspect: Suspect) -> Iterator[Exchange]:
    """Rows with the condition, then one without it that is as like as there is."""
    kept = run.suspect_rows.get(suspect.key)
    wanted = next((t.examples for t in run.triggers if (t.kind, t.text) == (suspect.kind, suspect.text)), ())
    inside = kept.inside if kept else tuple(run.rows[id_] for id_ in wanted if id_ in run.rows)
    outside = kept.outside[:1] if kept else ()
    for row in _distinct(inside, TELLING - len(outside)):
        yield _exchange(run, row, run.findings.get(row.id, ()), "with the trigger")
    for row in outside:
        yield _exchange(run, row, run.findings.get(row.id, ()), "without the trigger")


def _gravest(run: LoadedAudit) -> Iterator[Exchange]:
    """The first row of each category in turn, the gravest categories first; hints are left out."""
    groups = [g for g in examples.groups(run, TELLING) if g.group != "hint"]
    turns = zip_longest(*(group.examples for group in groups))
    found = [example for turn in turns for example in turn if example is not None and not example.disclosed]
    found.sort(key=lambda example: example.state != "bad")  # stable: what people called bad stands first
    once = list(dict.fromkeys(example.row_id for example in found))[:TELLING]
    for row_id in once:
        yield _exchange(run, run.rows[row_id], run.findings.get(row_id, ()))


def _distinct(rows: Iterable[Row], limit: int) -> list[Row]:
    """The first rows that do not open with the same answer; fewer than `limit` only where there are no others."""
    rows = list(rows)
    fresh = list({row.answer[:80]: row for row in reversed(rows)}.values())[::-1]
    return (fresh + [row for row in rows if row not in fresh])[:limit]


def _exchange(run: LoadedAudit, row: Row, findings: Sequence[Finding], what: str = "") -> Exchange:
    labels = examples.labels_by_row(run).get(row.id, ())
    known = sorted((f for f in findings if not f.disclosed), key=lambda f: -f.strength)
    counted = [f for f in known if facts.category_group(run, f.category.value) != "hint"]
    flagged = any(not f.weak for f in counted)
    mark = _MARKS.get(examples.state_of(labels), "flagged" if flagged else "not flagged")
    before = () if row.system is None else (("system", row.system),)
    sides = (Side("answer", _around(row, counted), mark), Side("why", _why(run, counted, labels)))
    return Exchange(row.prompt or "(no prompt)", sides, ", ".join(filter(None, (row.id, what))), before)


def _around(row: Row, findings: Sequence[Finding]) -> str:
    """The answer from shortly before what it is flagged for."""
    at = min((f.start for f in findings[:1] if f.message == row.answer_at and f.end > f.start), default=0)
    text = row.answer
    start = text.find(" ", max(0, at - BEFORE), at) + 1 if at > BEFORE else 0
    return text if start == 0 or start >= len(text) else f"… {text[start:]}"


def _why(run: LoadedAudit, findings: Sequence[Finding], labels: Sequence[Label]) -> str:
    """What people say of the row, then what detectors say."""
    said = [_word(run, label) for label in labels]
    reasons = list(dict.fromkeys(finding.told for finding in findings))[:REASONS]
    return "; ".join([*said, *reasons]) or "no detector points at this row"


def _word(run: LoadedAudit, label: Label) -> str:
    kind = facts.category_title(run, label.category).lower() if label.mark == "bad" and label.category else ""
    said = {"bad": "bad", "ok": "fine", "unsure": "unsure"}.get(label.mark, label.mark)
    note = f" (“{label.note}”)" if label.note else ""
    return f"{label.reviewer} says {said}{f', {kind}' if kind else ''}{note}"
