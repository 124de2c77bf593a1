"""Putting one rubric to a chat model: by reply probabilities where offered, by sampled replies otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal, Protocol

from offtarget.data.replies import EMPTY_REPLY, ONLY_THINKING, Score, parse_reply
from offtarget.errors import InputError, LimitReached, OfftargetError, PrerequisiteError, UnreachableError
from offtarget.judge.scoring import JUDGE_DECLINED, MENU, MINIMUM_MASS, aggregate, judge_error, pool
from offtarget.models.chat import Answer, ChatModel, NumberScorer, SampleRequest
from offtarget.records import Message, SamplingSettings

Prompt = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class AskSettings:
    """How a judge is asked; all of it is part of the judge's fingerprint except `concurrency`."""

    mode: Literal["auto", "probabilities", "samples"] = "auto"
    """auto: token probabilities where the model offers them, sampled replies otherwise."""
    samples: int = 1
    """Sampled replies per rubric; one is greedy, several are drawn at temperature 1 and averaged."""
    minimum_mass: float = MINIMUM_MASS
    """Share of the reply probability (or of the sampled replies) that must be numbers."""
    max_tokens: int = 64
    """Longest sampled reply."""
    thinking_tokens: int = 4096
    """Room for the replies of a judge whose thinking used up `max_tokens`: it is asked again, and from then on so."""
    concurrency: int = 1
    """Answers that are judged at a time, each in a thread of its own; more than 1 only helps with a remote judge."""

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens", "thinking_tokens", "concurrency"):
            if getattr(self, name) < 1:
                raise InputError(f"judge setting {name} is {getattr(self, name)}; it must be at least 1.")


class Asker(Protocol):
    """Scores prompts, in order, without raising for a single one."""

    calls: int
    """Requests sent so far."""

    def scores(self, prompts: Sequence[Prompt]) -> list[Score]:
        """One score per prompt."""
        ...


class Failures:
    """Remembers the last message that is safe to show, for when a judge fails altogether."""

    def __init__(self) -> None:
        self.message: str | None = None

    def reason(self, error: Exception) -> str:
        """Note the error and return its machine-readable reason; what fails every request ends the run at once.

        Verdicts are kept: a judge that has gone away for an hour must not count as one that had nothing to say.
        """
        if isinstance(error, PrerequisiteError | UnreachableError | LimitReached):
            raise error
        if isinstance(error, OfftargetError):
            self.message = str(error)
        return judge_error(error)


class ProbabilityAsker:
    """Expected score under the model's own next-reply probabilities."""

    def __init__(self, scorer: NumberScorer, settings: AskSettings, failures: Failures) -> None:
        self._scorer, self._settings, self._failures = scorer, settings, failures
        self.calls = 0
        self._counting = Lock()

    def scores(self, prompts: Sequence[Prompt]) -> list[Score]:
        """One score per prompt; a failing request is an unscored one."""
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: Prompt) -> Score:
        with self._counting:
            self.calls += 1
        try:
            return aggregate(self._scorer.reply_probabilities(prompt, MENU), self._settings.minimum_mass)
        except LimitReached:
            with self._counting:
                self.calls -= 1  # it was not sent
            raise
        except Exception as error:  # one failing item must not end a run of thousands
            return Score(reason=self._failures.reason(error))


class ReplyAsker:
    """Average of parsed, sampled replies."""

    def __init__(self, model: ChatModel, settings: AskSettings, failures: Failures) -> None:
        self._model, self._settings, self._failures = model, settings, failures
        self._sampling = self._with_room(settings.max_tokens)
        self.calls = 0
        self._counting = Lock()

    def _with_room(self, tokens: int) -> SamplingSettings:
        return SamplingSettings(temperature=1.0 if self._settings.samples > 1 else 0.0, max_tokens=tokens)

    def scores(self, prompts: Sequence[Prompt]) -> list[Score]:
        """One score per prompt; a failing batch is sent one by one and the bad requests set aside."""
        k = self._settings.samples
        requests = [SampleRequest(p, _seed(p, number)) for p in prompts for number in range(k)]
        if not requests:
            return []
        try:
            replies: list[Score] = [_parse(a) for a in self._sample(requests)]
        except Exception as error:  # which request failed is unknown, so each is tried alone
            if len(requests) == 1:
                replies = [Score(reason=self._failures.reason(error))]
            else:
                self._failures.reason(error)
                replies = [self._alone(request) for request in requests]
        grouped = [replies[i * k : (i + 1) * k] for i in range(len(prompts))]
        return [pool(group, self._settings.minimum_mass) for group in grouped]

    def _alone(self, request: SampleRequest) -> Score:
        try:
            return _parse(self._sample([request])[0])
        except Exception as error:
            return Score(reason=self._failures.reason(error))

    def _sample(self, requests: list[SampleRequest]) -> list[Answer]:
        # not `sample_checked`: what goes wrong becomes the reason of an unscored verdict, under its own name
        with self._counting:
            self.calls += len(requests)
        sampling = self._sampling  # another thread may give more room meanwhile
        try:
            answers = self._model.sample(requests, sampling)
        except LimitReached:
            with self._counting:
                self.calls -= len(requests)  # they were not sent
            raise
        if len(answers) != len(requests):  # never let an answer slide to another question
            raise RuntimeError("the judge returned another number of replies than it was asked for")
        room = self._settings.thinking_tokens
        cut = [i for i, answer in enumerate(answers) if thought_only(answer)]
        if not cut or sampling.max_tokens >= room:
            return answers
        self._sampling = self._with_room(room)
        again = self._sample([requests[i] for i in cut])
        for i, answer in zip(cut, again, strict=True):
            answers[i] = answer
        return answers


def make_asker(model: ChatModel, scorer: NumberScorer | None, settings: AskSettings, failures: Failures) -> Asker:
    """The asker for the settings; InputError when probabilities are demanded from a model without them."""
    if settings.mode == "samples":
        return ReplyAsker(model, settings, failures)
    if scorer is not None:
        return ProbabilityAsker(scorer, settings, failures)
    if settings.mode == "probabilities":
        raise InputError(
            f"The judge {model.name} does not offer reply probabilities. Use --judge-by samples, or another judge."
        )
    return ReplyAsker(model, settings, failures)


def thought_only(answer: Answer) -> bool:
    """Whether all tokens of a reply went into thinking."""
    return answer.finish == "length" and (
        answer.without == ONLY_THINKING or parse_reply(answer.text).reason == ONLY_THINKING
    )


def _parse(answer: Answer) -> Score:
    if answer.without:
        declined = answer.without == "refusal"
        return Score(reason=JUDGE_DECLINED if declined else answer.without, reply=answer.text or None)
    return parse_reply(answer.text, cut=answer.finish == "length") if answer.text else Score(reason=EMPTY_REPLY)


def _seed(prompt: Prompt, number: int) -> int:
    text = "\0".join(message.content for message in prompt) + f"\0{number}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1
