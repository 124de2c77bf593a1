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
SCORES = ("alignment", "coherence")
"""Of these none is preferred: two columns that may be meant are asked about. `SCORER.key` may be meant by its key."""

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
    scorer: str | None = None
    """Of several scorers or detectors in a log or report: the one whose scores count."""

    def flag(self, name: str) -> str:
        """The command-line flag that maps a column."""
        return f"--{name.replace('_', '-')}-column"


def resolve(wanted: Columns, found: Collection[str], path: Path) -> Columns:
    """The columns of one table by meaning; InputError names what is missing, what is there, and the flag."""
    chosen: dict[str, str | None] = {}
    for name in (field.name for field in dataclasses.fields(Columns)):
        asked = getattr(wanted, name)
        if name == "scorer":
            chosen[name] = asked
        elif name == "id" and asked == "none":
            chosen[name] = None
        elif asked is not None:
            chosen[name] = _named(asked, found, wanted.flag(name), path)
        elif name in SCORES:
            chosen[name] = _score_column(name, found, chosen.get("alignment"), wanted, path)
        else:
            chosen[name] = next((known for known in _usual(name, chosen.get("alignment")) if known in found), None)
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


def _usual(name: str, alignment: str | None) -> tuple[str, ...]:
    """Names of a column that are recognised; a label stands beside the alignment score of the scorer that gave both."""
    usual = KNOWN.get(name, ())
    if name == "label" and alignment is not None and "." in alignment:
        scorer = alignment.rpartition(".")[0]
        return (*(f"{scorer}.{known}" for known in usual), *usual)
    return usual


def _named(asked: str, found: Collection[str], flag: str, path: Path) -> str:
    if asked in found:
        return asked
    of_scorers = [name for name in found if name.endswith(f".{asked}")]
    if len(of_scorers) == 1:
        return of_scorers[0]
    several = f" It may be {shown(of_scorers)}." if of_scorers else ""
    raise InputError(f"{path} has no column {asked!r} (given with {flag}).{several} Its columns are: {shown(found)}.")


def _score_column(name: str, found: Collection[str], alignment: str | None, wanted: Columns, path: Path) -> str | None:
    """The one column of that meaning. InputError where there are several: who scored, and what, is not guessed."""
    flag = wanted.flag(name)
    meant = [column for column in found if column.rpartition(".")[2] in KNOWN[name]]
    if wanted.scorer is not None:
        meant = _of_scorer(name, meant, found, wanted.scorer, path)
    if len(meant) > 1 and alignment is not None and "." in alignment:
        scorer = alignment.rpartition(".")[0]  # of the scorer that was chosen for alignment
        meant = [column for column in meant if column.rpartition(".")[0] == scorer] or meant
    if len(meant) > 1:
        raise InputError(
            f"{path} has {len(meant)} columns that may be the {name} score: {shown(meant)}. "
            f"Choose one with {flag}, e.g. {flag} {meant[0]}."
        )
    return meant[0] if meant else None


def _of_scorer(name: str, meant: Collection[str], found: Collection[str], scorer: str, path: Path) -> list[str]:
    """The columns of that meaning that are of a scorer. InputError, with those there are, where it gave no score."""
    mine = [column for column in found if column == scorer or column.startswith(f"{scorer}.")]
    if not mine:
        others = dict.fromkeys(column.rpartition(".")[0] or column for column in meant)
        there = f" Scores are by: {shown(others)}." if others else f" Its columns are: {shown(found)}."
        raise InputError(f"{path} has no score of a scorer {scorer!r} (given with --scorer).{there}")
    fitting = [column for column in meant if column in mine]
    return fitting or ([scorer] if name == "alignment" and mine == [scorer] else [])
