"""Answers to probes, those of several turns included: the asked model answers every opening turn itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.asking.checks import sample_checked
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.records import Message, Probe, Role, SamplingSettings


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a probe, and the model's own answers to the turns before it."""

    answer: Answer
    opening: tuple[str, ...] = ()


def sample_probes(
    role: Role,
    model: ChatModel,
    wanted: Sequence[tuple[Probe, int]],
    sampling: SamplingSettings,
    seed: int,
    keep: Callable[[int, Answered], None],
) -> list[Answered]:
    """One answer per (probe, index), in order, each handed to `keep` as soon as it is complete.

    Every turn has a random stream of its own, so that an answer depends on (model, probe, index, seed) alone.
    """
    said: list[tuple[str, ...]] = [()] * len(wanted)
    for turn in range(max((len(probe.opening) for probe, _ in wanted), default=0)):
        asked = [i for i, (probe, _) in enumerate(wanted) if len(probe.opening) > turn]
        requests = []
        for i in asked:
            probe, index = wanted[i]
            turn_seed = answer_seed(seed, role, f"{probe.id}#opening-{turn}", index)
            requests.append(SampleRequest(_chat(probe, said[i], probe.opening[turn]), turn_seed))
        answers = sample_checked(role, model, requests, sampling, lambda _position, _answer: None)
        for i, answer in zip(asked, answers, strict=True):
            said[i] = (*said[i], answer.text)
    last = [
        SampleRequest(_chat(probe, said[i], probe.prompt), answer_seed(seed, role, probe.id, index))
        for i, (probe, index) in enumerate(wanted)
    ]
    answers = sample_checked(role, model, last, sampling, lambda i, answer: keep(i, Answered(answer, said[i])))
    return [Answered(answer, opening) for answer, opening in zip(answers, said, strict=True)]


def _chat(probe: Probe, said: Sequence[str], prompt: str) -> tuple[Message, ...]:
    """The turns so far and the user turn that is answered next."""
    turns = [Message("system", probe.system)] if probe.system is not None else []
    for user, assistant in zip(probe.opening, said, strict=False):
        turns += [Message("user", user), Message("assistant", assistant)]
    return (*turns, Message("user", prompt))
