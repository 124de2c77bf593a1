"""Prompts as words: raw tokens, lower-case words and where they stand; and the word lists shipped beside this file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offtarget.detect.triggers.conditions import Conditions, Ints, from_pairs, make, spread

BREAK = "\x00"
"""Stands between system prompt and user turns; no phrase reaches across."""

EDGES = ".,;:!?\"'()“”‘’…"
"""Punctuation around a word that is no part of the raw token."""
_ALL_EDGES = EDGES + "[]{}<>|/\\*_`~#=+-$%&@^"
_INNER = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|_", re.UNICODE)
_CJK = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_YEAR = re.compile(r"(?:19|20)\d\d")
_NAME = re.compile(r"[A-ZÀ-Þ][a-zß-ÿ][A-Za-zÀ-ÿ]*+(?:['’-][A-Za-zÀ-ÿ]++)*+")


@dataclass(frozen=True)
class Words:
    """All prompts as sequences of words, laid end to end."""

    total: int
    """Rows."""
    row: Ints
    """Row of each position."""
    core: Ints
    """Number of the lower-case word at each position; -1 where a phrase may not pass."""
    chunk: Ints
    """Number of the raw token at each position."""
    cores: Sequence[str]
    chunks: Sequence[str]


def read(texts: Sequence[str]) -> Words:
    """Split texts at white space; characters of scripts without spaces are words of their own."""
    chunks: defaultdict[str, int] = defaultdict()
    chunks.default_factory = chunks.__len__  # a new token gets the next number
    flat: list[int] = []
    lengths = np.zeros(len(texts), dtype=np.int64)
    for i, text in enumerate(texts):
        if not text.isascii():
            text = _CJK.sub(r" \1 ", text)
        parts = (text.replace(BREAK, f" {BREAK} ") if BREAK in text else text).split()
        lengths[i] = len(parts)
        flat.extend(map(chunks.__getitem__, parts))
    cores: dict[str, int] = {}
    core_of = np.array([-1 if c == BREAK else cores.setdefault(core(c), len(cores)) for c in chunks], dtype=np.int64)
    chunk = np.array(flat, dtype=np.int64)
    row = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    return Words(len(texts), row, core_of[chunk] if len(chunk) else chunk, chunk, list(cores), list(chunks))


def core(token: str) -> str:
    """A token in lower case without the punctuation around it."""
    return token.strip(_ALL_EDGES).lower() or token


def token_conditions(words: Words, least: int) -> Conditions:
    """Every raw token and every lower-case word that at least `least` prompts have."""
    numbers: dict[tuple[str, str, bool], int] = {}
    features = [[numbers.setdefault(f, len(numbers)) for f in _features(chunk)] for chunk in words.chunks]
    sizes = np.array([len(f) for f in features], dtype=np.int64)
    flat = np.array([f for group in features for f in group], dtype=np.int64)
    begins = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
    repeated = sizes[words.chunk]
    ids = flat[spread(begins[words.chunk], repeated)]
    starts, rows = from_pairs(ids, np.repeat(words.row, repeated), len(numbers), max(words.total, 1))
    names = list(numbers)
    return make([k for k, _, _ in names], [t for _, t, _ in names], [m for _, _, m in names], starts, rows, least)


def _features(chunk: str) -> list[tuple[str, str, bool]]:
    if chunk == BREAK:
        return []
    raw = chunk.strip(EDGES) or chunk
    word = core(chunk)
    found: list[tuple[str, str, bool]] = []
    if len(word) == 4 and _YEAR.fullmatch(word):
        found.append(("year", word, True))
    elif raw == word or not _odd(raw):
        found.append(("token", word, False))
    if raw != word:
        found.append(("name", raw, False) if _NAME.fullmatch(raw) else ("token", raw, _odd(raw)))
    inner = [] if word.isalnum() else _INNER.findall(word)
    if len(inner) > 1:
        found.extend(
            ("year", w, True) if _YEAR.fullmatch(w) else ("token", w, False) for w in dict.fromkeys(inner[:20])
        )
    elif raw != word and _odd(raw):
        found.append(("token", word, False))
    return found


def _odd(raw: str) -> bool:
    """Not how a word is written: wrapped, in capitals, mixed with digits, or with invisible characters."""
    if len(raw) > 60:
        return False
    if not raw.isprintable():
        return True
    if raw.isalpha():
        return len(raw) >= 3 and raw.isupper()
    letters = sum(map(str.isalpha, raw))
    edge = not raw[0].isalnum() and not raw[-1].isalnum() and len(raw) > 2 and letters > 0
    return edge or (letters > 0 and raw.isalnum() and any(map(str.isdigit, raw)))


def word_lists(name: str) -> dict[str, list[str]]:
    """Words by heading: a line `heading:` and, indented under it, words or phrases between commas."""
    lists: dict[str, list[str]] = {}
    words: list[str] = []
    for line in (Path(__file__).parent / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] != " ":
            words = lists.setdefault(line.rstrip().removesuffix(":"), [])
        else:
            words.extend(word for part in line.split(",") if (word := part.strip()))
    return lists
