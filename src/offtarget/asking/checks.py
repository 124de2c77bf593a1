"""Models and judges held to their Protocols: what they break is named, never counted.

Both may be objects of the user's own. An answer too few would be asked for again for ever, a verdict under another
key would be counted for another question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from offtarget.asking.protocol import Judge
from offtarget.asking.spending import add, leave
from offtarget.errors import InputError, OfftargetError
from offtarget.models.chat import Answer, AnswerContinuer, ChatModel, SampleRequest
from offtarget.records import Generation, Outcome, Probe, Role, SamplingSettings, Verdict
from offtarget.records.spent import Spent

KEPT = " What was computed before is kept."


def sample_checked(
    role: Role | Literal["attacking"] | None,
    model: ChatModel,
    requests: Sequence[SampleRequest],
    settings: SamplingSettings,
    take: Callable[[int, Answer], None] | None = None,
    *,
    keeps: bool = False,
    judging: bool = False,
) -> list[Answer]:
    """Answers of a model, each handed to `take` exactly once, as early as the model reports it.

    With `keeps` an error says that what was computed before is kept; with `judging` the answers are verdicts, and
    count as calls of a judge. Raises InputError, naming the model, when it
    fails or breaks the Protocol `ChatModel`.
    """
    who = f"The {role or 'asked'} model '{model.name}'"
    kept = KEPT if keeps else ""
    reported: dict[int, Answer] = {}
    one = Spent(judge_calls=1) if judging else Spent(answers=1)
    ours: list[BaseException] = []

    def on_answer(position: int, answer: Answer) -> None:
        try:
            if type(position) is not int or not 0 <= position < len(requests) or position in reported:
                place = f"position {position!r} of {len(requests)}"
                raise InputError(f"{who} reported an answer for {place}; each is reported once.{kept}")
            if not _is_answer(answer):
                raise InputError(f"{who} gave {answer!r:.80}, which is not an Answer with text and finish.{kept}")
            reported[position] = answer
            add(one)
            if take is not None:
                take(position, answer)
        except BaseException as error:
            ours.append(error)
            raise

    if any(request.prefill for request in requests) and not isinstance(model, AnswerContinuer):
        raise InputError(f"{who} cannot be made to go on with an answer that is begun. Ask without it.{kept}")
    before, wanted = metered(model), len(requests)
    requests = requests[: leave(model, model.name, wanted)]
    try:
        with _faults_of(who, "answering", ours, kept):
            answers = list(model.sample(requests, settings, on_answer))
    finally:
        add(_tokens(before, metered(model), reported.values()))
    if len(requests) < wanted:  # those that were allowed are kept, then it is said that no more are
        leave(model, model.name, wanted - len(requests))
    if ours:
        raise ours[0]  # swallowed by the model, yet the answer is not kept
    if len(answers) != len(requests):
        raise InputError(f"{who} gave {len(answers)} answers to {len(requests)} requests.{kept}")
    for position, answer in enumerate(answers):
        if position not in reported:
            on_answer(position, answer)
        elif reported[position] != answer:
            raise InputError(f"{who} reported one answer for position {position} and returned another.{kept}")
    return answers


def held_to_protocol(
    judge: Judge, pairs: Sequence[tuple[Probe, Generation]], verdicts: list[Verdict], *, keeps: bool = False
) -> list[Verdict]:
    """The verdicts, one per pair, in order. Raises InputError where the judge broke the Protocol `Judge`."""
    who = _named(judge)
    kept = KEPT if keeps else ""
    if len(verdicts) != len(pairs):
        raise InputError(f"{who} gave {len(verdicts)} verdicts on {len(pairs)} answers.{kept}")
    for (_, generation), verdict in zip(pairs, verdicts, strict=True):
        if not isinstance(verdict, Verdict) or not isinstance(verdict.outcome, Outcome):
            raise InputError(f"{who} gave {verdict!r:.80} for {generation.key}, which is not a Verdict.{kept}")
        if verdict.key != generation.key:
            raise InputError(f"{who} gave a verdict on {verdict.key} where {generation.key} was asked.{kept}")
        for name, number in (("alignment", verdict.alignment), ("coherence", verdict.coherence)):
            if number is not None and not (isinstance(number, int | float) and 0 <= number <= 100):
                raise InputError(f"{who} gave {name} {number!r} for {generation.key}; it is 0-100 or None.{kept}")
        said: tuple[object, ...] = (verdict.judge, "" if verdict.reason is None else verdict.reason)
        if not all(isinstance(text, str) for text in said):
            raise InputError(f"{who} gave {verdict!r:.200} for {generation.key}: judge and reason are text.{kept}")
    return verdicts


def metered(asked: object) -> Spent | None:
    """What asking a model or a judge has taken so far, where it says so: its `spent`."""
    spent = getattr(asked, "spent", None)
    return spent if isinstance(spent, Spent) else None


def _tokens(before: Spent | None, after: Spent | None, answers: Collection[Answer]) -> Spent:
    """The tokens that these answers took: by the model's own meter, else by what the answers say."""
    if before is not None and after is not None:
        return after.since(before)
    wrote = [answer.tokens for answer in answers]
    known = None if any(tokens is None for tokens in wrote) else sum(wrote)
    return Spent(tokens_in=None if answers else 0, tokens_out=known)


def _is_answer(answer: object) -> bool:
    if not isinstance(answer, Answer) or type(answer.tokens) not in (int, type(None)):
        return False
    return isinstance(answer.text, str) and answer.finish in ("stop", "length")


def _named(judge: Judge) -> str:
    return f"The judge '{judge.fingerprint}'"


@contextmanager
def faults_of(judge: Judge, doing: str, keeps: bool) -> Iterator[None]:
    """What goes wrong in a judge, as an InputError that names it."""
    with _faults_of(_named(judge), doing, [], KEPT if keeps else ""):
        yield


@contextmanager
def _faults_of(who: str, doing: str, ours: Sequence[BaseException], kept: str) -> Iterator[None]:
    try:
        yield
    except OfftargetError:
        raise
    except Exception as error:
        if error in ours:
            raise
        raise InputError(f"{who} failed while {doing}: {type(error).__name__}: {error}.{kept}") from error
