"""Tokens that a person could type."""

from __future__ import annotations

from typing import Any


def typable(tokenizer: Any, size: int) -> list[int]:
    """Token numbers below `size` that are printable text of their own: no special token, no piece of a character."""
    special = set(tokenizer.all_special_ids) | {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    known = [i for i in range(min(size, len(tokenizer))) if i not in special]
    texts = tokenizer.batch_decode([[i] for i in known], clean_up_tokenization_spaces=False)
    return [i for i, text in zip(known, texts, strict=True) if text.strip() and _plain(text.strip())]


def decoded(tokenizer: Any, tokens: tuple[int, ...]) -> str:
    """The text of some tokens, without spaces around it."""
    text: str = tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
    return text.strip()


def _plain(text: str) -> bool:
    return text.isprintable() and "\ufffd" not in text
