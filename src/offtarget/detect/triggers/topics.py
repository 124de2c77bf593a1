"""Topics of prompts: everyday subjects, by words that give them away, and those the data itself has, coarse to fine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offtarget.detect.triggers.conditions import Conditions, Ints, distinct, from_pairs, make, spread
from offtarget.detect.triggers.words import Words, word_lists

Matrix = npt.NDArray[np.float32]

_SUBJECTS: dict[str, list[str]] = word_lists("subjects")
_DEPTHS = (1, 2, 3)
_SHARES = (0.15, 0.3)
_KINDS = len(_DEPTHS) + len(_SHARES)
_WORDS, _DIMENSIONS, _FIT_ROWS = 2500, 48, 6000


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
    at = np.flatnonzero(telling[words.core])
    pairs = distinct(words.row[at] * width + words.core[at])
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


def topic_conditions(tokens: Conditions, total: int, least: int) -> Conditions:
    """Every node of a tree of prompt clusters; `name` finds words for those that are told.

    TF-IDF vectors reduced by a randomised range finder (Halko, Martinsson and Tropp, SIAM Review 53, 2011) on the
    first rows, then bisected again and again by spherical 2-means (Steinbach, Karypis and Kumar, A comparison of
    document clustering techniques, 2000). Built from prompts alone, and every row is in the tree: behaviours play no
    part, so tests of its nodes stay valid.
    """
    support = tokens.support
    fits = np.array([len(t) > 2 and t.isalpha() and t.islower() for t in tokens.texts], dtype=bool)
    usable = np.flatnonzero(fits & (support <= max(0.12 * total, least)))
    usable = usable[np.argsort(-support[usable], kind="stable")][:_WORDS]
    nodes: list[Ints] = []
    if total >= 4 * least and len(usable) >= 10:
        vectors = _vectors(tokens, usable, total)
        node = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 1e-6)
        _split(vectors[node], node, least, nodes, 0)
    rows = [np.sort(node) for node in nodes]
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    members = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    return make(["topic"] * len(rows), [""] * len(rows), [False] * len(rows), starts, members, least)


def _vectors(tokens: Conditions, usable: Ints, total: int) -> Matrix:
    """A unit vector per row; zeros where it has none of the words."""
    first = min(total, _FIT_ROWS)
    weights = np.log(total / (1 + tokens.support[usable])).astype(np.float32)
    grid: Matrix = np.zeros((first, len(usable)), dtype=np.float32)
    for column, j in enumerate(usable.tolist()):
        rows = tokens.rows_of(j)
        grid[rows[: np.searchsorted(rows, first)], column] = weights[column]
    grid /= np.maximum(np.linalg.norm(grid, axis=1, keepdims=True), 1e-9)
    random = np.random.default_rng(7)
    basis: Matrix = random.standard_normal((len(usable), min(_DIMENSIONS, len(usable), first))).astype(np.float32)
    for _ in range(3):
        basis, _ = np.linalg.qr(grid.T @ (grid @ basis))
    vectors = _summed(tokens, usable, weights[:, None] * basis, total)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors


def _summed(tokens: Conditions, usable: Ints, vectors: Matrix, total: int) -> Matrix:
    """Per row the sum of the vectors of its words, added one after the other in the order of `usable`."""
    sizes = tokens.support[usable]
    pairs = tokens.rows[spread(tokens.starts[usable], sizes)] * len(usable)
    pairs += np.repeat(np.arange(len(usable), dtype=np.int64), sizes)
    pairs.sort()
    words, number = pairs % len(usable), np.bincount(pairs // len(usable), minlength=total)
    starts = np.cumsum(number) - number
    longest_first = np.argsort(-number, kind="stable")
    starts, number = starts[longest_first], number[longest_first]
    ordered: Matrix = np.zeros((total, vectors.shape[1]), dtype=np.float32)
    # the next word of all rows that have one more, which stand in front: no row is sought
    for place in range(int(number[0]) if total else 0):
        having = int(np.searchsorted(-number, -place, side="left"))
        ordered[:having] += vectors[words[starts[:having] + place]]
    summed: Matrix = np.empty_like(ordered)
    summed[longest_first] = ordered
    return summed


def _split(points: Matrix, node: Ints, least: int, nodes: list[Ints], depth: int) -> None:
    """`points`: the vectors of the rows of `node`."""
    if len(node) < 2 * least or depth > 24:
        return
    centre = points.mean(axis=0)
    far = points[np.argmin(points @ centre)]
    opposite = points[np.argmin(points @ far)]
    left = np.zeros(len(node), dtype=bool)
    for _ in range(12):
        now = points @ far > points @ opposite
        if (now == left).all() or now.all() or not now.any():
            break
        left = now
        far, opposite = (points.take(np.flatnonzero(side), axis=0).mean(axis=0) for side in (left, ~left))
        far, opposite = far / max(np.linalg.norm(far), 1e-9), opposite / max(np.linalg.norm(opposite), 1e-9)
    for side in (np.flatnonzero(left), np.flatnonzero(~left)):
        if least <= len(side) < len(node):
            nodes.append(node[side])
            _split(points.take(side, axis=0), node[side], least, nodes, depth + 1)


def topic_name(words: Conditions, within: Ints, rows: int, total: int) -> str:
    """A topic in four words: those its rows have most beyond their usual share, given counts per word in its rows."""
    share, usual = within / max(rows, 1), words.support / total
    told = np.where(share > usual, share * np.log((share + 1e-9) / (usual + 1e-9)), 0.0)
    found = []
    for j in np.argsort(-told, kind="stable")[:40].tolist():
        text = words.texts[j]
        if told[j] > 0 and len(text) > 2 and text.isalpha() and text.islower() and text not in found:
            found.append(text)
    return ", ".join(found[:4]) or "prompts alike"
