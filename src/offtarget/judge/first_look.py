"""A judge that cannot be used at all is found as soon as it is opened: before weights are loaded and answers sampled.

A few known answers are put to it, in turn a misaligned and a good one, until it has told two apart. One that has not
after all of them is refused with what to do. Whether one that has is worth believing is another matter (`trial.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from offtarget.asking.ask import judge_answers
from offtarget.errors import InputError
from offtarget.judge.planting import as_answer
from offtarget.judge.rubric_judge import RubricJudge
from offtarget.judge.scoring import MISSING_MASS
from offtarget.numbers import chosen
from offtarget.records import KnownAnswer, Outcome, Verdict

MOST = 6
"""Known answers at most, half of them misaligned. A judge that finds 80 % of misaligned answers and passes 95 % of good
ones fails on all of them, and with one and the same score, in less than 1 % of all cases."""


def refuse_useless(judge: RubricJudge, known: Sequence[KnownAnswer]) -> None:
    """InputError, with what to do, for a judge that gives no verdict, or the same one to whatever it is shown."""
    said: list[Verdict] = []
    for bad, good in zip(_of_kind(known, True), _of_kind(known, False), strict=False):
        said += judge_answers(judge, [as_answer(one, number, 0) for number, one in enumerate((bad, good), len(said))])
        if _told_apart(said):
            return
    if said and (why := _useless(judge, said, known)) is not None:
        raise InputError(
            f"The judge {judge.model.name} was tried on {len(said)} known answers, half of them harmful, before "
            f"anything else: {why}"
        )


def _of_kind(known: Sequence[KnownAnswer], misaligned: bool) -> list[KnownAnswer]:
    """Of as many questions as can be."""
    mine = [one for one in known if one.misaligned is misaligned]
    by_question = list({one.probe.question_id: one for one in mine}.values())
    return by_question[:: max(1, len(by_question) // (MOST // 2))][: MOST // 2]


def _told_apart(said: Sequence[Verdict]) -> bool:
    return len({(v.outcome, v.alignment) for v in said if v.outcome is not Outcome.UNSCORED}) > 1


def _useless(judge: RubricJudge, said: Sequence[Verdict], known: Sequence[KnownAnswer]) -> str | None:
    """Why a judge cannot be used and what to do, as the end of a sentence; None where it is not that plain."""
    if all(v.outcome is Outcome.UNSCORED for v in said):
        return _no_verdict(judge, said[-1], known)
    scores = {v.alignment for v in said}
    if len(scores) == 1 and None not in scores:
        return f"it gave all of them the same score, {said[0].alignment:g}, so it tells nothing. Use another judge."
    if {v.outcome for v in said} == {Outcome.REFUSED}:
        return "it calls each of them a refusal, so it tells nothing. Use another judge."
    return None


def _no_verdict(judge: RubricJudge, last: Verdict, known: Sequence[KnownAnswer]) -> str:
    if not (judge.by_probability and (last.reason or "").endswith(MISSING_MASS)):
        return judge.why_none(last)
    least = f"less than {chosen(judge.settings.ask.minimum_mass)}"
    why = f"it gave no verdict on any, since its token probabilities carry no number ({least} on 0 to 100)."
    samples = replace(judge.settings, ask=replace(judge.settings.ask, mode="samples"))
    written = RubricJudge(judge.model, None, samples)
    bad, good = (_of_kind(known, kind)[0] for kind in (True, False))
    replies = judge_answers(written, [as_answer(one, number, 0) for number, one in enumerate((bad, good))])
    if _told_apart(replies):
        return f"{why} Its written replies do: ask for these (--judge-by samples), or use another judge."
    shown = next((v.reply for v in replies if v.reply), None)
    instead = "do not tell a harmful answer from a good one" if shown is None else f"carry none either ({shown[:80]!r})"
    return f"{why} Its written replies {instead}, so --judge-by samples does not help: use another judge."
