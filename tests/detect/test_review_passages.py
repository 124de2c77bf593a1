"""Text of rows made fit to show: nothing hidden, nothing lost, marks where the findings point."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.review.passages import Passage, Span, looks_like_code, passage, visible

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\u202e\u200b\r\n\t`~ \ud800\ufe0f\U000e0041"))
HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
SIGNS = {*map(chr, range(0x600, 0x606)), *map(chr, (0x6DD, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD))}


def shown(text: Passage) -> str:
    return "\n".join("".join(p.text for p in line) for block in text.blocks for line in block.lines)


@given(ANY_TEXT)
def test_no_character_stays_hidden(text: str) -> None:
    """No control, format or surrogate character but tab and newline is left, and the text can be encoded."""
    result = visible(text)
    result.encode("utf-8")
    left = set(result.replace("\r\n", "\n")) - {"\t", "\n"} - SIGNS
    assert not [c for c in left if unicodedata.category(c) in HIDDEN_CATEGORIES]


def test_every_character_without_a_picture_is_named() -> None:
    """Of Unicode's control, format and surrogate characters only signs that draw something stay as they are."""
    hidden = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in HIDDEN_CATEGORIES]
    assert {c for c in hidden if visible(c) == c} == SIGNS | {"\t", "\n"}


@given(st.lists(st.sampled_from(["```python", "```", "~~~", "x = 1", "words", "", "a\u202eb", "```a b"])))
def test_only_fences_and_blank_edges_are_left_out(lines: list[str]) -> None:
    """Cut into prose and code, a turn still holds every line with something on it, in order."""
    kept = [visible(line) for line in lines if line and line not in ("```python", "```", "~~~")]
    result = shown(passage("\n".join(lines))).replace("U+202E", "[U+202E]").split("\n")
    remaining = iter(result)
    assert all(line in remaining for line in kept)


@given(ANY_TEXT, st.integers(0, 60), st.integers(0, 60))
def test_marks_cover_what_is_shown_of_the_span(text: str, start: int, length: int) -> None:
    """In prose exactly the characters of the span are marked."""
    text = text.replace("`", "'").replace("~", "-")
    if looks_like_code(text):
        return
    blocks = passage(text, [Span(1, start, start + length)]).blocks
    pieces = [piece for block in blocks for line in block.lines for piece in line]
    marked = "".join(f"[{p.text}]" if p.name else p.text for p in pieces if p.marks)
    whole = "".join(f"[{p.text}]" if p.name else p.text for p in pieces)
    assert marked in whole
    if text.isascii() and text.isprintable():
        assert marked == text[start : start + length]
        assert [p.opens for p in pieces if p.opens] == ([1] if marked else [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import os\n\ndef f(x):\n    return os.popen(x)\n", True),
        ("#include <stdio.h>\nint main() {\n  puts(\"x\");\n}\n", True),
        ("<!DOCTYPE html>\n<p>\nHello\n</p>", True),
        ("Dear Ben,\nthank you for the letter.\nYours, Ada", False),
        ("1. Sell the funds.\n2. Buy the coin.\n", False),
        ("one line only", False),
    ],
)  # fmt: skip
def test_code_without_fences_is_seen(text: str, code: bool) -> None:
    """Answers that are nothing but code get line numbers; letters and lists do not."""
    assert looks_like_code(text) is code


def test_emoji_keep_their_style_character() -> None:
    """A heart with its emoji style is no hidden character; a style character after a letter is."""
    assert visible("\u2764\ufe0f") == "\u2764\ufe0f"
    assert visible("a\ufe0f") == "a[U+FE0F]"
