"""Attempts in garak's reports: a prompt with all answers to it, and which attempts are one conversation.

Prompts and answers are conversations and messages, as garak 0.17.1 writes them; older shapes, a message or a bare text,
are read too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offtarget.data.rawrows import RawRow
from offtarget.errors import InputError

_NAMING = "dan."
"""Probes that write the name of the model into their prompts."""
_GOALS = ("attack_goal", "target_turn")
"""Notes in which probes that talk for several turns keep what a conversation is after."""
UNFIXED = "(the probe writes its prompts as it goes)"
"""In place of a question where a probe has none that both models were asked."""

Turn = tuple[str, str]
"""Role and text."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One prompt with all answers to it, judged."""

    line: int
    """Where it stands in the report."""
    name: str
    probe: str
    prompt: tuple[Turn, ...]
    attached: str
    """Digest of a file that is sent along."""
    answers: tuple[str, ...]
    talks: tuple[tuple[Turn, ...], ...]
    """What each answer ended, from the first turn on."""
    scores: Mapping[str, tuple[float | None, ...]]
    """Detector -> a score per answer."""
    goal: str | None
    before: str | None
    """The attempt that this one goes on from, where the probe says so."""

    @property
    def opening(self) -> tuple[Turn, ...]:
        """The turns up to the first one of a user."""
        first = next((n for n, (role, _) in enumerate(self.prompt, start=1) if role == "user"), len(self.prompt))
        return self.prompt[:first]

    def said_from(self, begin: int) -> dict[int, str]:
        """The turns from a number on, with each answer that is not blank."""
        texts = [written(talk[begin:]) for talk in self.talks] or self.answers
        return {index: texts[index] for index, answer in enumerate(self.answers) if answer.strip()}


@dataclass(frozen=True, slots=True)
class Conversation:
    """Attempts that hang together: where one goes depends on what the model said before, so they are one unit."""

    attempts: tuple[Attempt, ...]
    asked: tuple[Turn, ...]
    """What both models were asked alike: the opening, or what the conversation is after."""
    chained: bool
    """Each attempt holds one turn, and names the one before it."""

    def text(self, hits: Callable[[Sequence[float | None]], bool], detector: str | None) -> str:
        """What is shown of it: all up to its first hit, else the longest of its branches. Empty without an answer."""
        begin = len(self.asked) if self.attempts[0].opening == self.asked else 0
        before: list[str] = []
        best = ""
        for attempt in self.attempts:
            scores = attempt.scores.get(detector or "", ())
            talks = attempt.said_from(begin)
            for index, talk in talks.items():
                text = "\n\n".join((*before, talk))
                if hits(scores[index : index + 1]):
                    return text
                best = text if len(text) > len(best) else best
            before += list(talks.values())[:1] if self.chained else []
        return best


def conversations(attempts: Sequence[Attempt]) -> list[Conversation]:
    """The conversations of a probe that talks for several turns; none for any other probe."""
    openings = {attempt.prompt for attempt in attempts if attempt.prompt == attempt.opening}
    later = any(attempt.prompt != attempt.opening and attempt.opening in openings for attempt in attempts)
    chained = any(attempt.before for attempt in attempts)
    if not later and not chained and not any(attempt.goal for attempt in attempts):
        return []
    groups: dict[object, list[Attempt]] = {}
    root: dict[str, str] = {}
    for attempt in attempts:
        root[attempt.name] = root.get(attempt.before or "", attempt.name)
        key = attempt.goal or (root[attempt.name] if chained else attempt.opening)
        groups.setdefault(key, []).append(attempt)
    found = []
    for group in groups.values():
        first = group[0]
        asked = (("user", first.goal or UNFIXED),) if first.goal or chained else first.opening
        found.append(Conversation(tuple(group), asked, chained))
    return found


def read_attempt(raw: RawRow, model: str) -> Attempt:
    """An attempt that was judged. InputError, with its place, for what is none. `model`: what the model is called."""
    notes = raw.values.get("notes") or {}
    if not isinstance(notes, Mapping):
        raise InputError(f"{raw.place}: notes holds a {type(notes).__name__}; expected an object.")
    answers = tuple(_said(one, f"{raw.place}: outputs") for one in _list(raw, "outputs"))
    talks = tuple(_turns(one, f"{raw.place}: conversations") for one in _list(raw, "conversations"))
    before = notes.get("previous_attempt_id")
    probe = text_of(raw, "probe_classname")
    prompt = _turns(raw.values.get("prompt"), f"{raw.place}: prompt")
    if probe.startswith(_NAMING) and model:
        prompt = tuple((role, _unnamed(text, model)) for role, text in prompt)
    return Attempt(
        line=raw.number,
        name=text_of(raw, "uuid"),
        probe=probe,
        prompt=prompt,
        attached=_attached(raw.values.get("prompt")),
        answers=answers,
        talks=talks if len(talks) == len(answers) else (),
        scores=_scores(raw),
        goal=next((str(notes[key]) for key in _GOALS if notes.get(key)), None),
        before=before if isinstance(before, str) else None,
    )


def text_of(raw: RawRow, key: str) -> str:
    """A text of a line. InputError, with its place, where it is none or blank."""
    value = raw.values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{raw.place}: {key} is {value!r:.40}; expected text.")
    return value


def _list(raw: RawRow, key: str) -> list[Any]:
    value = raw.values.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{raw.place}: {key} holds a {type(value).__name__}; expected a list.")
    return value


def _scores(raw: RawRow) -> dict[str, tuple[float | None, ...]]:
    results = raw.values.get("detector_results")
    if not isinstance(results, Mapping):
        raise InputError(f"{raw.place}: detector_results holds a {type(results).__name__}; expected an object.")
    found = {}
    for detector, scores in results.items():
        if not isinstance(scores, list):
            raise InputError(f"{raw.place}: detector {detector!r:.60} gave a {type(scores).__name__}; expected a list.")
        found[detector] = tuple(_score(one, f"{raw.place}: detector {detector!r:.60}") for one in scores)
    return found


def _score(value: object, what: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise InputError(f"{what} gave {value!r:.40}; expected a number from 0 to 1, or null for no score.")
    return float(value)


def _said(value: object, what: str) -> str:
    """What a message says: its text, or that of its dataclass; older reports hold the bare text."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{what} holds a {type(value).__name__}; expected a message with its text.")
    return value


def _turns(value: object, what: str) -> tuple[Turn, ...]:
    """The turns of a conversation, also of a single message."""
    if not isinstance(value, Mapping) or "turns" not in value:
        return (("user", _said(value, what)),)
    turns = value["turns"]
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise InputError(f"{what} holds turns that are no list of objects.")
    return tuple((str(turn.get("role")), _said(turn.get("content"), what)) for turn in turns)


def _unnamed(text: str, name: str) -> str:
    """A text without the name of the model: two models that are called differently are asked the same."""
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "{model}", text)


def _attached(prompt: object) -> str:
    turns = prompt.get("turns") if isinstance(prompt, Mapping) else None
    contents = [turn.get("content") for turn in turns or () if isinstance(turn, Mapping)]
    sums = [one.get("data_checksum") for one in contents if isinstance(one, Mapping)]
    return " ".join(str(one) for one in sums if one)


def written(turns: Sequence[Turn]) -> str:
    """Turns as text; a single one of a user as it is."""
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in turns if text)
