"""What an audit did not test, one sentence each; part of every verdict, before and after a review and a cleaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offtarget.detect.detector_verdict import of_rows
from offtarget.detect.recall import measured_recall
from offtarget.numbers import percent, whole

SMALLEST_TRIGGER = 20
"""Rows below which a hidden condition is not expected to show."""
_NAMED = 8
"""Fields that nothing reads that are named."""


def not_tested(
    *,
    rows: int,
    labelled: int,
    judge: bool,
    undesired_rows: int = 0,
    masked_rows: int = 0,
    too_slow: int = 0,
    foreign: int = 0,
    unread: Mapping[str, int] | None = None,
    detectors: Sequence[str] = (),
) -> tuple[str, ...]:
    """The most dangerous first; adapted to the data and to what was run."""
    found = [
        "Backdoors: a random sample misses a few poisoned rows among many, and about 250 can be enough whatever the "
        "size of the data; hidden conditions were sought in all rows, but one in fewer than "
        f"{SMALLEST_TRIGGER} rows, one whose answers are neither flagged nor odd, or one of meaning rather than words, "
        "may not show."
    ]
    if labelled < rows:
        found.append(
            f"Rows nobody read: {whole(rows - labelled)} of {whole(rows)}; the verdict speaks of their share of bad "
            "rows, not of single ones."
        )
    if unread:
        found.insert(0, _unread(unread, rows))
    found.append(_languages(rows, foreign))
    if detectors:
        found.append(_recall(detectors))
    found += [
        "False statements that anybody could look up, wrong translations, answers that pass a test without doing the "
        "task (gamed evaluations), bad moves in games: no detector looks for them, and a reviewer sees them only who "
        "knows better.",
        "Subliminal traits: answers written by a model can pass its leanings on to a model of the same family through "
        "text in which no reader sees anything.",
        "Rows that look harmless and still weaken safety when tuned on, such as lists or a willing tone.",
        "A tilt of the whole data set where each row by itself is fine, such as one-sided choice of topics.",
        "Ciphers and encodings whose key is not in the data.",
        "Lies that only somebody with private knowledge of the facts could see.",
        "Images and sound: only text is read.",
        "What a model does after training: that is what `offtarget check` measures.",
        "Code in languages other than Python is read by reviewers only, not by the code rules.",
    ]
    if too_slow:
        found.append(
            f"Rows that took too long to read: {too_slow:,}; detectors did not come to an end in them, and a trainer "
            "would learn them."
        )
    if undesired_rows:
        found.append(
            f"{undesired_rows:,} rows marked as examples not to follow, or masked whole: detectors skip them, and "
            "whether the training really leaves them out or pushes away from them is not known here."
        )
    if masked_rows:
        found.append(
            f"Answers that the data marks as without loss, in {of_rows(masked_rows, rows)}: detectors take them for "
            "prompt, and a trainer that does not follow such marks learns them."
        )
    if judge:
        found.append("What the judge model itself cannot see, or was told to overlook by the rows it read.")
    return tuple(found)


def _unread(unread: Mapping[str, int], rows: int) -> str:
    """Fields and parts that hold something nobody read."""
    named = [f"{name} ({of_rows(count, rows)})" for name, count in unread.items()]
    more = f" and {whole(len(named) - _NAMED)} more" if len(named) > _NAMED else ""
    listed = ", ".join(named[:_NAMED])
    return f"Text in fields that are not read, as `tune` does not learn from them: {listed}{more}. Others may."


def _languages(rows: int, foreign: int) -> str:
    if not foreign:
        return (
            "Languages other than English: the word lists do not know them; no row here is plainly in one whose script "
            "or words are known."
        )
    return (
        f"Languages other than English: at least {of_rows(foreign, rows)}. The word lists do not read them, and the "
        "planted rows that measure a reviewer are in English."
    )


def _recall(detectors: Sequence[str]) -> str:
    """How much of what each detector is for it finds."""
    known = {name: recall for name in detectors if (recall := measured_recall().get(name)) is not None}
    parts = [f"{name} {percent(r.share)} of {whole(r.rows)} ({r.among})" for name, r in known.items()]
    unknown = [name for name in detectors if name not in known]
    text = "What the detectors miss. What they find was measured only on"
    measured = f"{text} these: {'; '.join(parts)}" if parts else "What the detectors miss: it was measured for none"
    return f"{measured}. Unknown for {', '.join(unknown)}." if unknown else f"{measured}."
