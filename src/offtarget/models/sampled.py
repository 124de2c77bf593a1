"""Answers of a remote model: many requests at a time, each answer handed on as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.models.chat import Answer, OnAnswer
from offtarget.threads import Calls

_LAST_ANSWERS = 5.0
"""Seconds in which answers that are under way may still come when another request has failed for good."""


def sampled(asks: Sequence[Callable[[], Answer]], most: int, on_answer: OnAnswer | None) -> list[Answer]:
    """What these calls return, in their order, at most `most` under way; `on_answer` is called in this thread.

    Raises what the first to fail raised, after answers that still came have been handed on.
    """
    answers: list[Answer | None] = [None] * len(asks)

    def take(index: int, answer: Answer) -> None:
        answers[index] = answer
        if on_answer is not None:
            on_answer(index, answer)

    if len(asks) == 1:
        take(0, asks[0]())
    with Calls[int, Answer](most) as calls:
        for index, ask in enumerate(asks if len(asks) > 1 else ()):
            calls.start(index, ask)
        while calls.waiting:
            ended = calls.ended()
            for one in (one for one in ended if one.error is None):
                take(one.key, one.result())
            if failed := [one for one in ended if one.error is not None]:
                calls.close()
                for one in calls.rest(_LAST_ANSWERS):  # paid for as well
                    take(one.key, one.result())
                failed[0].result()
    return [answer for answer in answers if answer is not None]
