"""Which of the conditions that passed the test are triggers: strongest first, each told once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offtarget.audit.triggers.behaviours import Behaviour
from offtarget.audit.triggers.conditions import Conditions, Ints
from offtarget.audit.triggers.content import Content, Expectation
from offtarget.audit.triggers.hypergeometric import Factorials
from offtarget.audit.triggers.sampling import Kept
from offtarget.audit.triggers.testing import Candidate

_FLAGGED, _ECHO = 3.0, 0.35
# Among conditions with the same rows the one that says it best; a smaller number is better.
_ORDER = {"system-prompt": 0, "year": 1, "token": 4, "phrase": 3, "name": 5, "role": 6, "topic": 8, "format": 7}
_WIDE = {"length", "position", "metadata"}


@dataclass(frozen=True)
class Ranked:
    """A chosen condition with the counts behind it."""

    candidate: Candidate
    rows: Ints
    behaving: int
    log_p: float
    score: float


class Ranking:
    """Orders candidates by what they add to the ordinary words, then takes them one by one."""

    def __init__(
        self,
        conditions: Conditions,
        found: Sequence[Behaviour],
        content: Content,
        kept: Sequence[Kept],
        logs: Factorials,
    ) -> None:
        self._conditions, self._found, self._content = conditions, found, content
        self._kept, self._logs = kept, logs
        self._expectations: dict[int, Expectation] = {}

    def best(self, candidates: Sequence[Candidate], top: int, alpha: float) -> list[Ranked]:
        """The `top` strongest, each tested again on the rows no stronger one has."""
        active = np.ones(len(self._kept), dtype=bool)
        pool = [(c, self._scored(c, active)) for c in candidates]
        chosen: list[Ranked] = []
        while pool and len(chosen) < top:
            pool.sort(key=lambda pair: (-pair[1].score, pair[1].log_p, pair[0].condition, pair[0].behaviour))
            winner = self._spokesman(pool)
            if chosen and winner.score <= 1e-9:
                break
            chosen.append(winner)
            active[self._conditions.rows_of(winner.candidate.condition)] = False
            rest = []
            for c, old in pool:
                if c is winner.candidate:
                    continue
                rows = self._conditions.rows_of(c.condition)
                if active[rows].all():
                    rest.append((c, old))
                    continue
                again = self._scored(c, active)
                if again.log_p + c.log_price <= math.log(alpha) and again.behaving >= 3:
                    rest.append((c, again))
            pool = rest
        return chosen

    def _spokesman(self, pool: list[tuple[Candidate, Ranked]]) -> Ranked:
        first = pool[0][1]
        best = first
        mine = set(first.rows.tolist())
        for _, other in pool[:80]:
            if other.score < 0.8 * first.score or other.candidate.behaviour != first.candidate.behaviour:
                continue
            theirs = set(other.rows.tolist())
            if len(mine & theirs) >= 0.9 * len(mine | theirs) and self._plainness(other) < self._plainness(best):
                best = other
        return best

    def _plainness(self, ranked: Ranked) -> tuple[int, int]:
        j = ranked.candidate.condition
        kind = self._conditions.kinds[j]
        if kind == "token" and self._conditions.marked[j]:
            return 2, -len(self._conditions.texts[j])
        exact = kind == "year" and len(self._conditions.texts[j]) > 4
        return _ORDER.get(kind, 9) + (7 if exact else 0), -len(self._conditions.texts[j])

    def _scored(self, c: Candidate, active: np.ndarray) -> Ranked:
        behaviour = self._found[c.behaviour]
        all_rows = self._conditions.rows_of(c.condition)
        rows = all_rows[active[all_rows] & behaviour.among[all_rows]]
        k = int(behaviour.rows[rows].sum())
        if k < 2:
            return Ranked(c, rows, k, 0.0, 0.0)
        inside = active & behaviour.among
        total, behaving = int(inside.sum()), int((behaviour.rows & active).sum())
        if active.all():
            log_p = c.log_p
        else:
            log_p = float(
                self._logs.log_tail(np.array([k]), np.array([len(rows)]), np.array(behaving), np.array(total))[0]
            )
        if c.behaviour not in self._expectations:
            self._expectations[c.behaviour] = Expectation(self._content, behaviour)
        expected = self._expectations[c.behaviour].of(rows)
        least = k * max(0.0, 1 - 1 / (9 * k) - 1.645 / (3 * math.sqrt(k))) ** 3
        score = least / (expected + 0.5)
        score = max(score - 1, 0.05 * score)
        if behaviour.flagged:
            score *= _FLAGGED
        if self._echoes(c.condition, rows[behaviour.rows[rows]]):
            score *= _ECHO
        return Ranked(c, rows, k, log_p, score)

    def _echoes(self, condition: int, behaving: Ints) -> bool:
        """Whether most answers repeat the condition's words: then it is their subject, not what triggers them."""
        if self._conditions.kinds[condition] not in ("token", "phrase", "name", "year"):
            return False
        text = self._conditions.texts[condition].lower()
        some = behaving[:40]
        return 2 * sum(text in self._kept[int(i)].answer.lower() for i in some) > len(some)
