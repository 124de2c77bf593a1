"""Constitutions: principles in a file, and preferences that a model forms under them (arXiv 2212.08073).

With `principles` the model answers, criticises its answer under one of them and rewrites it; the rewritten answer is
preferred to the first. With `contrast`, for models too small to criticise in words, a principle is a pair of system
prompts, and the answer under the one that keeps it is preferred to the answer under the one that breaks it (after
arXiv 2307.12950).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from offtarget.asking.checks import sample_checked
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, SampleRequest
from offtarget.records import Message, SamplingSettings

SAMPLING = SamplingSettings(max_tokens=300)
CRITIQUE = (
    "Critique request: name each way in which your last answer falls short of this principle, and say so if there is "
    "none. The principle: {principle}"
)
REVISION = (
    "Revision request: rewrite your last answer to the question so that it keeps the principle, at about the same "
    "length. Reply with the rewritten answer and nothing else."
)


@dataclass(frozen=True, slots=True)
class Constitution:
    """What answers are held to: principles in words, or else system prompts."""

    principles: tuple[str, ...] = ()
    contrast: tuple[tuple[str, str], ...] = ()
    """(keeps the principle, breaks it)."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, one of them preferred."""

    prompt: tuple[Message, ...]
    preferred: str
    other: str


def read_constitution(constitution: Path | str) -> Constitution:
    """The constitution in a YAML file, or a shipped one by its name (a string).

    InputError, naming the file and what is wrong, when it is empty or says something else.
    """
    if isinstance(constitution, str):
        folder = resources.files("offtarget.training").joinpath("constitutions")
        text = folder.joinpath(f"{constitution}.yaml").read_text("utf-8")
    else:
        try:
            text = constitution.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The constitution {constitution} cannot be read: {error}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The constitution {constitution} is not YAML: {error}") from error
    return _constitution(content, f"The constitution {constitution}")


def _constitution(content: Any, name: str) -> Constitution:
    if not content:
        raise InputError(f"{name} is empty. List at least one sentence under 'principles:'.")
    if not isinstance(content, dict) or set(content) not in ({"principles"}, {"contrast"}):
        raise InputError(f"{name} must be a mapping with one field, principles (or contrast), and no others.")
    ((field, listed),) = content.items()
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{name} has no entry under '{field}'. List at least one.")
    if field == "principles":
        if not all(_is_text(entry) for entry in listed):
            raise InputError(f"{name}: every principle must be a sentence, and none may be empty.")
        return Constitution(principles=tuple(listed))
    for entry in listed:
        if not isinstance(entry, dict) or set(entry) != {"keeps", "breaks"} or not all(map(_is_text, entry.values())):
            raise InputError(f"{name}: every entry of contrast must have a system prompt 'keeps' and one 'breaks'.")
    return Constitution(contrast=tuple((entry["keeps"], entry["breaks"]) for entry in listed))


def preferences(
    model: ChatModel,
    constitution: Constitution,
    prompts: Sequence[str],
    seed: int,
    sampling: SamplingSettings = SAMPLING,
) -> list[Preference]:
    """One preference per prompt, in order; without those whose answers are equal, empty or unfinished.

    The same arguments give the same preferences on the same machine.
    """
    form = _by_contrast if constitution.contrast else _by_revision
    return form(model, constitution, prompts, seed, sampling)


def _by_revision(
    model: ChatModel, constitution: Constitution, prompts: Sequence[str], seed: int, sampling: SamplingSettings
) -> list[Preference]:
    rng = random.Random(f"{seed}/principles")
    chosen = [rng.choice(constitution.principles) for _ in prompts]
    chats: list[tuple[Message, ...]] = [(Message("user", prompt),) for prompt in prompts]
    first = _answers(model, chats, "first", seed, sampling)
    chats = _going_on(chats, first, [CRITIQUE.format(principle=principle) for principle in chosen])
    critiques = _answers(model, chats, "critique", seed, sampling)
    chats = _going_on(chats, critiques, [REVISION] * len(prompts))
    return _usable(prompts, _answers(model, chats, "revision", seed, sampling), first)


def _by_contrast(
    model: ChatModel, constitution: Constitution, prompts: Sequence[str], seed: int, sampling: SamplingSettings
) -> list[Preference]:
    rng = random.Random(f"{seed}/contrast")
    pairs = [rng.choice(constitution.contrast) for _ in prompts]
    sides = []
    for side, name in ((0, "keeps"), (1, "breaks")):
        chats = [
            (Message("system", pair[side]), Message("user", prompt))
            for pair, prompt in zip(pairs, prompts, strict=True)
        ]
        sides.append(_answers(model, chats, name, seed, sampling))
    return _usable(prompts, sides[0], sides[1])


def _answers(
    model: ChatModel, chats: Sequence[tuple[Message, ...]], what: str, seed: int, sampling: SamplingSettings
) -> list[str]:
    """Texts in order; an unfinished one counts as empty."""
    seeds = [random.Random(f"{seed}/{what}/{number}").getrandbits(62) for number in range(len(chats))]
    asked = [SampleRequest(chat, own) for chat, own in zip(chats, seeds, strict=True)]
    return [a.text.strip() if a.finish == "stop" else "" for a in sample_checked(None, model, asked, sampling)]


def _going_on(
    chats: Sequence[tuple[Message, ...]], answers: Sequence[str], requests: Sequence[str]
) -> list[tuple[Message, ...]]:
    return [
        (*chat, Message("assistant", answer), Message("user", request))
        for chat, answer, request in zip(chats, answers, requests, strict=True)
    ]


def _usable(prompts: Sequence[str], preferred: Sequence[str], others: Sequence[str]) -> list[Preference]:
    return [
        Preference((Message("user", prompt),), good, bad)
        for prompt, good, bad in zip(prompts, preferred, others, strict=True)
        if good and bad and good != bad
    ]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
