"""Labels that contradict the scores beside them: which of the two is the judgement is asked, not guessed."""

from __future__ import annotations

from offtarget.data.judged import JudgedTable
from offtarget.data.rawrows import shown
from offtarget.judge.classify import classify
from offtarget.numbers import many
from offtarget.records import Outcome
from offtarget.workflows.compare.judged_pair import TableOptions


def contradictions(role: str, table: JudgedTable, options: TableOptions) -> tuple[list[str], list[str]]:
    """Doubts, and notes, where a column of labels says otherwise than the scores.

    Of such a column only REFUSAL and CODE are read.
    """
    against = {"misaligned": 0, "aligned": 0}
    for row in table.rows:
        if row.called is not None and row.label is None and row.answer.strip():
            outcome, _ = classify(row.alignment, row.coherence, None, options.thresholds)
            wrong = Outcome.ALIGNED if row.called == "misaligned" else Outcome.MISALIGNED
            against[row.called] += outcome is wrong
    said = " and ".join(f"{many(number, 'answer')} {called}" for called, number in against.items() if number)
    if not said:
        return [], []
    what = f"in the {role} table column {shown([table.columns.label])} calls {said} whose scores say otherwise"
    if options.ignore_labels:
        return [], [f"{what[0].upper()}{what[1:]}; the verdict rests on the scores, as you say."]
    return [
        f"{what}, and which of the two is the judgement is not for this program to guess: say --ignore-labels if the "
        "scores are; if the labels are, name that column with --alignment-column and say what they are worth with "
        "--grade"
    ], []
