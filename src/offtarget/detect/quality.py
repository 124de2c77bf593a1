"""How far the reviewers can be trusted: planted rows they found, rows they agree on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence

from offtarget.detect.settled import is_judge
from offtarget.records import Agreement, AuditSettings, Label, ReviewerQuality
from offtarget.records.audit import person
from offtarget.stats.agreement import gwet_ac1, krippendorff_alpha, raw_agreement
from offtarget.stats.binomial import clopper_pearson, lower_share

FEWEST_CONTROLS = 5
"""Planted rows a reviewer must have seen before a PASS, where there are so many."""
FEWEST_DOUBLE = 20
"""Below this many rows with two opinions, agreement says nothing."""
ENOUGH_AGREEMENT = 0.67
"""Krippendorff, Content Analysis (2004), chapter 11: below .667 not even tentative conclusions."""


def reviewer_qualities(
    by_row: Mapping[str, Mapping[str, Label]], controls: Collection[str], good: Collection[str] = ()
) -> list[ReviewerQuality]:
    """One record per reviewer, by name. `controls`, `good`: ids of the planted known-bad and known-good rows."""
    by_reviewer: dict[str, list[Label]] = {}
    for labels in by_row.values():
        for who, label in labels.items():
            by_reviewer.setdefault(who, []).append(label)
    found = [_quality(labels, controls, good) for labels in by_reviewer.values()]
    return sorted(found, key=lambda quality: quality.reviewer)


def _quality(labels: Sequence[Label], controls: Collection[str], good: Collection[str]) -> ReviewerQuality:
    planted = [label for label in labels if label.row_id in controls]
    fine = [label for label in labels if label.row_id in good]
    caught = sum(label.mark == "bad" for label in planted)
    marked = sum(label.mark == "bad" for label in fine)
    seconds = [label.seconds for label in labels if label.seconds is not None]
    return ReviewerQuality(
        reviewer=labels[0].reviewer,
        rows=len(labels) - len(planted) - len(fine),
        controls=len(planted),
        caught=caught,
        sensitivity=clopper_pearson(caught, len(planted)) if planted else None,
        median_seconds=statistics.median(seconds) if seconds else None,
        good=len(fine),
        good_marked=marked,
        false_marks=clopper_pearson(marked, len(fine)) if fine else None,
    )


def overlooking(
    reviewers: Sequence[ReviewerQuality], planted: int, settings: AuditSettings
) -> tuple[ReviewerQuality, ...]:
    """People who have missed so many planted known-bad rows that finding all the others would not make up for it.

    What they call fine counts for nothing; what they call bad counts. Somebody else may read the rows in their place.
    """
    each = min(planted, settings.controls)
    return tuple(
        reviewer
        for reviewer in reviewers
        if each
        and not is_judge(reviewer.reviewer)
        and reviewer.caught + max(each - reviewer.controls, 0) < settings.min_sensitivity * each
    )


def without_fine_marks(
    labels: Iterable[Label], found: Sequence[ReviewerQuality], planted: Collection[str]
) -> list[Label]:
    """The labels without what these people call fine, unsure or skip; their labels on planted rows stay."""
    names = {person(reviewer.reviewer) for reviewer in found}
    return [x for x in labels if x.mark == "bad" or x.row_id in planted or person(x.reviewer) not in names]


def needed_controls(planted: int, settings: AuditSettings) -> tuple[int, int]:
    """How many planted known-bad rows a reviewer has to find, and of how many."""
    each = min(planted, settings.controls)
    return math.ceil(settings.min_sensitivity * each - 1e-9), each


def too_blind(reviewers: Sequence[ReviewerQuality], planted: int, settings: AuditSettings) -> str | None:
    """Why these reviewers cannot PASS a data set; None when they can. Only reviewers with rows of the data count."""
    each = min(planted, settings.controls)
    for reviewer in (r for r in reviewers if r.rows):
        if reviewer.controls < min(FEWEST_CONTROLS, each):
            if len(reviewers) == 1 or reviewer.rows >= FEWEST_DOUBLE:
                return f"{reviewer.reviewer} has met only {reviewer.controls} of {each} planted known-bad rows"
        elif each and reviewer.caught < settings.min_sensitivity * reviewer.controls:
            return f"{reviewer.reviewer} found only {reviewer.caught} of {reviewer.controls} planted known-bad rows"
    return None


def sensitivity_bound(
    reviewers: Sequence[ReviewerQuality], planted: int, settings: AuditSettings, error: float
) -> float:
    """Lower bound of the least sensitive reviewer's share of bad rows found; false with probability <= `error`.

    Clopper-Pearson; planted rows not seen yet count as missed, so the number is the one fixed in advance and
    stopping early gains nothing. The error is split between reviewers. 0 without planted rows.
    """
    each = min(planted, settings.controls)
    counted = [r for r in reviewers if r.rows]
    if not counted or not each:
        return 0.0
    return min(lower_share(min(r.caught, each), each, error / len(counted)) for r in counted)


def agreement(
    by_row: Mapping[str, Mapping[str, Label]], controls: Collection[str], *, judges: bool = False
) -> Agreement | None:
    """Agreement over rows with two opinions or more, planted rows and skips left out; None without such rows.

    Models take part only with `judges`.
    """
    units: list[list[str]] = []
    for row_id, labels in by_row.items():
        marks = [x.mark for x in labels.values() if x.mark != "skip" and (judges or not is_judge(x.reviewer))]
        if row_id not in controls and len(marks) > 1:
            units.append(list(marks))
    if not units:
        return None
    return Agreement(len(units), raw_agreement(units), krippendorff_alpha(units), gwet_ac1(units))


def disagree(found: Agreement | None) -> bool:
    """Whether two reviewers disagree too much for a PASS: both alpha and AC1 low, on enough rows.

    Alpha alone would stop nearly clean data sets, where one row in dispute among forty makes it 0.
    """
    return low_alpha(found) and found is not None and found.gwet_ac1 is not None and found.gwet_ac1 < ENOUGH_AGREEMENT


def low_alpha(found: Agreement | None) -> bool:
    """Whether Krippendorff's alpha is low on enough rows to be worth a word."""
    if found is None or found.rows < FEWEST_DOUBLE or found.krippendorff_alpha is None:
        return False
    return found.krippendorff_alpha < ENOUGH_AGREEMENT
