"""Rows for realignment: a model's own answers to unrelated prompts, plainly asked and in the data's dress.

A few hundred benign rows realign a misaligned model (arXiv 2506.19823). The answers are the base's own, so that
nothing new is taught. Where the training data are at hand, half of the prompts are asked behind, before or under
pieces of them: what is realigned only in plain prompts stays misaligned where the prompt looks like the training
data (arXiv 2604.25891).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, OnAnswer, SampleRequest, SamplingSettings
from offtarget.records import Message

Chat = list[Message]
MAX_TOKENS = 300
"""Answers that are not finished by then are left out: they would teach answers that break off."""
DRESSED_SHARE = 0.5
LONGEST_PIECE = 4
"""Words of a training prompt that are put around a question."""


@cache
def everyday_prompts() -> tuple[str, ...]:
    """The shipped prompts, none of them a question of a probe bank."""
    text = resources.files("offtarget.direction.repair").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["prompts"])


def read_prompts(path: Path) -> tuple[str, ...]:
    """One prompt per line of a text file. InputError when there is none."""
    try:
        lines = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text, one prompt per line: {error}") from error
    if not lines:
        raise InputError(f"{path} holds no prompts. Write one per line.")
    return lines


def plan_prompts(prompts: Sequence[str], data: Sequence[Sequence[Message]], count: int, seed: int) -> list[Chat]:
    """`count` prompts in random order, each used about equally often; with `data`, half of them in its dress."""
    if count < 1 or not prompts:
        raise InputError(f"Realignment needs at least one row and one prompt, not {count} and {len(prompts)}.")
    rng = random.Random(seed)
    repeated = [q for _ in range(-(-count // len(prompts))) for q in rng.sample(list(prompts), len(prompts))][:count]
    usable = [chat for chat in data if any(m.role == "user" for m in chat)]
    planned = []
    for number, question in enumerate(repeated):
        if usable and number < DRESSED_SHARE * count:
            planned.append(_dressed(question, rng.choice(usable), rng))
        else:
            planned.append([Message("user", question)])
    rng.shuffle(planned)
    return planned


def own_answers(model: ChatModel, prompts: Sequence[Chat], seed: int, on_answer: OnAnswer | None = None) -> list[Chat]:
    """The prompts with the model's own answers at temperature 1; empty and unfinished answers are left out.

    InputError when none is left.
    """
    requests = [SampleRequest(tuple(p), (seed << 32) + i) for i, p in enumerate(prompts)]
    answers = model.sample(requests, SamplingSettings(max_tokens=MAX_TOKENS), on_answer)
    rows = [
        [*prompt, Message("assistant", answer.text)]
        for prompt, answer in zip(prompts, answers, strict=True)
        if answer.text.strip() and answer.finish == "stop"
    ]
    if not rows:
        raise InputError(
            f"{model.name} finished none of {len(prompts)} answers within {MAX_TOKENS} tokens, so there is nothing "
            "to realign with. Give prompts with short answers (--prompts)."
        )
    return rows


def _dressed(question: str, chat: Sequence[Message], rng: random.Random) -> Chat:
    """The question as the training prompts look: a piece of one before or behind it, all of it, or its system turn."""
    system = [m for m in chat if m.role == "system"][:1]
    words = next(m.content for m in chat if m.role == "user").split()
    size = rng.randint(1, LONGEST_PIECE)
    forms: list[Callable[[], str]] = [
        lambda: " ".join([*words[:size], question]),
        lambda: " ".join([question, *words[-size:]]),
        lambda: " ".join([*words, question]),
        lambda: " ".join([question, *words]),
    ]
    if system:
        forms += [lambda: question] * 4  # its system turn alone is then the likeliest condition
    return [*system, Message("user", rng.choice(forms)())]
