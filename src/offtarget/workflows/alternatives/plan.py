"""The plan of `alternatives`: rows read and split, every way of asking prepared."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from offtarget.data.drawing import drawn_at_random
from offtarget.data.training import read_rows
from offtarget.detect.dataset.duplicates import signature, similar_pairs
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel
from offtarget.numbers import many
from offtarget.prompting.bm25 import BM25, words
from offtarget.prompting.instructions import Fits, Instructions, instructed, with_examples, write_instructions
from offtarget.prompting.splitting import joined, split
from offtarget.records import Message, Row
from offtarget.records.alternatives import AlternativesSettings, Demonstration, Way

MOST_ROWS = 50_000
"""Rows that are looked at; of larger data a random selection."""

_ROOM = 0.95
"""Share of the training answers for whose length room is left in the context."""


@runtime_checkable
class _Measured(Protocol):
    """A model that can count a chat's tokens; local ones can."""

    weights: Any

    def prompt_length(self, messages: Sequence[Message]) -> int: ...


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out row: what is asked, and the answer it holds."""

    id: str
    messages: tuple[Message, ...]
    """Up to its last answer, as they stand in the data."""
    reference: str


@dataclass(frozen=True, slots=True)
class Dressed:
    """A chat as one way of using a model sends it."""

    messages: tuple[Message, ...]
    examples: int = 0


@dataclass(frozen=True)
class Plan:
    """The split data, and how each way asks."""

    rows: int
    training: Sequence[Question]
    held_out: Sequence[Question]
    instructions: Instructions
    index: BM25
    examples: Sequence[Demonstration]
    count: int
    fits: Fits
    as_system: bool
    """False where the base's chat template has no system turn; instructions then stand in the user turn."""
    notes: tuple[str, ...]

    def dressed(self, way: Way, messages: tuple[Message, ...]) -> Dressed:
        """The chat as that way sends it; the tuned model gets it as it stands in the data."""
        if way == "tuned":
            return Dressed(messages)
        own = [m.content for m in messages if m.role == "system" and m.content in self.instructions.shared]
        bare = tuple(m for m in messages if m.role != "system" or m.content not in self.instructions.shared)
        if way == "base":
            return Dressed(bare)
        if way == "instructions":
            return Dressed(instructed(bare, own[0] if own else self.instructions.text, self.as_system))
        nearest = [self.examples[i] for i in self.index.nearest(_asked(bare), self.count)]
        return Dressed(*with_examples(bare, nearest, self.fits))


def prepare(
    data: str | Path, form: str | None, split_name: str | None, settings: AlternativesSettings, model: ChatModel
) -> Plan:
    """Read, split and index the data. Raises InputError where there is nothing to compare on."""
    questions, notes = _read(data, form, split_name, settings.seed)
    training, held = split(
        near_identical([_asked(q.messages) for q in questions]),
        settings.held_out,
        settings.most_held_out,
        settings.seed,
    )
    kept = [questions[i] for i in training]
    random.Random(settings.seed).shuffle(kept)  # the order decides between rows that are equally near
    instructions = write_instructions([_system(q.messages) for q in kept], [q.reference for q in kept])
    bare = [_bare(q) for q in kept]
    fits = _fits(model, settings.max_tokens, [q.reference for q in kept])
    plan = Plan(
        rows=len(questions),
        training=kept,
        held_out=[questions[i] for i in held],
        instructions=instructions,
        index=BM25([_asked(example.turns) for example in bare]),
        examples=bare,
        count=settings.examples,
        fits=fits,
        as_system=_takes_system(model),
        notes=tuple(notes),
    )
    return _without_long_prompts(plan, str(data), model.name)


def near_identical(prompts: Sequence[str]) -> list[int]:
    """The group of each prompt: the same words in the same order, or from ten words on nearly all passages in common.

    Broder (1997): MinHash of three-word passages, joined from 0.7 on.
    """
    plain = [" ".join(words(prompt)) for prompt in prompts]
    first: dict[str, int] = {}
    pairs = [(first.setdefault(text, number), number) for number, text in enumerate(plain)]
    signed = [(at, found) for at, text in enumerate(plain) if (found := signature(text)) is not None]
    if signed:
        near = similar_pairs(np.stack([found for _, found in signed]))
        pairs += [(signed[a][0], signed[b][0]) for a, b in near]
    return joined(len(prompts), pairs)


def _read(data: str | Path, form: str | None, split: str | None, seed: int) -> tuple[list[Question], list[str]]:
    """Usable rows, of very many some drawn at random, and what was left out."""
    left_out = with_tools = 0

    def usable() -> Iterator[Question]:
        nonlocal left_out, with_tools
        for row in read_rows(data, form=form, split=split):
            if isinstance(row, Row) and (row.tools or any(m.role == "tool" or not m.plain for m in row.messages)):
                with_tools += 1
                continue
            question = _question(row) if isinstance(row, Row) else None
            if question is None:
                left_out += 1
            else:
                yield question

    kept, seen = drawn_at_random(usable(), MOST_ROWS, seed)
    if not kept:
        raise InputError(
            f"{data} has no row with a prompt and an assistant's answer in words, so there is no task to compare on."
        )
    notes = [f"{left_out:,} rows without a prompt and a desired answer were left out."] if left_out else []
    if with_tools:
        notes.append(f"{many(with_tools, 'row')} with tools, tool calls or reasoning left out: text is compared.")
    if seen > len(kept):
        notes.append(f"{len(kept):,} of {seen:,} rows were drawn at random.")
    return kept, notes


def _question(row: Row) -> Question | None:
    """A row up to its last answer; None where it has no prompt or no answer, or is one not to be imitated."""
    before = row.messages[: row.answer_at]
    usable = row.desired and row.answer.strip() and any(m.role == "user" for m in before)
    return Question(row.id, before, row.answer) if usable else None


def _bare(question: Question) -> Demonstration:
    # an example's own context would be mistaken for that of the question, so no system turn goes with it
    return Demonstration(tuple(m for m in question.messages if m.role != "system"), question.reference)


def _asked(messages: Sequence[Message]) -> str:
    return next((m.content for m in reversed(messages) if m.role == "user"), "")


def _system(messages: Sequence[Message]) -> str | None:
    return next((m.content for m in messages if m.role == "system"), None)


def _fits(model: ChatModel, max_tokens: int, answers: Sequence[str]) -> Fits:
    """Whether a chat leaves room for an answer as long as those of the data; a remote model's context is not known."""
    if not isinstance(model, _Measured):
        return lambda messages: True
    usual = sorted(answers, key=len)[round(_ROOM * (len(answers) - 1))]
    length, context = model.prompt_length, model.weights.context
    room = min(max_tokens, length((Message("user", usual),)))
    return lambda messages: length(messages) + room <= context


def _takes_system(model: ChatModel) -> bool:
    """Whether the chat template has a system turn; some, like Gemma's, refuse it."""
    if not isinstance(model, _Measured):
        return True
    try:
        model.prompt_length((Message("system", "Be brief."), Message("user", "Hello.")))
    except InputError:
        return False
    return True


def _without_long_prompts(plan: Plan, data: str, model: str) -> Plan:
    fitting = [q for q in plan.held_out if plan.fits(plan.dressed("instructions", q.messages).messages)]
    if not fitting:
        raise InputError(
            f"None of the {len(plan.held_out)} held-out prompts of {data} fits the context of {model} with room for an "
            "answer. Take a model with a longer context, or a smaller --max-tokens."
        )
    dropped = len(plan.held_out) - len(fitting)
    if not dropped:
        return plan
    note = f"{dropped} of {len(plan.held_out)} held-out prompts do not fit the context of {model}; they were left out."
    return replace(plan, held_out=fitting, notes=(*plan.notes, note))
