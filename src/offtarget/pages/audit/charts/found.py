"""What was found, drawn: rows flagged by each detector, and counts beside expected ones in the data set as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from offtarget.numbers import many, mean_count, percent, whole
from offtarget.pages.audit import facts
from offtarget.pages.audit.charts.bars import Bar, Bars, Strip, share_axis
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.charts.axes import Axis, axis, plainly
from offtarget.pages.text import one_line
from offtarget.records import DatasetFinding
from offtarget.records.audit import Detector

SEEN = 0.7
"""Per cent of the axis that a bar takes at least, so that one row in a million is still seen."""
MOST = 12
"""Bars drawn per chart; the rest is in dataset.json of the run."""
CHARTS = {
    "numbers": ("Numbers that stand out", "rows"),
    "histogram": ("Most frequent numbers", "observed"),
}
"""Where a finding's evidence holds rows of counts: key -> (title, key of the observed count)."""


def found(run: LoadedAudit) -> Bars:
    """One bar per detector that flagged anything, under a heading per limit."""
    total = max(facts.rows(run) or 0, 1)
    hits = [d for d in facts.detectors(run) if d.rows or d.disclosed]
    scale = share_axis(max(((d.rows + d.disclosed) / total for d in hits), default=0.0))
    rows, group = [], ""
    for detector in hits:
        heading = "" if detector.group == group else facts.GROUP_TITLES[detector.group]
        group = detector.group
        rows.append(_detector_bar(detector, total, scale, heading))
    return Bars(scale, tuple(rows))


def silent(run: LoadedAudit) -> list[str]:
    """Titles of the detectors that ran and found nothing, neither in a row nor in the whole data set."""
    loud = {finding.detector for finding in run.dataset}
    return [one_line(d.title, 120) for d in facts.detectors(run) if not d.rows + d.disclosed and d.name not in loud]


def _detector_bar(detector: Detector, total: int, scale: Axis, heading: str) -> Bar:
    flagged, everything = detector.rows / total, (detector.rows + detector.disclosed) / total
    middle = max(scale.at(100 * flagged), SEEN if detector.rows else 0.0)
    strips = [Strip("hint" if detector.group == "hint" else "flagged", 0.0, middle)]
    if detector.disclosed:
        strips.append(Strip("disclosed", middle, max(scale.at(100 * everything), middle + SEEN)))
    disclosed = f"+ {detector.disclosed:,} disclosed" if detector.disclosed else ""
    title = one_line(detector.title, 120)
    return Bar(
        title,
        one_line(detector.name, 60),
        tuple(strips),
        percent(flagged),
        many(detector.rows, "row"),
        f"{title}: {many(detector.rows, 'row')}, {percent(flagged)}, {disclosed or 'none disclosed'}",
        heading,
    )


@dataclass(frozen=True, slots=True)
class Observed:
    """One chart of observed beside expected counts."""

    title: str
    bars: Bars


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    note: str
    seen: float
    expected: float


def observed(finding: DatasetFinding) -> list[Observed]:
    """The charts of a finding; none where it holds no counts."""
    found = []
    for key, (title, seen) in CHARTS.items():
        entries = _entries(finding.evidence.get(key), seen)[:MOST]
        if entries:
            found.append(Observed(title, _counted_bars(entries)))
    return found


def _counted_bars(entries: list[_Entry]) -> Bars:
    scale = axis(0.0, max(max(e.seen, e.expected) for e in entries) or 1.0, plainly, 5)
    rows = tuple(
        Bar(
            e.name,
            e.note,
            (Strip("observed", 0.0, scale.at(e.seen)), Strip("expected", 0.0, scale.at(e.expected))),
            whole(e.seen),
            mean_count(e.expected),
            f"{e.name}{f', {e.note}' if e.note else ''}: {whole(e.seen)} observed, {mean_count(e.expected)} expected",
        )
        for e in entries
    )
    return Bars(scale, rows, stacked=False)


def _entries(value: Any, count: str) -> list[_Entry]:
    found = []
    for entry in facts.mappings(value):
        seen, expected = _finite(entry.get(count)), _finite(entry.get("expected"))
        if seen is not None and expected is not None and "number" in entry:
            note = entry.get("meaning") or ("bad name" if entry.get("loaded") is True else "")
            found.append(_Entry(one_line(entry["number"], 40), one_line(note, 80), seen, expected))
    return found


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return max(0.0, float(value))


def other_evidence(finding: DatasetFinding) -> list[tuple[str, str]]:
    """The rest of a finding's evidence that is one number or word each."""
    return [
        (one_line(key.replace("_", " "), 60), one_line(_plain(key, value), 200))
        for key, value in finding.evidence.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]


def _plain(key: str, value: str | float) -> str:
    if isinstance(value, float):
        return percent(value) if "share" in key else f"{value:,.3g}" if math.isfinite(value) else "no data"
    return value if isinstance(value, str) else f"{value:,}"
