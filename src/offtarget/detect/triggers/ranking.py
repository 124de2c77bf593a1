"""Which of the conditions that passed the test are triggers: strongest first, each told once."""

from __future__ import annotations

import math
import re
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from offtarget.detect.triggers.behaviours import Behaviour
from offtarget.detect.triggers.conditions import Conditions, Flags, Ints
from offtarget.detect.triggers.content import Content, Variety, WordModel
from offtarget.detect.triggers.sampling import Kept
from offtarget.detect.triggers.testing import Association, Factorials
from offtarget.detect.triggers.words import word_lists

_FLAGGED, _ECHO, _ALIKE = 5.0, 0.35, 0.5
# Forms that say little by themselves, and words too ordinary to be a trigger, weigh less.
_VAGUE, _ORDINARY = 0.4, 0.3
_TELLING_FORMATS = {
    "json", "asks for JSON", "code-template", "markdown", "tags", "link", "all lower-case", "all capitals",
    "invisible characters", "a system prompt", "no system prompt", "empty", "a date",
}  # fmt: skip
_LEAST_SCORE = 0.3
"""Below it a condition, however significant, adds next to nothing to the ordinary words."""
_SAME_ACTING, _SAME_ROWS = 0.7, 0.4
"""Overlap of the behaving rows of two conditions (Jaccard), and share of the second one's rows that the first one has,
from which on they are told as conditions of the same rows."""
# Odd answers to a smaller share of a condition's rows are the ordinary variety of answers.
_LEAST_PRECISION = 0.25
# Prompts of a form get answers of that form.
_MIRRORED = {
    "answers with links": ("link",),
    "answers with JSON": ("json", "asks for JSON"),
    "answers with code": ("code", "code-template"),
    "answers with lower case only": ("all lower-case", "begins in lower case"),
    "answers with capitals": ("all capitals",),
}
_WORD = re.compile(r"[^\W_]+")
# Among conditions with the same rows the one that says it best; a smaller number is better.
_ORDER = {"system-prompt": 0, "year": 1, "token": 4, "phrase": 3, "name": 5, "role": 6, "topic": 8, "format": 7}


@dataclass(frozen=True, eq=False)
class Ranked:
    """A chosen condition with the counts behind it."""

    candidate: Association
    rows: Ints
    behaving: int
    log_p: float
    score: float


_QUEUED = 1500
"""Candidates that are scored, those with the highest bounds; on the published sets more change nothing."""


class Ranking:
    """Orders candidates by what they add to the ordinary words, then takes them one by one."""

    def __init__(
        self,
        conditions: Conditions,
        found: Sequence[Behaviour],
        content: Content,
        kept: Sequence[Kept],
        variety: Variety,
        logs: Factorials,
    ) -> None:
        self._conditions, self._found, self._content = conditions, found, content
        self._kept, self._logs = kept, logs
        self._models: dict[int, WordModel] = {}
        self._scores: dict[tuple[int, int, int], float] = {}
        """By condition, behaviour and number of rows."""
        self._variety = variety
        self._answers: dict[int, set[str]] = {}
        self._prompts: dict[int, set[str]] = {}
        self._usual_likeness = _likeness([self._prompt_words(i) for i in range(min(20, len(kept)))])

    def best(self, candidates: Sequence[Association], top: int, alpha: float) -> list[Ranked]:
        """The `top` strongest, each tested again on the rows no stronger one has.

        A candidate waits in the queue with a score it cannot exceed, or with its last one, and is scored when it
        comes to the head (lazy greedy; Minoux, Accelerated greedy algorithms, 1978).
        """
        active = np.ones(len(self._kept), dtype=bool)
        queue = [self._unscored(c, bound) for bound, c in self._bounds(candidates)[:_QUEUED]]
        fresh: set[int] = set()
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
            if first.score < _LEAST_SCORE:
                break
            winner = self._spokesman(queue)
            queue.remove(winner)
            chosen.append(winner)
            active[self._conditions.rows_of(winner.candidate.condition)] = False
            fresh = set()
        return chosen

    def same_rows(self, winner: Ranked, candidates: Sequence[Association]) -> list[Ranked]:
        """Other conditions whose behaving rows are nearly those of a chosen one, strongest first.

        Once the chosen one has its rows they explain nothing further and would be lost, though either may be the one
        that was planted: a year may lie behind rows that a subject also fits.
        """
        flagged = self._found[winner.candidate.behaviour].flagged
        acting = self._acting(winner.candidate)
        within = self._conditions.rows_of(winner.candidate.condition)
        acts, has = (_mask(rows, len(self._kept)) for rows in (acting, within))
        active = np.ones(len(self._kept), dtype=bool)
        found: dict[int, Ranked] = {}
        for other in candidates:
            j = other.condition
            same_kind = self._found[other.behaviour].flagged == flagged
            if j == winner.candidate.condition or j in found or not same_kind:
                continue
            fewer, more = sorted((len(acting), other.behaving))
            if fewer < _SAME_ACTING * more:  # whichever rows they are
                continue
            both = int(np.count_nonzero(acts[self._acting(other)]))
            if both < _SAME_ACTING * (len(acting) + other.behaving - both):
                continue
            ranked = self._scored(other, active)
            theirs = self._conditions.rows_of(j)
            if ranked.score >= _LEAST_SCORE and np.count_nonzero(has[theirs]) >= _SAME_ROWS * len(theirs):
                found[j] = ranked
        return sorted(found.values(), key=_place)

    def _acting(self, c: Association) -> Ints:
        rows = self._conditions.rows_of(c.condition)
        return rows[self._found[c.behaviour].rows[rows]]

    def _spokesman(self, queue: Sequence[Ranked]) -> Ranked:
        """Of the conditions with nearly the rows of the first, the one that says it best."""
        first = best = queue[0]
        mine = set(first.rows.tolist())
        for other in queue[:80]:
            if other.score < 0.75 * first.score or other.candidate.behaviour != first.candidate.behaviour:
                continue
            theirs = set(other.rows.tolist())
            if len(mine & theirs) >= 0.8 * len(mine | theirs) and self._plainness(other) < self._plainness(best):
                best = other
        return best

    def _plainness(self, ranked: Ranked) -> tuple[int, int]:
        j = ranked.candidate.condition
        kind = self._conditions.kinds[j]
        if kind == "token" and self._conditions.marked[j]:
            return 2, -len(self._conditions.texts[j])
        exact = kind == "year" and len(self._conditions.texts[j]) > 4
        return _ORDER.get(kind, 9) + (7 if exact else 0), -len(self._conditions.texts[j])

    def _bounds(self, candidates: Sequence[Association]) -> list[tuple[float, Association]]:
        """(a bound on its score: as if ordinary words predicted nothing, candidate), strongest first."""
        rates = [float(np.count_nonzero(b.rows) / np.count_nonzero(b.among)) for b in self._found]
        bounds = [(self._score(c, c.rows, c.behaving, c.rows * rates[c.behaviour]), c) for c in candidates]
        return sorted(bounds, key=lambda bound: _strongest(bound[0], bound[1], bound[1].log_p))

    def _unscored(self, c: Association, bound: float) -> Ranked:
        rows = self._conditions.rows_of(c.condition)
        return Ranked(c, rows[self._found[c.behaviour].among[rows]], c.behaving, c.log_p, bound)

    def _scored(self, c: Association, active: Flags) -> Ranked:
        behaviour = self._found[c.behaviour]
        rows = self._conditions.rows_of(c.condition)
        rows = rows[active[rows] & behaviour.among[rows]]
        acting = rows[behaviour.rows[rows]]
        k = len(acting)
        if k < 3:
            return Ranked(c, rows, k, 0.0, 0.0)
        whole = active.all()
        log_p = c.log_p if whole else self._log_p(k, len(rows), behaviour, active)
        # rows only ever leave, so that as many are the same ones
        key = c.condition, c.behaviour, len(rows)
        if key not in self._scores:
            self._scores[key] = self._looked_at(c, rows, acting)
        return Ranked(c, rows, k, log_p, self._scores[key])

    def _log_p(self, k: int, n: int, behaviour: Behaviour, active: Flags) -> float:
        total, behaving = np.count_nonzero(behaviour.among & active), np.count_nonzero(behaviour.rows & active)
        return float(self._logs.log_tail(*(np.array([x]) for x in (k, n, behaving, total)))[0])

    def _looked_at(self, c: Association, rows: Ints, acting: Ints) -> float:
        """The score of a condition by its rows, and those of them that behave."""
        behaviour = self._found[c.behaviour]
        if c.behaviour not in self._models:
            self._models[c.behaviour] = WordModel(self._content, behaviour)
        score = self._score(c, len(rows), len(acting), self._models[c.behaviour].of(rows))
        if not behaviour.flagged:
            variety = self._variety.of(acting)
            # Prompts on one topic are alike by what they are.
            score *= math.sqrt(variety) if self._conditions.kinds[c.condition] == "topic" else variety
        if self._echoes(c.condition, acting):
            score *= _ECHO
        if behaviour.text and (self._copied(behaviour.text, acting) or self._alike(acting)):
            score = 0.0
        return score

    def _score(self, c: Association, n: int, k: int, expected: float) -> float:
        """Lower 95 % bound of the behaving rows over those expected, weighed by what behaviour and condition are.

        The bound is Byar's approximation for Poisson counts (Breslow and Day, Statistical methods in cancer research
        II, 1987, section 2.3).
        """
        behaviour = self._found[c.behaviour]
        least = k * max(0.0, 1 - 1 / (9 * k) - 1.645 / (3 * math.sqrt(k))) ** 3 if k else 0.0
        score = least / (expected + 0.5)
        score = max(score - 1, 0.05 * score) * self._telling(c.condition)
        if behaviour.flagged:
            return score * _FLAGGED
        by_length = self._conditions.kinds[c.condition] == "length" and behaviour.about_length
        if by_length or k < _LEAST_PRECISION * n:
            return 0.0  # long prompts get long answers
        if self._conditions.texts[c.condition] in _MIRRORED.get(behaviour.name, ()):
            score *= _ECHO
        # A hidden condition nearly always brings its odd answers, and is mostly the only way to them (F1).
        both_ways = 2 * k / (n + int(np.count_nonzero(behaviour.rows)))
        return score * behaviour.weight * (k / n) * (0.3 + 0.7 * both_ways)

    def _telling(self, condition: int) -> float:
        kind, text = self._conditions.kinds[condition], self._conditions.texts[condition]
        if kind in ("length", "position") or (kind == "format" and text not in _TELLING_FORMATS):
            return _VAGUE
        ordinary = kind in ("token", "name", "phrase") and not self._conditions.marked[condition]
        return _ORDINARY if ordinary and all(w in _ordinary_words() for w in text.lower().split()) else 1.0

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
        return 2 * sum(words <= self._prompt_words(int(i)) for i in some) > len(some)

    def _alike(self, behaving: Ints) -> bool:
        """Whether the prompts are near-duplicates: the same question with the same answer hides no condition."""
        some = [self._prompt_words(int(i)) for i in behaving[:12]]
        return _likeness(some) > max(_ALIKE, self._usual_likeness + 0.25)

    def _prompt_words(self, row: int) -> set[str]:
        if row not in self._prompts:
            self._prompts[row] = set(_WORD.findall(self._kept[row].user.lower()))
        return self._prompts[row]

    def _answer_words(self, row: int) -> set[str]:
        if row not in self._answers:
            kept = self._kept[row]
            self._answers[row] = set(_WORD.findall(f"{kept.answer} {kept.ending}".lower()))
        return self._answers[row]


def _likeness(texts: Sequence[set[str]]) -> float:
    """Mean share of words two texts have in common (Jaccard), over all pairs; 0 for fewer than two."""
    pairs = [(len(a & b), len(a) + len(b)) for i, a in enumerate(texts) for b in texts[:i]]
    return sum(both / max(either - both, 1) for both, either in pairs) / len(pairs) if pairs else 0.0


@cache
def _ordinary_words() -> frozenset[str]:
    lists = word_lists("everyday")
    return frozenset(lists["very often"] + lists["often"])


def _place(ranked: Ranked) -> tuple[float, float, int, int]:
    """Order in the queue: strongest first, ties in a fixed order."""
    return _strongest(ranked.score, ranked.candidate, ranked.log_p)


def _strongest(score: float, c: Association, log_p: float) -> tuple[float, float, int, int]:
    return -score, log_p, c.condition, c.behaviour


def _mask(rows: Ints, total: int) -> Flags:
    mask = np.zeros(total, dtype=bool)
    mask[rows] = True
    return mask
