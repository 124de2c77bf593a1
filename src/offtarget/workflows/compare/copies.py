"""Answers that occur twice: in both tables, so that a model is compared with itself, or again and again in one."""

from __future__ import annotations

from collections import Counter

from offtarget.data.judged import JudgedTable
from offtarget.numbers import of
from offtarget.workflows.compare.judged_pair import Paired, Side, TableOptions

LONG = 40
"""Characters from which two independent answers are hardly ever the same; in public tables up to 4 in 100 still are."""
MOST, SOME = 0.5, 0.1
"""From these shares of long answers that occur twice on there is no verdict, or a note."""
_IF_MEANT = "say --same-answers if that is meant"

Answers = Counter[tuple[str, str]]


def copies(base: JudgedTable, tuned: JudgedTable, paired: Paired, options: TableOptions) -> tuple[list[str], list[str]]:
    """Doubts for which no verdict can rest on the tables, and notes, about answers that occur twice."""
    doubts, notes = _found(base, tuned, paired, options)
    return ([], [*doubts, *notes]) if options.same_answers else (doubts, notes)


def _found(base: JudgedTable, tuned: JudgedTable, paired: Paired, options: TableOptions) -> tuple[list[str], list[str]]:
    same_rows = options.where_base == options.where_tuned
    if same_rows and base.path.resolve() == tuned.path.resolve():
        return [
            "base and tuned are one file, so nothing is compared: name the tuned model's table, or say with "
            "--where-base and --where-tuned which rows are whose"
        ], []
    if same_rows and base.sha256 == tuned.sha256:
        return [
            f"{base.path.name} and {tuned.path.name} hold the same bytes, so nothing is compared: name the tuned "
            f"model's table, or {_IF_MEANT}"
        ], []
    if _rows(paired.base) == _rows(paired.tuned):
        return [
            f"{base.path.name} and {tuned.path.name} hold the same answers with the same scores, so nothing is "
            f"compared: name the tuned model's table, or {_IF_MEANT}"
        ], []
    doubts: list[str] = []
    notes: list[str] = []
    one, other = _long(paired.base), _long(paired.tuned)
    shared = sum((one & other).values())
    for name, answers in (("base", one), ("tuned", other)):
        what = f"{of(shared, sum(answers.values()))} long {name} answers are, letter for letter, in the other table too"
        _weigh(shared, answers, what, "so the tables hardly compare two models", doubts, notes)
        if doubts:
            break
    for name, answers in (("base", one), ("tuned", other)):
        again = sum(answers.values()) - len(answers)
        what = f"{of(again, sum(answers.values()))} long {name} answers repeat another to the same question"
        _weigh(again, answers, what, "so they are not independent samples and count for too much", doubts, notes)
    return doubts, notes


def _weigh(number: int, answers: Answers, what: str, so: str, doubts: list[str], notes: list[str]) -> None:
    share = number / max(1, sum(answers.values()))
    if share >= MOST:
        doubts.append(f"{what}, {so}: look where they come from, or {_IF_MEANT}")
    elif share >= SOME:
        notes.append(f"{what}: look where they come from.")


def _rows(side: Side) -> Counter[tuple[object, ...]]:
    """Everything a table says of its answers, in no order."""
    texts = (g.text for g in side.generations)
    return Counter(
        (v.probe_id, text, v.outcome, v.alignment, v.coherence) for v, text in zip(side.verdicts, texts, strict=True)
    )


def _long(side: Side) -> Answers:
    texts = ((g.probe_id, " ".join(g.text.split())) for g in side.generations)
    return Counter((probe, text) for probe, text in texts if len(text) >= LONG)
