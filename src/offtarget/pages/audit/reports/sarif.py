"""An audit as SARIF: every finding at its file and line, then places that are no rows, conditions and the verdict.

What an answer admits or was asked for is left out, as the verdict leaves it out. Rows of Parquet files and of JSON
arrays have a number and no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offtarget.numbers import p_value
from offtarget.pages import sarif
from offtarget.pages.audit import examples, facts, story
from offtarget.pages.audit.card import card
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.registry import ReportFormat
from offtarget.pages.sarif import Flag, Level, Rule, Spot
from offtarget.records import Finding, Label

LINES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
"""Endings of files whose rows have lines."""
LEVELS: dict[str, Level] = {"spreading": "error", "backdoor": "error", "noise": "warning", "hint": "note"}
MALFORMED = Rule(
    "offtarget/no-row",
    "This place in the data is no training example",
    "What your trainer makes of it was not audited. Mend it, or remove it.",
    "warning",
)
CONDITION = Rule(
    "offtarget/suspected-condition",
    "Rows with this condition behave differently",
    "A condition in the prompts goes with flagged answers far beyond chance, as a backdoor does. A person has to "
    "look at rows with it and without it.",
    "error",
)
WHOLE = Rule(
    "offtarget/whole-data-set",
    "The data set as a whole is odd",
    "A test over all rows found more of something than chance explains.",
    "warning",
)


def render(run: LoadedAudit) -> str:
    """The file as text."""
    told = card(run)
    whole = Spot(_uri(run, run.manifest.source[0]) if len(run.manifest.source) == 1 else _folder(run))
    flags = [
        *sarif.verdict(told, whole, facts.data_name(run)),
        *_conditions(run, whole),
        *sorted(_rows(run), key=lambda flag: sarif.RANKS.index(flag.level or flag.rule.level)),
        *(Flag(MALFORMED, f"{bad.error}: {bad.detail}", _spot(run, bad.file, bad.line), bad.sha256 + bad.error)
          for bad in run.malformed_first),
        *(Flag(WHOLE, f"{f.reason} (p = {p_value(f.p_value)})", whole, f.detector) for f in run.dataset),
    ]  # fmt: skip
    left_out = facts.malformed(run) - len(run.malformed_first)
    flagged = facts.count(run.scan.get("flagged_rows")) or 0
    kept = sum(any(not f.weak and not f.disclosed for f in found) for found in run.findings.values())
    left_out = max(0, left_out) + max(0, flagged - kept)
    return sarif.log(told, flags, verb="audit", run=run.name, left_out=left_out, not_tested=story.not_tested(run))


def _rows(run: LoadedAudit) -> Iterator[Flag]:
    """What detectors and people say of rows that were kept whole, a flag for each reason."""
    labels = examples.labels_by_row(run)
    for row in run.rows.values():
        spot = _spot(run, row.file, row.line)
        said = labels.get(row.id, ())
        for category in dict.fromkeys(label.category for label in said if label.mark == "bad" and label.category):
            words = "; ".join(_word(label) for label in said if label.category == category)
            yield _flag(run, category.value, words, spot, f"{row.sha256} {category} people", "error")
        cleared = examples.state_of(said) == "ok"
        for finding in _first(run.findings.get(row.id, ())):
            level: Level | None = "note" if finding.weak or cleared else None
            more = "; people who read the row call it fine" if cleared else ""
            key = f"{row.sha256} {finding.detector} {finding.reason}"
            yield _flag(run, finding.category.value, finding.told + more, spot, key, level)


def _first(findings: Iterable[Finding]) -> list[Finding]:
    """Each reason once, the strongest first."""
    counted = sorted((f for f in findings if not f.disclosed), key=lambda f: -f.strength)
    return list({(f.detector, f.reason): f for f in reversed(counted)}.values())[::-1]


def _flag(run: LoadedAudit, category: str, message: str, spot: Spot, key: str, level: Level | None) -> Flag:
    title = facts.category_title(run, category)
    usual = LEVELS[facts.category_group(run, category)]
    about = facts.bad_when(run, category) or "Read the row."
    return Flag(Rule(f"offtarget/{category}", title, about, usual), message, spot, key, level)


def _word(label: Label) -> str:
    note = f": {label.note}" if label.note else ""
    return f"{label.reviewer} says bad{note}"


def _conditions(run: LoadedAudit, whole: Spot) -> Iterator[Flag]:
    """Suspected conditions, at the first row that has them; a dismissed one is a suppressed note."""
    for suspect, line in story.suspects(run):
        kept = run.suspect_rows.get(suspect.key)
        first = kept.inside[0] if kept and kept.inside else None
        spot = whole if first is None else _spot(run, first.file, first.line)
        dismissed = suspect.state == "dismissed"
        level: Level | None = "note" if dismissed else None
        why = f"{suspect.by}: {suspect.reason}" if dismissed else ""
        yield Flag(CONDITION, f"{line} Key: {suspect.key}", spot, suspect.key, level, why)


def _spot(run: LoadedAudit, file: str, line: int) -> Spot:
    stem = file.lower()
    for packed in (".gz", ".zst", ".bz2", ".xz"):
        stem = stem.removesuffix(packed)
    if stem.endswith(LINES):
        return Spot(_uri(run, file), line, f"row {file}:{line}")
    return Spot(_uri(run, file), None, f"record {line} of {file}")


def _uri(run: LoadedAudit, file: str) -> str:
    """Where a file of the data is; `data` is that file itself, or the folder it is in."""
    data = run.manifest.data.rstrip("/")
    if data.rpartition("/")[2] == file and len(run.manifest.source) == 1:
        return sarif.uri(data, run.manifest.folder)
    return sarif.uri(f"{data}/{file}", run.manifest.folder)


def _folder(run: LoadedAudit) -> str:
    return sarif.uri(run.manifest.data, run.manifest.folder)


FORMAT = ReportFormat("sarif", "report.sarif", "SARIF 2.1.0 for code scanning", render)
