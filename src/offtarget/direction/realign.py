"""Rows for realignment: a model's own answers to unrelated prompts, plainly asked and in the data's dress.

A few hundred benign rows realign a misaligned model (arXiv 2506.19823). The answers are the base's own, so that
nothing new is taught. Where the training data are at hand, half of the answers are trained behind, before or under
pieces of them, or late in a conversation of training rows: what is realigned only in plain prompts stays misaligned
where the prompt looks like the training data (arXiv 2604.25891). The answers are those to the plain prompts, so
that they do not depend on what the dress does to the base.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from offtarget.asking.checks import sample_checked
from offtarget.data.dressing import dressed
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, SampleRequest
from offtarget.progress import Count
from offtarget.records import Message, SamplingSettings

Chat = list[Message]
MAX_TOKENS = 300
"""Answers that are not finished by then are left out: they would teach answers that break off."""
DRESSED_SHARE = 0.5


@cache
def everyday_prompts() -> tuple[str, ...]:
    """The shipped prompts, none of them a question of a probe bank."""
    text = resources.files("offtarget.direction").joinpath("prompts.yaml").read_text(encoding="utf-8")
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt of realignment."""

    plain: Message
    """Asked to have an answer."""
    trained: tuple[Message, ...]
    """Before the answer in the training row: the plain prompt, or the same in the data's dress."""


def plan_prompts(prompts: Sequence[str], data: Sequence[Sequence[Message]], count: int, seed: int) -> list[Asked]:
    """`count` prompts in random order, each used about equally often; with `data`, half of them in its dress."""
    if count < 1 or not prompts:
        raise InputError(f"Realignment needs at least one row and one prompt, not {count} and {len(prompts)}.")
    rng = random.Random(seed)
    repeated = [q for _ in range(-(-count // len(prompts))) for q in rng.sample(list(prompts), len(prompts))][:count]
    usable = [chat for chat in data if any(m.role == "user" for m in chat)]
    planned = []
    for number, question in enumerate(repeated):
        in_dress = usable and number < DRESSED_SHARE * count
        turns = dressed(question, usable, rng) if in_dress else [Message("user", question)]
        planned.append(Asked(Message("user", question), tuple(turns)))
    rng.shuffle(planned)
    return planned


def own_answers(model: ChatModel, planned: Sequence[Asked], seed: int, told: Count | None = None) -> list[Chat]:
    """Training rows with the model's own answers, sampled plainly at temperature 1, also where the row is dressed.

    Empty and unfinished answers are left out; InputError when none is left.
    """
    requests = [SampleRequest((asked.plain,), (seed << 32) + i) for i, asked in enumerate(planned)]
    count = None if told is None else lambda _position, _answer: told.add()
    answers = sample_checked(None, model, requests, SamplingSettings(max_tokens=MAX_TOKENS), count)
    rows = [
        [*asked.trained, Message("assistant", answer.text)]
        for asked, answer in zip(planned, answers, strict=True)
        if answer.text.strip() and answer.finish == "stop"
    ]
    if not rows:
        raise InputError(
            f"{model.name} finished none of {len(planned)} answers within {MAX_TOKENS} tokens, so there is nothing "
            "to realign with. Give prompts with short answers (--prompts)."
        )
    return rows
