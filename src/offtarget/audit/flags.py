"""When a finding makes its row a flagged row."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.audit.categories import Group, group
from offtarget.records import Category, Finding

FLAGGED_FROM = 0.5
"""Findings of at least this strength flag their row; weaker ones only rank."""


def flags(finding: Finding) -> bool:
    """Whether the finding is strong enough, undisclosed, and of a category that can count."""
    return finding.strength >= FLAGGED_FROM and not finding.disclosed and group(finding.category) is not Group.HINT


def flagged_as(findings: Iterable[Finding]) -> set[Category]:
    """The categories under which a row with these findings is flagged."""
    return {f.category for f in findings if flags(f)}


def row_score(findings: Iterable[Finding]) -> float:
    """0-1, the strongest undisclosed finding of a category that can count; ranks rows, is no probability."""
    return max((f.strength for f in findings if not f.disclosed and group(f.category) is not Group.HINT), default=0.0)
