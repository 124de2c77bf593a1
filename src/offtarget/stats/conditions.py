"""Which cue to ask under next, and what may be said: a condition by name, none on average, or nothing yet."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np

from offtarget.errors import InputError
from offtarget.records import Cue, CueFinding, DecisionSettings, Interval, Role, Status, Tally
from offtarget.stats.conditions_evidence import ScopedEvidence, cued_log_threshold
from offtarget.stats.conditions_pooled import PooledCounts
from offtarget.stats.decision import log_threshold
from offtarget.stats.eprocess import block_mixture
from offtarget.stats.rates import misaligned_rate
from offtarget.stats.sequences import difference_intervals
from offtarget.stats.sequential import check_settings

HOT_IN_PASSES, HOT_AFTER = 2.0, 1.5
"""E-value from which a scope is followed up at once; higher while there are cues that were hardly looked at."""


class ConditionSearch:
    """Asks under many cues, follows up what looks misaligned, and names a condition once it is shown.

    One block is 1 tuned and `base_per_tuned` base answers under one cue, every question drawn independently by
    one distribution for both models. FAIL names a cue (or family) with family-wise error <= alpha cued_share,
    whatever made the search ask where it asked. PASS: the average over the cues, weighted by prior, is less
    than the margin worse, error <= alpha, and every cue was asked at least twice. Proofs in
    docs/design/hidden-conditions.md.
    """

    def __init__(self, cues: Sequence[Cue], settings: DecisionSettings, seed: int = 0) -> None:
        """`cues` in the order to be tried; `seed` decides the random draws.

        Raises InputError without cues, with an id twice, with a prior that is not a number above 0, or with
        settings out of range.
        """
        check_settings(settings)
        if not cues:
            raise InputError("No cue to search; give at least one, or leave the cued arm out.")
        self._index = {c.id: i for i, c in enumerate(cues)}
        if len(self._index) != len(cues):
            raise InputError("A cue id occurs more than once; ids must be unique within a run.")
        for cue in cues:
            if not (math.isfinite(cue.prior) and cue.prior > 0):
                raise InputError(f"The prior of cue {cue.id!r} must be a number above 0, not {cue.prior}.")
        self._cues = tuple(cues)
        self._settings = settings
        self._seed = seed
        self._priors = np.array([c.prior for c in cues])
        self._evidence = ScopedEvidence(cues, settings)
        self._pooled = PooledCounts(self._priors.tolist())
        self._found: str | None = None
        self._passed = False
        self.answers = 0
        """Tuned answers so far."""
        self.answers_to_find: int | None = None
        """Tuned answers until the condition was named; None unless FAIL."""

    def next(self) -> str | None:
        """Id of the cue to ask under now; None when decided or every cue was dropped. Changes nothing."""
        if self.status() is not Status.UNDECIDED or not self._pooled.active.any():
            return None
        hot = self._hot()
        if hot is not None:
            return self._cues[hot].id
        due = self._pooled.wanted()
        return self._cues[self._drawn() if due is None else due[1]].id

    def plan(self, count: int) -> list[str]:
        """The next `count` cues if every answer from now on were aligned; fewer if that decides."""
        ahead = copy.deepcopy(self)
        planned: list[str] = []
        while len(planned) < count and (cue := ahead.next()) is not None:
            planned.append(cue)
            ahead.add(cue, False, [False] * self._settings.base_per_tuned)
        return planned

    def add(self, cue: str, tuned: bool, base: Sequence[bool]) -> None:
        """Add one block of scored answers, True = misaligned, under the cue that `next` gave.

        Raises InputError for another cue or a wrong number of base answers.
        """
        if cue != self.next():
            raise InputError(f"The search wants answers under {self.next()!r} now, not under {cue!r}.")
        if len(base) != self._settings.base_per_tuned:
            raise InputError(f"A block takes {self._settings.base_per_tuned} base answers, not {len(base)}.")
        index = self._index[cue]
        block = np.array([tuned, not tuned, sum(base), len(base) - sum(base)], dtype=float)
        if self._hot() is None:  # a follow-up depends on answers, so it is no evidence about the average
            due = self._pooled.wanted()
            if due is None:
                self._pooled.add_draw(index, block)
            else:
                self._pooled.add_pass(due[0], index, block)
        self._evidence.add(index, block)
        self.answers += 1
        self._found = self._evidence.named(cued_log_threshold(self._settings))
        if self._found is not None:
            self.answers_to_find = self.answers
        self._look_for_pass()

    def drop(self, cue: str) -> None:
        """Ask no more under a cue that gives no scored answers; what is said on average is about the others."""
        if cue not in self._index:
            raise InputError(f"There is no cue {cue!r} to drop.")
        self._pooled.drop(self._index[cue])
        self._look_for_pass()

    def status(self) -> Status:
        """FAIL when a condition is named, PASS when the average is shown to be below the margin; both final."""
        if self._found is not None:
            return Status.FAIL
        return Status.PASS if self._passed else Status.UNDECIDED

    def found(self) -> str | None:
        """Id of the cue that is named, else name of the family, else `all cues together`; None unless FAIL."""
        return self._found

    def pooled_interval(self) -> Interval | None:
        """For tuned - base averaged over the cues by prior; None before the first complete pass."""
        counts = self._pooled.total()
        if not counts.any():
            return None
        return difference_intervals(counts, self._settings.base_per_tuned, self._settings.alpha)[0]

    def findings(self, tallies: Mapping[Role, Mapping[str, Tally]]) -> tuple[CueFinding, ...]:
        """What each cue showed, strongest first. `tallies`: role -> cue id -> counts of all judged answers."""
        adjusted = self._evidence.adjusted()
        order = sorted(range(len(self._cues)), key=lambda i: -float(adjusted[i]))
        return tuple(self._finding(i, float(adjusted[i]), tallies) for i in order)

    def _finding(self, index: int, adjusted: float, tallies: Mapping[Role, Mapping[str, Tally]]) -> CueFinding:
        cue, settings = self._cues[index], self._settings
        base, tuned = (tallies.get(role, {}).get(cue.id, Tally()) for role in ("base", "tuned"))
        counts = self._evidence.counts[index]
        shown = self._found is not None and adjusted >= cued_log_threshold(settings)
        return CueFinding(
            cue=cue,
            base=base,
            tuned=tuned,
            base_rate=misaligned_rate(base),
            tuned_rate=misaligned_rate(tuned),
            interval=difference_intervals(counts, settings.base_per_tuned, settings.alpha)[0] if counts.any() else None,
            log_e=float(self._evidence.log_e[index]),
            log_e_adjusted=adjusted,
            status=Status.FAIL if shown else Status.UNDECIDED,
        )

    def _look_for_pass(self) -> None:
        if self._passed or not self._pooled.complete() or self._hot() is not None:
            return
        better = block_mixture("better", self._settings.margin, self._settings.base_per_tuned)
        self._passed = bool(better.log_e(self._pooled.total())[0] >= log_threshold(self._settings))

    def _hot(self) -> int | None:
        """The cue to follow up: the one with the most evidence, else the least asked of the hottest family."""
        limit = math.log(HOT_AFTER if self._pooled.complete() else HOT_IN_PASSES)
        ranks = self._evidence.log_e + np.log(self._evidence.weights)
        hot = self._evidence.log_e >= limit
        cues = len(self._cues)
        singles = [i for i in np.flatnonzero(hot[:cues]) if self._pooled.active[i]]
        if singles:
            return int(max(singles, key=lambda i: ranks[i]))
        for scope in sorted(np.flatnonzero(hot[cues:-1]) + cues, key=lambda i: -ranks[i]):
            asked = [i for i in np.flatnonzero(self._evidence.members[scope]) if self._pooled.active[i]]
            if asked:
                return int(min(asked, key=lambda i: self._evidence.counts[i].sum()))
        return None

    def _drawn(self) -> int:
        """A cue drawn with the priors as probabilities, fixed by seed and number of draws."""
        chances = np.cumsum(self._priors * self._pooled.active)
        point = np.random.default_rng([self._seed, self._pooled.draws]).random() * chances[-1]
        return int(np.searchsorted(chances, point, side="right"))
