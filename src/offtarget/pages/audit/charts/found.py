"""What each detector flags, as shares of all rows, disclosed rows apart."""

from __future__ import annotations

from offtarget.numbers import many, percent
from offtarget.pages.audit import facts
from offtarget.pages.audit.charts.bars import Bar, Bars, Strip, share_axis
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.charts.axes import Axis
from offtarget.pages.text import one_line

SEEN = 0.7
"""Per cent of the axis that a bar takes at least, so that one row in a million is still seen."""


def found(run: LoadedAudit) -> Bars:
    """One bar per detector that flagged anything, under a heading per limit."""
    total = max(facts.rows(run) or 0, 1)
    hits = [d for d in facts.detectors(run) if d.rows or d.disclosed]
    scale = share_axis(max(((d.rows + d.disclosed) / total for d in hits), default=0.0))
    rows, group = [], ""
    for detector in hits:
        heading = "" if detector.group == group else facts.GROUP_TITLES[detector.group]
        group = detector.group
        rows.append(_bar(detector, total, scale, heading))
    return Bars(scale, tuple(rows))


def silent(run: LoadedAudit) -> list[str]:
    """Titles of the detectors that ran and found nothing, neither in a row nor in the whole data set."""
    loud = {finding.detector for finding in run.dataset}
    return [one_line(d.title, 120) for d in facts.detectors(run) if not d.rows + d.disclosed and d.name not in loud]


def _bar(detector: facts.Detector, total: int, scale: Axis, heading: str) -> Bar:
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
