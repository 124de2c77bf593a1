"""The monitor's judge is tried on known answers before anything is trained, as that of a check is."""

from __future__ import annotations

from offtarget.asking.ask import judge_answers
from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.judge.planting import as_answer, said_of
from offtarget.judge.trial import doubt_before, in_words, seen
from offtarget.pages.text import sentence
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress
from offtarget.workflows.check.sanity import chosen_answers


def tried(judge: Judge, bank: ProbeBank, seed: int, on_progress: OnProgress) -> str | None:
    """What a judge made of known answers, as a sentence; None where there are none that it could read.

    Raises InputError for a judge that cannot be relied on: an alarm on its word, or none, would mean nothing.
    """
    known = chosen_answers(judge, bank, seed)
    if not known:
        return None
    pairs = [as_answer(one, number, seed) for number, one in enumerate(known)]
    verdicts = judge_answers(judge, pairs, told=Count(on_progress, "trying the judge", len(pairs)))
    shown = [(one, said_of(v, "before", n, "")) for n, (one, v) in enumerate(zip(known, verdicts, strict=True))]
    doubt = doubt_before(shown)
    if doubt is not None:
        raise InputError(
            f"Nothing was trained, since the judge cannot be relied on: {doubt}. Name another one with --judge, or "
            "leave it out to be warned by the forecast alone."
        )
    return sentence(in_words(seen(shown), it="the judge"))
