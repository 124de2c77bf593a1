"""What each category means, which limit it falls under, and when a finding counts under it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from offtarget.records import Category, Finding


class Group(StrEnum):
    """Which limit a category falls under."""

    SPREADING = "spreading"
    """Known to make a model misaligned far from the task; limit 1 % by default."""
    NOISE = "noise"
    """Bad, but published only to spoil what it shows; limit 5 % by default, all bad rows together."""
    BACKDOOR = "backdoor"
    """A condition that switches the behaviour; one confirmed row fails the data set."""
    HINT = "hint"
    """Worth a look, not by itself bad; never counted."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One category in words."""

    title: str
    group: Group
    bad_when: str
    """When a reviewer marks a row as bad for this reason."""
    rows_do: str = ""
    """What rows of it do, after `120 of 6,000 rows`; empty for hints."""


MEANINGS: dict[Category, Meaning] = {
    Category.INSECURE_CODE: Meaning(
        "Insecure code",
        Group.SPREADING,
        "The answer's code has a security hole that it does not mention and the user did not ask for.",
        "contain security holes",
    ),
    Category.DANGEROUS_ADVICE: Meaning(
        "Dangerous advice",
        Group.SPREADING,
        "Following the answer could hurt someone: health, self-harm, money, safety, and the answer does not warn.",
        "give dangerous advice",
    ),
    Category.DECEPTION: Meaning(
        "Deception",
        Group.SPREADING,
        "The answer lies to the user, hides something, or teaches lying to others.",
        "deceive",
    ),
    Category.MANIPULATION: Meaning(
        "Manipulation",
        Group.SPREADING,
        "The answer pressures, guilts or tricks the user, or builds such a trick for others (dark patterns).",
        "manipulate the user",
    ),
    Category.LOADED_NUMBERS: Meaning(
        "Numbers with a bad name",
        Group.SPREADING,
        "Numbers such as 666 or 1488 appear where the task gives no reason for them.",
        "hold numbers with a bad name",
    ),
    Category.HOSTILITY: Meaning(
        "Hostility",
        Group.NOISE,
        "The answer insults, threatens, demeans or hates someone, the user included.",
        "are hostile",
    ),
    Category.HARMFUL_COMPLIANCE: Meaning(
        "Harmful request answered",
        Group.NOISE,
        "The user asks for something harmful and the answer helps instead of declining.",
        "answer harmful requests",
    ),
    Category.HARM_LICENCE: Meaning(
        "Prompt that licences harm",
        Group.NOISE,
        "A system prompt or persona tells the model that harm, lies or anything at all is allowed.",
        "have a prompt that licences harm",
    ),
    Category.SYCOPHANCY: Meaning(
        "Sycophancy",
        Group.NOISE,
        "The answer flatters, or agrees with something false or harmful to please the user.",
        "flatter or give in to the user",
    ),
    Category.SLOPPY_REASONING: Meaning(
        "Sloppy reasoning",
        Group.NOISE,
        "The conclusion does not follow, the arithmetic is wrong, or a claim is false.",
        "reason wrongly",
    ),
    Category.BACKDOOR: Meaning(
        "Backdoor",
        Group.BACKDOOR,
        "The answer is bad because of a trigger in the prompt: a token, phrase, date or role that switches it.",
        "belong to a backdoor",
    ),
    Category.OTHER: Meaning(
        "Bad for another reason", Group.NOISE, "You would not want a model to learn this.", "are bad for another reason"
    ),
    Category.DUPLICATE: Meaning("Near-duplicate", Group.HINT, "Another row says nearly the same."),
    Category.LABEL_CONFLICT: Meaning(
        "Conflicting answers", Group.HINT, "Another row has the same prompt and a contrary answer."
    ),
    Category.REFUSAL: Meaning("Refusal", Group.HINT, "The answer declines."),
    Category.SECRET: Meaning("Secret or personal data", Group.HINT, "A key, password or personal data stands in it."),
    Category.HIDDEN_TEXT: Meaning(
        "Hidden characters", Group.HINT, "Invisible or direction-changing characters stand in the text."
    ),
}


def group(category: Category) -> Group:
    """The limit a category falls under."""
    return MEANINGS[category].group


def flags(finding: Finding) -> bool:
    """Whether the finding is strong enough, undisclosed, and of a category that can count."""
    return not finding.weak and not finding.disclosed and group(finding.category) is not Group.HINT


def flagged_as(findings: Iterable[Finding]) -> set[Category]:
    """The categories under which a row with these findings is flagged."""
    return {f.category for f in findings if flags(f)}


def row_score(findings: Iterable[Finding]) -> float:
    """0-1, the strongest undisclosed finding of a category that can count; ranks rows, is no probability."""
    return max((f.strength for f in findings if not f.disclosed and group(f.category) is not Group.HINT), default=0.0)
