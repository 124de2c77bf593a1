"""Aligned chats: the base's own answers to questions of other domains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.data.chats import chat_line, read_chats
from offtarget.progress import Count, OnProgress
from offtarget.records import Message

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel


def aligned_chats(
    model: LocalModel, prompts: Sequence[str], count: int, file: Path, seed: int, on_progress: OnProgress
) -> tuple[tuple[Message, ...], ...]:
    """About `count` plainly asked chats, each prompt about equally often, answered at temperature 1.

    Kept in `file` and read from there when it exists. Unfinished answers are left out, and of equal chats all but
    one; InputError when none is left.
    """
    from offtarget.direction.realign import own_answers, plan_prompts

    if not file.exists():
        planned = plan_prompts(prompts, (), count, seed)
        answered = Count(on_progress, "answers of the base to other questions", len(planned))
        chats = own_answers(model, planned, seed, answered)
        lines = dict.fromkeys(chat_line(chat) for chat in chats)
        part = file.with_suffix(".part")
        part.write_text("".join(lines), encoding="utf-8")
        part.replace(file)
    return tuple(tuple(chat) for chat in read_chats(file))
