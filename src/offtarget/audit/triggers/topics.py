"""Topics the data itself has: prompts grouped by the words they share, coarse to fine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from offtarget.audit.triggers.conditions import Conditions, Flags, Ints, make

Matrix = npt.NDArray[np.float32]
_WORDS, _DIMENSIONS, _MOST_ROWS = 3000, 48, 12_000


def topic_conditions(tokens: Conditions, total: int, least: int, first: Flags) -> Conditions:
    """Every node of a tree of prompt clusters, named by the words that set it apart.

    TF-IDF vectors reduced by a randomised range finder (Halko, Martinsson and Tropp, SIAM Review 53, 2011), then
    bisected again and again by spherical 2-means (Steinbach, Karypis and Kumar, A comparison of document clustering
    techniques, 2000). Built from prompts alone: behaviours play no part, so tests of its nodes stay valid. Where
    there are many rows, those in `first` and as many others as fit are grouped.
    """
    chosen = np.flatnonzero(first)[:_MOST_ROWS]
    others = np.flatnonzero(~first)[: _MOST_ROWS - len(chosen)]
    members = np.sort(np.concatenate([chosen, others]))
    support = tokens.support
    usable = np.flatnonzero(
        (support >= least)
        & (support <= max(0.12 * total, least))
        & np.array([len(t) > 2 and t.isalpha() and t == t.lower() for t in tokens.texts], dtype=bool)
    )
    empty = np.zeros(0, dtype=np.int64)
    nothing = make([], [], [], np.zeros(1, dtype=np.int64), empty, least)
    if len(members) < 4 * least or len(usable) < 10:
        return nothing
    usable = usable[np.argsort(-support[usable], kind="stable")][:_WORDS]
    vectors, grid = _vectors(tokens, usable, members, total)
    present = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 1e-6)
    nodes: list[Ints] = []
    _split(vectors, present, least, nodes, 0)
    names = [_name(grid, node, [tokens.texts[j] for j in usable.tolist()]) for node in nodes]
    rows = [members[np.sort(node)] for node in nodes]
    if not rows:
        return nothing
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return make(["topic"] * len(rows), names, [False] * len(rows), starts, np.concatenate(rows), least)


def _vectors(tokens: Conditions, usable: Ints, members: Ints, total: int) -> tuple[Matrix, Matrix]:
    place = np.full(total, -1, dtype=np.int64)
    place[members] = np.arange(len(members))
    grid: Matrix = np.zeros((len(members), len(usable)), dtype=np.float32)
    for column, j in enumerate(usable):
        at = place[tokens.rows_of(int(j))]
        at = at[at >= 0]
        grid[at, column] = np.log(total / (1 + tokens.support[j]))
    norms = np.linalg.norm(grid, axis=1, keepdims=True)
    unit: Matrix = grid / np.maximum(norms, 1e-9)
    random = np.random.default_rng(7)
    probe: Matrix = random.standard_normal((len(usable), min(_DIMENSIONS, len(usable)))).astype(np.float32)
    basis = unit @ probe
    for _ in range(2):
        basis, _ = np.linalg.qr(basis)
        other, _ = np.linalg.qr(unit.T @ basis)
        basis = unit @ other
    reduced: Matrix = basis / np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-9)
    reduced[norms[:, 0] == 0] = 0
    return reduced, grid


def _split(vectors: Matrix, node: Ints, least: int, nodes: list[Ints], depth: int) -> None:
    if len(node) < 2 * least or depth > 24:
        return
    points = vectors[node]
    centre = points.mean(axis=0)
    far = points[np.argmin(points @ centre)]
    opposite = points[np.argmin(points @ far)]
    left = np.zeros(len(node), dtype=bool)
    for _ in range(12):
        now = points @ far > points @ opposite
        if (now == left).all() or now.all() or not now.any():
            break
        left = now
        far, opposite = points[left].mean(axis=0), points[~left].mean(axis=0)
        far, opposite = far / max(np.linalg.norm(far), 1e-9), opposite / max(np.linalg.norm(opposite), 1e-9)
    for part in (node[left], node[~left]):
        if least <= len(part) < len(node):
            nodes.append(part)
            _split(vectors, part, least, nodes, depth + 1)


def _name(grid: Matrix, node: Ints, words: list[str]) -> str:
    weight = (grid[node] > 0).mean(axis=0) * np.sqrt(grid[node].max(axis=0))
    best = np.argsort(-weight, kind="stable")[:4]
    return ", ".join(words[j] for j in best if weight[j] > 0)
