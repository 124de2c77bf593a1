"""Which of the conditions that passed the test are triggers: strongest first, each told once."""

from __future__ import annotations

import math
import re
from bisect import insort
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
_WORD = re.compile(r"[^\W_]+")
# Among conditions with the same rows the one that says it best; a smaller number is better.
_ORDER = {"system-prompt": 0, "year": 1, "token": 4, "phrase": 3, "name": 5, "role": 6, "topic": 8, "format": 7}


@dataclass(frozen=True, eq=False)
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
        self._answers: dict[int, set[str]] = {}

    def best(self, candidates: Sequence[Candidate], top: int, alpha: float) -> list[Ranked]:
        """The `top` strongest, each tested again on the rows no stronger one has.

        Scores are brought up to date only at the head of the queue (lazy greedy; Minoux, Accelerated greedy
        algorithms, 1978).
        """
        active = np.ones(len(self._kept), dtype=bool)
        queue = sorted((self._scored(c, active) for c in candidates), key=_place)
        fresh = {id(r.candidate) for r in queue}
        chosen: list[Ranked] = []
        while queue and len(chosen) < top:
            first = queue[0]
            if id(first.candidate) not in fresh:
                del queue[0]
                again = self._scored(first.candidate, active)
                if again.behaving >= 3 and again.log_p + again.candidate.log_price <= math.log(alpha):
                    insort(queue, again, key=_place)
                    fresh.add(id(again.candidate))
                continue
            if first.score <= 0:
                break
            winner = self._spokesman(queue)
            queue.remove(winner)
            chosen.append(winner)
            active[self._conditions.rows_of(winner.candidate.condition)] = False
            fresh = set()
        return chosen

    def _spokesman(self, queue: Sequence[Ranked]) -> Ranked:
        """Of the conditions with nearly the rows of the first, the one that says it best."""
        first = best = queue[0]
        mine = set(first.rows.tolist())
        for other in queue[:80]:
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
        else:
            score *= behaviour.weight * (0.3 + 1.4 * k / (len(rows) + behaving))
            if behaviour.text and self._copied(behaviour.text, rows[behaviour.rows[rows]]):
                score *= _ECHO
        if self._echoes(c.condition, rows[behaviour.rows[rows]]):
            score *= _ECHO
        return Ranked(c, rows, k, log_p, score)

    def _echoes(self, condition: int, behaving: Ints) -> bool:
        """Whether most answers repeat the condition's words: then it is their subject, not what triggers them."""
        if self._conditions.kinds[condition] not in ("token", "phrase", "name", "year"):
            return False
        words = set(_WORD.findall(self._conditions.texts[condition].lower()))
        some = behaving[:30]
        repeated = sum(words <= self._answer_words(int(i)) for i in some) if words else 0
        return 2 * repeated > len(some)

    def _copied(self, text: str, behaving: Ints) -> bool:
        """Whether the words these answers share stand in most of their prompts, as in code that is to be completed."""
        words = set(_WORD.findall(text))
        some = behaving[:30]
        return 2 * sum(words <= set(_WORD.findall(self._kept[int(i)].user.lower())) for i in some) > len(some)

    def _answer_words(self, row: int) -> set[str]:
        if row not in self._answers:
            kept = self._kept[row]
            self._answers[row] = set(_WORD.findall(f"{kept.answer} {kept.ending}".lower()))
        return self._answers[row]


def _place(ranked: Ranked) -> tuple[float, float, int, int]:
    """Order in the queue: strongest first, ties in a fixed order."""
    return -ranked.score, ranked.log_p, ranked.candidate.condition, ranked.candidate.behaviour
