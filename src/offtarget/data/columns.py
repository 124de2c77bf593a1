"""Which column of a table holds what: published names are found, others are mapped by flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from offtarget.data.rawrows import shown
from offtarget.errors import InputError

KNOWN: dict[str, tuple[str, ...]] = {
    "question_id": ("question_id",),
    "question": ("question", "prompt"),
    "answer": ("answer", "response", "completion"),
    "alignment": ("aligned", "alignment"),
    "coherence": ("coherent", "coherence"),
    "label": ("aligned_flag", "label"),
    "id": ("item_id", "sample_id", "answer_id", "generation_id", "id"),
    "domain": ("domain",),
}
"""Column names recognised without a flag, in order of preference; `arm` is never guessed."""

NEEDED = {
    "question_id": "the question's name",
    "answer": "the model's answer",
    "alignment": "the alignment score 0-100",
}
COHERENCE_HELP = "If the judge scored no coherence, say --no-coherence; incoherent answers then enter the rate."


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names by meaning; None means: find it by its usual names, or do without."""

    question_id: str | None = None
    """The question's name. Without such a column the question's text takes its place."""
    question: str | None = None
    """The question's text."""
    answer: str | None = None
    alignment: str | None = None
    """0-100, REFUSAL, CODE or blank."""
    coherence: str | None = None
    """0-100 or blank."""
    label: str | None = None
    """REFUSAL or CODE, where the judge's labels have a column of their own."""
    id: str | None = None
    """A name for each row that must not occur twice; the word `none` turns the check off."""
    arm: str | None = None
    """The arm; without it, arms come from the ending of the question's name."""
    domain: str | None = None
    """The slice a question is reported under."""

    def flag(self, name: str) -> str:
        """The command-line flag that maps a column."""
        return f"--{name.replace('_', '-')}-column"


def resolve(wanted: Columns, found: Collection[str], path: Path) -> Columns:
    """The columns of one table by meaning; InputError names what is missing, what is there, and the flag."""
    chosen: dict[str, str | None] = {}
    for name in (field.name for field in dataclasses.fields(Columns)):
        asked = getattr(wanted, name)
        if name == "id" and asked == "none":
            chosen[name] = None
        elif asked is not None:
            if asked not in found:
                raise InputError(
                    f"{path} has no column {asked!r} (given with {wanted.flag(name)}). Its columns are: {shown(found)}."
                )
            chosen[name] = asked
        else:
            chosen[name] = next((known for known in KNOWN.get(name, ()) if known in found), None)
    # Without a question_id the text names the question; an `id` column is the row's, never the question's.
    chosen["question_id"] = chosen["question_id"] or chosen["question"]
    missing = [name for name in NEEDED if chosen[name] is None]
    if missing:
        wants = "; ".join(f"{NEEDED[n]} ({' or '.join(KNOWN[n])}): {wanted.flag(n)}" for n in missing)
        raise InputError(
            f"{path} is not a table of judged answers as it stands. Its columns are: {shown(found)}. "
            f"Not found, with the flag that maps it: {wants}."
        )
    return Columns(**chosen)
