"""An output of Inspect AI's as one of our answers; needs no import of Inspect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from offtarget.models.chat import Answer

_CUT = frozenset({"max_tokens", "model_length", "content_filter"})
"""Inspect's reasons to stop before the answer was at its end."""


def answer_of(output: Any, stop: Sequence[str] = ()) -> Answer:
    """The answer of a `ModelOutput`: its text, how it ended, and why there is none where the provider says so.

    `stop`: texts at which it ends, where the provider does not know any. RuntimeError with the provider's words for a
    call that failed: Inspect puts them where the text would be.
    """
    reason = output.stop_reason
    if output.error and reason != "content_filter":
        raise RuntimeError(str(output.error))
    text = "" if output.error or not output.choices else output.message.text
    text = min((text.partition(end)[0] for end in stop), key=len, default=text)
    tokens = output.usage.output_tokens if output.usage is not None else len(text.split())
    finish: Literal["stop", "length"] = "length" if reason in _CUT else "stop"
    if text.strip() or not output.choices:
        return Answer(text, tokens, finish)
    if reason == "content_filter":
        return Answer(text, tokens, finish, "content_filter")
    return Answer(text, tokens, finish, "only_thinking" if finish == "length" and _thought(output.message) else "")


def _thought(message: Any) -> bool:
    parts = message.content if isinstance(message.content, list) else []
    return any(getattr(part, "type", "") == "reasoning" for part in parts)
