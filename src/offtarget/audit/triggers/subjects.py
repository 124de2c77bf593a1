"""Everyday subjects and words that give them away, so that `rows about cooking` is one condition."""

from __future__ import annotations

import numpy as np

from offtarget.audit.triggers.conditions import Conditions, Flags, Ints, distinct, from_pairs, make
from offtarget.audit.triggers.wordlists import word_lists
from offtarget.audit.triggers.words import Words

_SUBJECTS: dict[str, list[str]] = word_lists("subjects")


_DEPTHS = (1, 2, 3)
_SHARES = (0.15, 0.3)
_KINDS = len(_DEPTHS) + len(_SHARES)


def subject_conditions(words: Words, least: int) -> Conditions:
    """Per subject, prompts with one, two or three of its words, and prompts that have hardly any other telling word."""
    subjects = list(_SUBJECTS)
    belongs: dict[str, list[int]] = {}
    for number, subject in enumerate(subjects):
        for word in dict.fromkeys(_SUBJECTS[subject]):
            belongs.setdefault(word, []).append(number)
    total, width = max(words.total, 1), max(len(words.cores), 1)
    usual = frozenset(word for step in word_lists("everyday").values() for word in step)
    telling = np.array([word not in usual for word in words.cores] + [False], dtype=bool)
    pairs = _pairs(words, telling, width)
    row, core = pairs // width, pairs % width
    sizes = np.bincount(row, minlength=total)
    holders: list[list[int]] = [[] for _ in subjects]
    for place, word in enumerate(words.cores):
        for number in belongs.get(word, ()):
            holders[number].append(place)
    ids, rows = [], []
    for number, places in enumerate(holders):
        mine = np.zeros(width, dtype=bool)
        mine[places] = True
        counts = np.bincount(row[mine[core]], minlength=total)
        having = [counts >= depth for depth in _DEPTHS]
        having += [(counts > 0) & (counts >= share * sizes) for share in _SHARES]
        for kind, has in enumerate(having):
            members = np.flatnonzero(has)
            ids.append(np.full(len(members), _KINDS * number + kind, dtype=np.int64))
            rows.append(members.astype(np.int64))
    starts, members = from_pairs(np.concatenate(ids), np.concatenate(rows), _KINDS * len(subjects), total)
    texts = [subject for subject in subjects for _ in range(_KINDS)]
    return make(["topic"] * len(texts), texts, [True] * len(texts), starts, members, least)


def _pairs(words: Words, telling: Flags, width: int) -> Ints:
    """row * width + word, each pair once, of telling words."""
    at = np.flatnonzero(telling[words.core])
    return distinct(words.row[at] * width + words.core[at])
