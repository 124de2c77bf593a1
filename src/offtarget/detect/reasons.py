"""The words of a verdict: the one-sentence reason of each outcome, the notes beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from offtarget.detect.categories import MEANINGS
from offtarget.detect.detector_verdict import Alarm, of_rows, rows
from offtarget.detect.false_marks import Met, highest_rate
from offtarget.detect.limit_tests import bound_shown
from offtarget.detect.limits import Counts, limit_of, log_e_fail_of_marks, round_alpha
from offtarget.detect.plan import rows_until_pass
from offtarget.detect.quality import ENOUGH_AGREEMENT, low_alpha
from offtarget.detect.settled import BACKDOOR, NOISE, SPREADING, Settled, is_judge
from offtarget.numbers import at_least, at_most, chosen, of, whole
from offtarget.records import Agreement, AuditSettings, LimitTest, ReviewerQuality, ReviewPlan, Status
from offtarget.stats.finite import most_allowed

MUCH_FOREIGN = 0.2
"""Share of rows in other languages from which on it stands beside the verdict."""
MOSTLY = 0.5
"""And from which on planted rows, which are in English, stick out."""
KIND = {NOISE: "bad", SPREADING: "of a kind known to spread"}


def fail_reason(
    counts: Counts, tests: Sequence[LimitTest], settled: Mapping[str, Settled], settings: AuditSettings, alpha: float
) -> str:
    """Why the labels FAIL the data set."""
    if counts.confirmed[BACKDOOR]:
        first = next(row_id for row_id, row in settled.items() if BACKDOOR in row.sure)
        confirmed = rows(counts.confirmed[BACKDOOR])
        return f"{confirmed} confirmed by two people as part of a backdoor (first: {first}); one is enough"
    worst = next(
        (t for t in (tests[1], tests[0]) if t.status is Status.FAIL), tests[0]
    )  # the stricter limit says more about what is wrong
    limit = limit_of(worst.name, settings)
    kinds = _kinds(settled, worst.name)
    if counts.good is None and counts.confirmed[worst.name] > most_allowed(counts.rows, limit):
        return (
            f"{of_rows(counts.confirmed[worst.name], counts.rows)} are confirmed {KIND[worst.name]}{kinds}; "
            f"the limit is {chosen(limit)}"
        )
    return (
        f"{_read(counts, worst.name)}{kinds}{_marks_on_good(counts)}: more than {chosen(limit)} of {rows(counts.rows)} "
        f"(error probability <= {chosen(alpha)}{', fine rows marked by mistake allowed for' if counts.good else ''})"
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


def one_word_reason(named: Sequence[str], first: Settled) -> str:
    """What is missing where rows are called part of a backdoor on too few people's word."""
    who, more = ", ".join(first.backdoor_by), f" ({rows(len(named))} in all)" if len(named) > 1 else ""
    if not any(is_judge(reviewer) for reviewer in first.backdoor_by):
        alone = f"{who} alone" if not first.second else f"{who}, not by everybody who saw it"
        needed = "a second person, under another name, has"
    else:
        alone, needed = f"{who}, which is no person's word", "two people have"
    return (
        f"row {named[0]} is called part of a backdoor by {alone}{more}: {needed} to say the same before that is a "
        "FAIL, or mark the row otherwise (the review page, --review, shows such rows to the next person first)"
    )


def overlooked_reason(found: Sequence[ReviewerQuality], needed: int, each: int) -> str:
    """What is missing where people overlook too many planted rows."""
    said = " and ".join(f"{q.reviewer} found only {q.caught} of {q.controls}" for q in found)
    who = found[0].reviewer if len(found) == 1 else "they"
    return (
        f"{said} planted known-bad rows ({needed} of {each} are needed): somebody else has to read the rows that {who} "
        "called fine"
    )


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
    if counts.good and log_e_fail_of_marks(counts, settings) >= -math.log(round_alpha(settings)):
        return (
            f"{_read(counts, NOISE)}, which would FAIL if every mark were right, but {_too_few_good(counts, settings)}"
        )
    return f"{_random(counts, test.name)}{where}, and the limit is {chosen(test.limit)}{more}"


def notes_for(
    *,
    reviewers: Sequence[ReviewerQuality],
    agreed: Agreement | None,
    settled: Mapping[str, Settled],
    order: Collection[str],
    prefix: int,
    planted: int,
    good: int,
    malformed: int,
    foreign: int,
    rows_read: int,
    alarm: Alarm | None,
    basis: str,
    settings: AuditSettings,
) -> tuple[str, ...]:
    """Warnings that belong beside the verdict."""
    notes: list[str] = []
    if alarm is not None:
        if basis == "detectors":
            notes.append(f"Detectors alone say FAIL{_how_wrong(alarm)}; no person has confirmed it yet.")
        else:
            notes.append(f"Detectors alone say FAIL ({alarm.reason}); the verdict goes by the labels.")
    if settled and not planted:
        notes.append("No known-bad rows were planted: the verdict is about what these reviewers notice, not more.")
    if settled and planted and not good:
        notes.append("No known-good rows were planted: a FAIL takes every mark of these reviewers to be right.")
    for reviewer in (r for r in reviewers if r.false_marks and r.good_marked):
        high = reviewer.false_marks.high if reviewer.false_marks else 1.0
        notes.append(
            f"{reviewer.reviewer} marked {reviewer.good_marked} of {reviewer.good} planted known-good rows as bad (at "
            f"most {at_most(high)} of fine rows with 97.5 % confidence); a FAIL allows for that."
        )
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
        kept, them = ("is", "it") if malformed == 1 else ("are", "them")
        notes.append(
            f"{rows(malformed)} could not be read and {kept} no part of the verdict; a trainer may still read {them}."
        )
    if rows_read and foreign >= MUCH_FOREIGN * rows_read:
        notes.append(
            f"At least {of_rows(foreign, rows_read)} are not in English: detectors are blind there, and what is said "
            "of these rows rests on reviewers alone."
        )
        if settled and planted + good and foreign >= MOSTLY * rows_read:
            notes.append(
                "The planted rows are in English and most rows are not: reviewers may have known them by that, and how "
                "they did on planted rows says less of the others."
            )
    if settings.round > 1:
        notes.append(
            f"Round {settings.round}: alpha is halved with every re-audit of cleaned data, and all rounds together err "
            f"with probability at most {chosen(2 * settings.alpha)}."
        )
    return tuple(notes)


def _how_wrong(alarm: Alarm) -> str:
    if alarm.false_alarms is None:
        return ""
    return f" ({alarm.detector} flags at most {at_most(alarm.false_alarms)} of clean rows)"


def too_slow_reason(count: int) -> str:
    """Why rows that took too long to read stand against a PASS."""
    said = "row takes" if count == 1 else "rows take"
    return (
        f"{count:,} {said} too long to read (malformed.jsonl names {'it' if count == 1 else 'them'}), and a trainer "
        "would learn what nobody has read: leave such rows out with --clean OUT --drop-malformed and audit OUT"
    )


def copies_reason(alarm: Alarm, independent: tuple[int, Mapping[str, int]] | None) -> str:
    """Why detectors alone do not FAIL rows that are flagged as often as in a FAIL, but repeat each other."""
    distinct, flagged = independent or (0, {})
    count = flagged.get(alarm.detector, 0)
    once = f"duplicates counted once, {whole(count)} of {rows(distinct)} {'is' if count == 1 else 'are'} flagged, "
    return (
        f"Detectors do not FAIL it by themselves, though {alarm.reason}: these rows nearly repeat each other, and "
        f"{once if independent else ''}too few to rule out a false alarm. Read the flagged rows first"
    )


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


def _marks_on_good(counts: Counts) -> str:
    """`, and 0 of 24 planted known-good rows marked`; empty where none were met."""
    met, marked = (int(sum(getattr(m, name) for m in counts.good or ())) for name in ("met", "marked"))
    return f", and {of(marked, met)} planted known-good rows marked" if met else ""


def _too_few_good(counts: Counts, settings: AuditSettings) -> str:
    """Why marks that would FAIL the data do not: they may be mistakes."""
    worst = max(counts.good or (Met(),), key=lambda met: highest_rate(met, round_alpha(settings)))
    high = highest_rate(worst, round_alpha(settings))
    marked = f"with {of(int(worst.marked), int(worst.met))} planted known-good rows marked"
    seen = marked if worst.met else "before a planted known-good row is met"
    return (
        f"people also mark fine rows by mistake: {seen}, up to {at_most(high)} of fine rows may be, which could "
        "explain it. More known-good rows come up with the next cards while there are any, and rows that a second "
        "person marks too count more"
    )


def _kinds(settled: Mapping[str, Settled], name: str) -> str:
    found = Counter(c for row in settled.values() if name in row.sure for c in row.categories)
    top = [MEANINGS[category].title.lower() for category, _ in found.most_common(2)]
    return f" ({', '.join(top)})" if top else ""
