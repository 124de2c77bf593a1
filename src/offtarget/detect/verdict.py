"""The verdict on a data set: labels of rows in, PASS, FAIL or UNDECIDED with its reasons out.

Design and theorems: docs/design/audit-verdict.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from offtarget.detect.detector_verdict import Alarm, DetectorCalibration, detector_alarm
from offtarget.detect.false_marks import met_by_each, met_by_two
from offtarget.detect.limit_tests import has_failed, has_passed, limit_tests
from offtarget.detect.limits import Counts, draw, flags_refuted, limit_of, round_alpha
from offtarget.detect.plan import review_plan, rows_until_settled
from offtarget.detect.quality import (
    agreement,
    disagree,
    needed_controls,
    overlooking,
    reviewer_qualities,
    sensitivity_bound,
    too_blind,
    without_fine_marks,
)
from offtarget.detect.reasons import (
    copies_reason,
    fail_reason,
    notes_for,
    one_word_reason,
    overlooked_reason,
    pass_reason,
    too_slow_reason,
    undecided_reason,
)
from offtarget.detect.settled import BACKDOOR, LIMITS, NOISE, SPREADING, Settled, is_judge, opinions, settle
from offtarget.detect.suspects import answered, confirmed_reason, dismissed_note, open_reason
from offtarget.detect.untested import not_tested
from offtarget.records import AuditDecision, AuditSettings, Category, DatasetFinding, Label, Status, Suspect
from offtarget.records.audit import gravest_first, person

Basis = Literal["people", "judge", "detectors", "none"]
FEW_RANDOM = 20
FEW_FLAGGED = 5
"""Labels from which on an alarm that they do not bear out no longer stands as a FAIL."""


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """What the scan counted, as far as the verdict needs it."""

    rows: int
    malformed: int = 0
    flagged: Mapping[str, tuple[Category, int]] = field(default_factory=dict)
    """Detector -> its category and the rows it flags undisclosed."""
    independent: tuple[int, Mapping[str, int]] | None = None
    """(rows, detector -> rows it flags), rows that nearly repeat each other counted once; None where not counted."""
    flagged_rows: int = 0
    """Rows flagged under any category that can count."""
    flagged_spreading: int = 0
    """Rows flagged under a category known to spread."""
    undesired_rows: int = 0
    """Rows marked as examples not to follow."""
    masked_rows: int = 0
    """Other rows with an assistant turn that is marked as without loss."""
    foreign_rows: int = 0
    """Rows whose answer is plainly in another language than English."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Field with text that nothing reads -> rows that have it."""
    detectors: tuple[str, ...] = ()
    """Names of those that ran."""
    too_slow: int = 0
    """Of the malformed ones those that a trainer would learn, while detectors did not come to an end."""


def decide(
    labels: Sequence[Label],
    scan: ScanCounts,
    settings: AuditSettings,
    *,
    controls: Mapping[str, Category],
    good: Collection[str] = (),
    dataset: Sequence[DatasetFinding] = (),
    order: Sequence[str],
    flagged: Sequence[str] = (),
    flagged_spreading: Sequence[str] = (),
    basis: Literal["people", "judge"] = "people",
    calibration: Mapping[str, DetectorCalibration] | None = None,
    suspects: Sequence[Suspect] = (),
) -> AuditDecision:
    """The verdict the labels allow; without any, what the detectors allow.

    `order`: row ids in the order of review. The random stream is its longest labelled prefix, in whatever stream a
    row was labelled; `unsure` and `skip` are labels (bad for PASS, fine for FAIL), so that no row can be left out.
    `flagged` and `flagged_spreading`: ids of rows flagged under any category that counts, and under a spreading one,
    each in a random order fixed before the labels (that of the queue); without them flagged rows count only towards
    certainty. `controls`: planted known-bad row id -> category; `good`: ids of planted known-good rows, which a FAIL by
    labels then waits for: without any, every mark is taken to be right. With basis `people` models have no say; with
    `judge` they speak where no person did, but what detectors say of the whole set only people overrule. `suspects`:
    hidden conditions without a PASS until people answer for them (labels of the stream `condition`); one that two
    people confirmed is a FAIL, as is a row that two people call part of a backdoor. What people call fine who overlook
    too many planted rows counts for nothing, as if nobody had read those rows.

    What people call fine who overlook too many planted rows counts for nothing, as if nobody had read those rows.
    """
    suspects = tuple(gravest_first(answered(suspects, labels)))
    labels = [label for label in labels if label.stream != "condition"]
    planted = {*controls, *good}
    everybody = reviewer_qualities(opinions(labels), controls, good)
    overlooked = overlooking(everybody, len(controls), settings)
    by_row = opinions(without_fine_marks(labels, overlooked, planted))
    settled = settle(by_row, basis, planted)
    counts = count(settled, scan, order, flagged, flagged_spreading)
    if good:
        judges = basis == "judge"
        by_two = count(
            {row_id: row.by_two() for row_id, row in settled.items() if row.second},
            scan, order, flagged, flagged_spreading,
        )  # fmt: skip
        counts = replace(
            counts,
            good=met_by_each(by_row, good, planted, judges=judges),
            by_two=replace(by_two, good=(met_by_two(by_row, good, judges=judges),)),
        )
    confirmed = [suspect for suspect in suspects if suspect.state == "confirmed"]
    # one that was carried over from before cleaning has no flagged rows left, and is a backdoor all the same
    counts.confirmed[BACKDOOR] += sum(max(suspect.behaving_with, 1) for suspect in confirmed)
    waiting = [suspect for suspect in suspects if suspect.state == "open"]
    heard = [q for q in everybody if basis == "judge" or not is_judge(q.reviewer)]
    reviewers = [q for q in heard if q not in overlooked]
    out = {person(q.reviewer) for q in overlooked}
    both = {id_: {who: x for who, x in by.items() if who not in out} for id_, by in by_row.items()}
    agreed = agreement(both, planted, judges=basis == "judge")
    sensitivity = None
    if settings.adjust_for_sensitivity:
        sensitivity = sensitivity_bound(reviewers, len(controls), settings, round_alpha(settings) / 2)
    alarm = detector_alarm(scan.rows, scan.flagged, dataset, settings, calibration, scan.independent)
    people = (
        counts
        if basis == "people"
        else count(settle(by_row, "people", planted), scan, order, flagged, flagged_spreading)
    )
    # rows that repeat each other are one alarm, often too little for a FAIL; a PASS has to answer it all the same
    raised = alarm or detector_alarm(scan.rows, scan.flagged, dataset, settings, calibration)
    # a model that calls the flagged rows fine casts doubt on the alarm; to overrule it takes people
    standing = raised if raised is not None and not _refuted(raised, people, settings) else None

    tests = limit_tests(counts, settings, sensitivity)
    needed = tests[:2] if settings.certify_spreading else tests[:1]
    shown = bool(scan.rows) and all(has_passed(counts, t.name, settings, sensitivity) for t in needed)
    blocked = too_blind(reviewers, len(controls), settings)
    if blocked is None and disagree(agreed):
        blocked = "the reviewers agree too little for a PASS"
    if blocked is None and scan.too_slow:
        blocked = too_slow_reason(scan.too_slow)
    if blocked is None and shown and standing is not None:
        read = "too few flagged rows were read" if people is counts else "people have read too few flagged rows"
        blocked = f"detectors say otherwise ({standing.reason}) and {read} to overrule them"
    held = blocked if shown else None
    named = [row_id for row_id, row in settled.items() if row.backdoor_by]
    asked = [open_reason(waiting)] if waiting else []
    asked += [one_word_reason(named, settled[named[0]])] if named else []
    people_needed = " And ".join(asked)
    if shown and held is None and people_needed:
        held = people_needed

    source: Basis = "people" if confirmed else basis if settled else ("detectors" if scan.rows else "none")
    status = Status.UNDECIDED
    if has_failed(counts, settings):
        status = Status.FAIL
    elif shown and held is None:
        status = Status.PASS
    elif standing is not None and alarm is not None and not shown and not _doubted(standing, counts, settings):
        status, source = Status.FAIL, "detectors"

    decided = status is not Status.UNDECIDED and source != "detectors"
    plan = review_plan(scan.rows, settings, counts, sensitivity=sensitivity, decided=decided)
    if status is Status.UNDECIDED and standing is not None and shown:
        to_go = rows_until_settled(counts, standing.limit, settings) if people is counts else None
        plan = replace(plan, rows_to_go=to_go)
    alpha = round_alpha(settings)
    if status is Status.PASS:
        reason = pass_reason(counts, tests, settings, alpha)
    elif status is Status.FAIL:
        if confirmed:
            reason = confirmed_reason(confirmed)
        elif source == "detectors" and standing:
            reason = standing.reason
        else:
            reason = fail_reason(counts, tests, settled, settings, alpha)
    else:
        reason = undecided_reason(counts, tests, plan, settings, held)
        if overlooked:
            reason = f"{reason}. {overlooked_reason(overlooked, *needed_controls(len(controls), settings))}"
        if people_needed and (blocked is not None or not shown):
            reason = f"{reason}. And {people_needed}"
        if standing is not None and alarm is None and not shown:
            reason = f"{reason}. {copies_reason(standing, scan.independent)}"
    prefix = int(counts.random[NOISE].labelled)
    return AuditDecision(
        status=status,
        reason=reason,
        basis=source,
        settings=settings,
        rows=scan.rows,
        malformed=scan.malformed,
        tests=tests,
        plan=plan,
        reviewers=tuple(everybody),
        agreement=agreed,
        not_tested=not_tested(
            rows=scan.rows,
            labelled=len(settled),
            judge=basis == "judge" and bool(settled),
            undesired_rows=scan.undesired_rows,
            masked_rows=scan.masked_rows,
            too_slow=scan.too_slow,
            foreign=scan.foreign_rows,
            unread=scan.unread,
            detectors=scan.detectors,
        ),
        notes=notes_for(
            reviewers=heard,
            agreed=agreed,
            settled=settled,
            order=order,
            prefix=prefix,
            planted=len(controls),
            good=len(good),
            malformed=scan.malformed,
            foreign=scan.foreign_rows,
            rows_read=scan.rows,
            alarm=alarm,
            basis=source,
            settings=settings,
        )
        + tuple(dismissed_note(suspect) for suspect in suspects if suspect.state == "dismissed"),
        suspects=suspects,
        unconfirmed=tuple(named),
    )


def count(
    settled: Mapping[str, Settled],
    scan: ScanCounts,
    order: Sequence[str],
    flagged: Sequence[str] = (),
    flagged_spreading: Sequence[str] = (),
) -> Counts:
    """The labels as counts per limit: random prefix, flagged strata, and everything confirmed or cleared."""
    strata = {NOISE: (scan.flagged_rows, flagged), SPREADING: (scan.flagged_spreading, flagged_spreading)}
    return Counts(
        rows=scan.rows,
        random={name: draw(scan.rows, order, settled, name) for name in (NOISE, SPREADING)},
        flagged={name: draw(size, ids, settled, name) for name, (size, ids) in strata.items()},
        confirmed={name: sum(name in row.sure for row in settled.values()) for name in LIMITS},
        cleared={name: sum(name not in row.possible for row in settled.values()) for name in LIMITS},
    )


def _refuted(alarm: Alarm, counts: Counts, settings: AuditSettings) -> bool:
    """Whether labels show that the limit the alarm speaks of is kept, by random rows or within the flagged ones."""
    by_random = has_passed(counts, alarm.limit, settings, None)
    return by_random or (counts.flagged[alarm.limit].labelled > 0 and flags_refuted(counts, alarm.limit, settings))


def _doubted(alarm: Alarm, counts: Counts, settings: AuditSettings) -> bool:
    """Whether the labels so far do not bear the alarm out: then it waits for more of them."""
    stratum, random = counts.flagged[alarm.limit], counts.random[alarm.limit]
    if stratum.labelled >= FEW_FLAGGED:
        return stratum.sure < stratum.labelled / 2
    return random.labelled >= FEW_RANDOM and random.sure <= random.labelled * limit_of(alarm.limit, settings)
