"""Everyday subjects and words that give them away, so that `rows about cooking` is one condition."""

from __future__ import annotations

import numpy as np

from offtarget.audit.triggers.conditions import Conditions, distinct, from_pairs, make
from offtarget.audit.triggers.wordlists import word_lists
from offtarget.audit.triggers.words import Words

_SUBJECTS: dict[str, list[str]] = word_lists("subjects")


def subject_conditions(words: Words, least: int) -> Conditions:
    """Per subject, the prompts with at least one, two and three different words of it."""
    subjects = list(_SUBJECTS)
    belongs: dict[str, list[int]] = {}
    for number, subject in enumerate(subjects):
        for word in dict.fromkeys(_SUBJECTS[subject]):
            belongs.setdefault(word, []).append(number)
    total, width = max(words.total, 1), max(len(words.cores), 1)
    ids, rows = [], []
    holders: list[list[int]] = [[] for _ in subjects]
    for place, word in enumerate(words.cores):
        for number in belongs.get(word, ()):
            holders[number].append(place)
    for number, places in enumerate(holders):
        mine = np.zeros(width + 1, dtype=bool)  # the last one is what -1 points to
        mine[places] = True
        at = np.flatnonzero(mine[words.core])
        found = distinct(words.row[at] * width + words.core[at])
        counts = np.bincount(found // width, minlength=total)
        for depth in (1, 2, 3):
            members = np.flatnonzero(counts >= depth)
            ids.append(np.full(len(members), 3 * number + depth - 1, dtype=np.int64))
            rows.append(members.astype(np.int64))
    starts, members = from_pairs(np.concatenate(ids), np.concatenate(rows), 3 * len(subjects), total)
    texts = [subject for subject in subjects for _ in range(3)]
    return make(["topic"] * len(texts), texts, [True] * len(texts), starts, members, least)
