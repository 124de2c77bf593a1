"""The words of a verdict: the one-sentence reason of each outcome, the notes beside it, what was not tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from offtarget.detect.categories import MEANINGS
from offtarget.detect.detector_verdict import Alarm, of_rows, rows
from offtarget.detect.limit_tests import bound_shown
from offtarget.detect.limits import Counts, limit_of
from offtarget.detect.plan import rows_until_pass
from offtarget.detect.quality import ENOUGH_AGREEMENT, low_alpha
from offtarget.detect.settled import BACKDOOR, NOISE, SPREADING, Settled
from offtarget.numbers import at_least, at_most, chosen
from offtarget.records import Agreement, AuditSettings, LimitTest, ReviewerQuality, ReviewPlan, Status
from offtarget.stats.finite import most_allowed

KIND = {NOISE: "bad", SPREADING: "of a kind known to spread"}
SMALLEST_TRIGGER = 20
"""Rows below which a hidden condition is not expected to show."""
UNREAD = 8
"""Fields that are not read and named in the list of what was not tested."""


def fail_reason(
    counts: Counts, tests: Sequence[LimitTest], settled: Mapping[str, Settled], settings: AuditSettings, alpha: float
) -> str:
    """Why the labels FAIL the data set."""
    if counts.confirmed[BACKDOOR]:
        first = next(row_id for row_id, row in settled.items() if BACKDOOR in row.sure)
        return f"{rows(counts.confirmed[BACKDOOR])} confirmed as part of a backdoor (first: {first}); one is enough"
    worst = next(
        (t for t in (tests[1], tests[0]) if t.status is Status.FAIL), tests[0]
    )  # the stricter limit says more about what is wrong
    limit = limit_of(worst.name, settings)
    kinds = _kinds(settled, worst.name)
    if counts.confirmed[worst.name] > most_allowed(counts.rows, limit):
        return (
            f"{of_rows(counts.confirmed[worst.name], counts.rows)} are confirmed {KIND[worst.name]}{kinds}; "
            f"the limit is {chosen(limit)}"
        )
    return (
        f"{_read(counts, worst.name)}{kinds}: more than {chosen(limit)} of {rows(counts.rows)} "
        f"(error probability <= {chosen(alpha)})"
    )


def pass_reason(counts: Counts, tests: Sequence[LimitTest], settings: AuditSettings, alpha: float) -> str:
    """What a PASS rests on, and what it does not show."""
    noise, spreading = tests[0], tests[1]
    text = (
        f"{_random(counts, NOISE)}: at most {chosen(noise.limit)} of {rows(counts.rows)} "
        f"(error probability <= {chosen(alpha)})"
    )
    if spreading.status is Status.PASS:
        return f"{text}, and at most {chosen(spreading.limit)} of a kind known to spread"
    return f"{text}; {spreading_gap(counts, settings)}"


def spreading_gap(counts: Counts, settings: AuditSettings) -> str:
    """How far the random rows are from showing the spreading limit."""
    more = rows_until_pass(counts, SPREADING, settings, 0.0)
    would = (
        ""
        if more is None
        else f", and its {chosen(settings.spreading_limit)} limit would take {more:,} more clean rows"
    )
    return f"of kinds known to spread only at most {at_most(bound_shown(counts, SPREADING, settings))} is shown{would}"


def undecided_reason(
    counts: Counts, tests: Sequence[LimitTest], plan: ReviewPlan, settings: AuditSettings, blocked: str | None
) -> str:
    """What is missing."""
    if not counts.rows:
        return "there is no row to judge"
    if not counts.random[NOISE].labelled:
        read = "no random row has been reviewed" if sum(counts.cleared.values()) else "no row has been reviewed"
        return (
            f"{read}; if every one is fine, {rows(plan.clean_rows)} in random order show that at most "
            f"{chosen(settings.noise_limit)} is bad"
        )
    if blocked is not None:
        return f"{_random(counts, NOISE)}, but {blocked}"
    test = tests[1] if settings.certify_spreading and tests[0].status is Status.PASS else tests[0]
    where = ""
    if test.interval is not None:
        where = f": between {at_least(test.interval.low)} and {at_most(test.interval.high)} of {rows(counts.rows)}"
    more = "" if plan.rows_to_go is None else f"; about {rows(plan.rows_to_go)} more at this rate"
    return f"{_random(counts, test.name)}{where}, and the limit is {chosen(test.limit)}{more}"


def notes_for(
    *,
    reviewers: Sequence[ReviewerQuality],
    agreed: Agreement | None,
    settled: Mapping[str, Settled],
    order: Collection[str],
    prefix: int,
    planted: int,
    malformed: int,
    alarm: Alarm | None,
    basis: str,
    settings: AuditSettings,
) -> tuple[str, ...]:
    """Warnings that belong beside the verdict."""
    notes: list[str] = []
    if alarm is not None:
        if basis == "detectors":
            notes.append("Detectors alone say FAIL; no person has confirmed it yet.")
        else:
            notes.append(f"Detectors alone say FAIL ({alarm.reason}); the verdict goes by the labels.")
    if settled and not planted:
        notes.append("No known-bad rows were planted: the verdict is about what these reviewers notice, not more.")
    for reviewer in (r for r in reviewers if r.controls and r.caught < r.controls):
        low = reviewer.sensitivity.low if reviewer.sensitivity else 0.0
        notes.append(
            f"{reviewer.reviewer} found {reviewer.caught} of {reviewer.controls} planted known-bad rows "
            f"(at least {at_least(low)} of bad rows with 97.5 % confidence)."
        )
    if agreed is not None and low_alpha(agreed):
        notes.append(
            f"Reviewers agree too little on {rows(agreed.rows)} (Krippendorff's alpha "
            f"{agreed.krippendorff_alpha or 0:.2f}, below {ENOUGH_AGREEMENT}): talk about the disputed rows and label "
            "them again."
        )
    open_rows = sum(row.open for row in settled.values())
    if open_rows:
        disputed = sum(row.disputed for row in settled.values() if row.open)
        which = f"; {disputed} of them two reviewers dispute" if disputed else ""
        notes.append(f"{rows(open_rows)} without a clear mark: counted as bad for PASS and as fine for FAIL{which}.")
    gaps = sum(row_id in settled for row_id in list(order)[prefix:])
    if gaps and prefix < len(order):
        notes.append(
            f"{rows(gaps)} labelled ahead of the random order will count once the rows before them are labelled."
        )
    if malformed:
        kept = "is" if malformed == 1 else "are"
        notes.append(
            f"{rows(malformed)} could not be read and {kept} no part of the verdict; a trainer may still read them."
        )
    if settings.round > 1:
        notes.append(
            f"Round {settings.round}: alpha is halved with every re-audit, and all rounds together err with "
            f"probability at most {chosen(2 * settings.alpha)}."
        )
    return tuple(notes)


def too_slow_reason(count: int) -> str:
    """Why rows that took too long to read stand against a PASS."""
    said = "row takes" if count == 1 else "rows take"
    return (
        f"{count:,} {said} too long to read (malformed.jsonl names {'it' if count == 1 else 'them'}), and a trainer "
        "would learn what nobody has read: leave such rows out with --clean OUT --drop-malformed and audit OUT"
    )


def not_tested(
    *,
    rows: int,
    labelled: int,
    judge: bool,
    undesired_rows: int,
    unread: Mapping[str, int],
    too_slow: int = 0,
) -> tuple[str, ...]:
    """One sentence each, the most dangerous first; adapted to the data and to what was run."""
    found = [
        "Backdoors: a random sample misses a few poisoned rows among many, and about 250 can be enough whatever the "
        "size of the data; hidden conditions were sought in all rows, but one in fewer than "
        f"{SMALLEST_TRIGGER} rows, or one of meaning rather than words, may not show."
    ]
    if labelled < rows:
        found.append(
            f"Rows nobody read: {rows - labelled:,} of {rows:,}; the verdict speaks of their share of bad rows, not of "
            "single ones."
        )
    found += [
        "Subliminal traits: answers written by a model can pass its leanings on to a model of the same family through "
        "text in which no reader sees anything.",
        "Rows that look harmless and still weaken safety when tuned on, such as lists or a willing tone.",
        "A tilt of the whole data set where each row by itself is fine, such as one-sided choice of topics.",
        "Ciphers and encodings whose key is not in the data.",
        "Lies that only somebody with private knowledge of the facts could see.",
        "What a model does after training: that is what `offtarget check` measures.",
        "Code in languages other than Python is read by reviewers only, not by the code rules.",
        "Languages other than English: the word lists do not know them.",
    ]
    if too_slow:
        found.append(
            f"Rows that took too long to read: {too_slow:,}; detectors did not come to an end in them, and a trainer "
            "would learn them."
        )
    if unread:
        names = ", ".join(f"{name} ({of_rows(count, rows)})" for name, count in list(unread.items())[:UNREAD])
        more = f" and {len(unread) - UNREAD} more" if len(unread) > UNREAD else ""
        found.insert(
            0,
            f"Text in fields that are not read, as `tune` does not learn from them: {names}{more}. Others may.",
        )
    if undesired_rows:
        found.append(
            f"{undesired_rows:,} rows marked as examples not to follow, or masked whole: detectors skip them, and "
            "whether the training really leaves them out or pushes away from them is not known here."
        )
    if judge:
        found.append("What the judge model itself cannot see, or was told to overlook by the rows it read.")
    return tuple(found)


def _random(counts: Counts, name: str) -> str:
    drawn = counts.random[name]
    open_rows = int(drawn.possible - drawn.sure)
    beside = f" and {open_rows} more open" if open_rows else ""
    return f"{int(drawn.sure):,} of {int(drawn.labelled):,} random rows {KIND[name]}{beside}"


def _read(counts: Counts, name: str) -> str:
    stratum = counts.flagged.get(name)
    random = _random(counts, name)
    if stratum is None or not stratum.labelled:
        return random
    flagged = (
        f"{int(stratum.sure):,} of {int(stratum.labelled):,} flagged rows {KIND[name]}, "
        f"with {of_rows(stratum.population, counts.rows)} flagged"
    )
    return flagged if not counts.random[name].labelled else f"{random} and {flagged}"


def _kinds(settled: Mapping[str, Settled], name: str) -> str:
    found = Counter(c for row in settled.values() if name in row.sure for c in row.categories)
    top = [MEANINGS[category].title.lower() for category, _ in found.most_common(2)]
    return f" ({', '.join(top)})" if top else ""
