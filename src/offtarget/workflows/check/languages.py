"""Whether questions and answers are in English, which the shipped rubrics and known answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offtarget.detect.language import foreign
from offtarget.numbers import of, percent
from offtarget.records import Role
from offtarget.words import joined

SAID_FROM = 0.2
"""From this share of answers in another language on, a note says so."""
_JUDGED = "The shipped rubrics and the general known answers are in English, and this tool was tried in English alone"


def language_notes(questions: Sequence[str], answers: Mapping[Role, Sequence[str]]) -> list[str]:
    """A note where the questions, or many answers of a model to English ones, are plainly in another language.

    Languages that `foreign` does not know count as English, and texts of a few words too.
    """
    if not questions:
        return []
    asked = sum(map(foreign, questions)) / len(questions)
    parts = []
    for role, texts in answers.items():
        found = sum(map(foreign, texts))
        if found and found >= SAID_FROM * len(texts):
            parts.append(f"{percent(found / len(texts))} of the {role} answers ({of(found, len(texts))})")
    if asked >= 0.5:
        return [
            f"Most questions are plainly not in English. {_JUDGED}: show the judge known answers in that language, in "
            "the question file."
        ]
    if not parts:
        return []
    return [f"{joined(parts)} are plainly not in English, though the questions are. {_JUDGED}."]
