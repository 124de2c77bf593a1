"""All candidates as a table, the same in a terminal, on the page and in Markdown."""

from __future__ import annotations

from offtarget.numbers import bounds, difference, e_value
from offtarget.records.candidates import CandidatesReport

HEADS = ("candidate", "verdict", "worse than the base", "bounds", "answers", "evidence of harm")
NOT_CHECKED = "not checked"


def rows(report: CandidatesReport) -> list[tuple[str, ...]]:
    """A row per candidate under `HEADS`, the worst first, those that were not checked last."""
    checked: list[tuple[str, ...]] = [
        (
            each.name,
            each.together.value,
            f"{difference(each.difference)} points",
            bounds(each.worse_by),
            f"{each.tuned_answers:,}",
            e_value(each.log_e_fail),
        )
        for each in report.candidates
    ]
    return checked + [(each.name, NOT_CHECKED, "", "", "", "") for each in report.not_checked]
