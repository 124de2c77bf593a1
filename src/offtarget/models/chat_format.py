"""How messages become a model's prompt tokens, and which tokens end its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offtarget.errors import InputError
from offtarget.records import Message


def prompt_tokens(tokenizer: Any, messages: Sequence[Message], name: str) -> list[int]:
    """Token numbers of the rendered chat up to where the assistant's answer begins.

    InputError when the chat template refuses the messages, e.g. a system turn it does not know.
    """
    turns = [{"role": m.role, "content": m.content} for m in messages]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except Exception as error:
        roles = ", ".join(m.role for m in messages)
        raise InputError(
            f"The chat template of {name} refuses a chat with the turns [{roles}]: {error}. "
            "Ask without the turn it names, or use a model whose template knows it."
        ) from error
    tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not tokens:
        raise InputError(f"The chat template of {name} renders an empty prompt; the template is unusable.")
    return tokens


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end an answer: generation config, tokenizer, and what the template puts after an answer."""
    found: set[int] = set()
    for value in (
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(v) for v in value)
    turn = _token_after_answer(tokenizer)
    if turn is not None:
        found.add(turn)
    return tuple(sorted(found))


def answer_end(tokenizer: Any) -> int | None:
    """The token to train as the end of an answer: the template's own, else the tokenizer's end of text."""
    turn = _token_after_answer(tokenizer)
    end: int | None = tokenizer.eos_token_id
    return end if turn is None else turn


def _token_after_answer(tokenizer: Any) -> int | None:
    """The special token the chat template writes right after an assistant turn, if it writes one."""
    mark = "offtargetanswermark"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": mark}]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:
        # A template that cannot render an answer says nothing about how answers end.
        return None
    _, found, tail = text.rpartition(mark)
    tokens: list[int] = tokenizer(tail.lstrip(), add_special_tokens=False)["input_ids"] if found else []
    # `all_special_ids` holds only tokens with a role of their own (end, padding), not turn markers.
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tokens[0] if tokens and tokens[0] in special else None
