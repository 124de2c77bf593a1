"""Observed against expected counts, for what only the whole data set shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from offtarget.gate.audit.charts.bars import Bar, Bars, Strip
from offtarget.gate.audit.facts import mappings
from offtarget.gate.charts.axes import axis
from offtarget.gate.text import one_line
from offtarget.records import DatasetFinding

MOST = 12
"""Bars drawn; the rest is in dataset.json of the run."""
KEYS = ("numbers", "histogram")
"""Where a finding's evidence holds rows of `{"value", "observed", "expected"}`."""


def observed(finding: DatasetFinding) -> Bars | None:
    """Bars of observed beside expected counts; None where the finding holds none."""
    entries = next((found for key in KEYS if (found := _entries(finding.evidence.get(key)))), [])[:MOST]
    if not entries:
        return None
    scale = axis(0.0, max(max(o, e) for _, o, e in entries) or 1.0, "{:,.0f}", 5)
    rows = tuple(
        Bar(
            name,
            "",
            (Strip("observed", 0.0, scale.at(seen)), Strip("expected", 0.0, scale.at(expected))),
            _number(seen),
            _number(expected),
            f"{name}: {_number(seen)} observed, {_number(expected)} expected",
        )
        for name, seen, expected in entries
    )
    return Bars(scale, rows, stacked=False)


def _entries(value: Any) -> list[tuple[str, float, float]]:
    found = []
    for entry in mappings(value):
        seen, expected = _finite(entry.get("observed")), _finite(entry.get("expected"))
        if seen is not None and expected is not None and "value" in entry:
            found.append((one_line(entry["value"], 40), seen, expected))
    return found


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return max(0.0, float(value))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def other_evidence(finding: DatasetFinding) -> list[tuple[str, str]]:
    """The rest of a finding's evidence that is one number or word each."""
    plain: Mapping[str, Any] = finding.evidence
    return [
        (one_line(key.replace("_", " "), 60), one_line(f"{value:,}" if _counted(value) else value, 200))
        for key, value in plain.items()
        if key not in KEYS and isinstance(value, str | int | float) and not isinstance(value, bool)
    ]


def _counted(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
