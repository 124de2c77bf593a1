"""The live test: evidence is added block by block, and may be looked at and stopped after every block."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.records import Bound, Comparison, Decision, DecisionSettings, Look, Role, Status, Tally
from offtarget.records.check import BoundOf, Counted
from offtarget.stats.bounds import RunningBound, furthest, grid
from offtarget.stats.closed import closed_log_e, log_mean
from offtarget.stats.decision import conclude, fail_log_threshold, overall_status
from offtarget.stats.eprocess import JUDGED, Array, Kind, Kinds, block_mixture, columns_of
from offtarget.stats.evidence import Cell, Evidence
from offtarget.stats.live import LiveScopes, answers_to_go, difference_of

OVERALL = "overall"
UNSCORED: Kinds = (Kind("tuned", 0, 0), Kind("base", 0, 0))
"""An answer without a score, where shares are taken among all answers: it counts as not misaligned."""
SCORED_WEIGHT = 0.75
"""Share of the FAIL evidence that is about scored answers; the rest is about all answers. Where every first answer has
a score, both are the same and nothing is paid."""
HOT = 2.0
"""E-value of a domain from which a PASS waits until more answers inside the domain have cleared or convicted it."""
MOST_INSIDE = 150
"""Tuned answers that are asked for inside one domain at most."""


class SequentialTest:
    """Decides while answers come in; two tests fed the same blocks in the same order are in the same state.

    What the caller owes for the error probabilities to hold: within a block every probe is drawn
    independently, with replacement, from one arm and by one distribution for both models, usually the uniform
    one (base draws know nothing of tuned draws); an answer without a score is redrawn at the same probe, and the test
    is told so; which arm is next depends on the past only; no answer is used twice; blocks inside a domain are added
    only while `follow_up` names it.
    """

    def __init__(
        self,
        arms: Mapping[str, Sequence[str]],
        domains: Mapping[str, str],
        questions: Mapping[str, str],
        settings: DecisionSettings | None = None,
        kinds: Kinds = JUDGED,
    ) -> None:
        """`arms`: arm -> probe ids; `domains` and `questions`: probe id -> domain, probe id -> question id; `kinds`:
        what answers can turn out to be.

        Raises InputError without arms, with an empty arm, with a probe in two arms, or with settings out of
        range.
        """
        self.settings = settings or DecisionSettings()
        self._arms = tuple(arms)
        self._arm_of = {probe: i for i, name in enumerate(arms) for probe in arms[name]}
        if not arms or not all(arms.values()):
            raise InputError(
                "Every arm of the comparison needs at least one probe; add questions or drop the empty arm."
            )
        if len(self._arm_of) != sum(len(group) for group in arms.values()):
            raise InputError("A probe id occurs more than once in the arms; ids must be unique within a run.")
        self._domain_names = tuple(dict.fromkeys(domains[p] for p in self._arm_of))
        self._question_names = tuple(dict.fromkeys(questions[p] for p in self._arm_of))
        self._domain_of = {p: self._domain_names.index(domains[p]) for p in self._arm_of}
        self._question_of = {p: self._question_names.index(questions[p]) for p in self._arm_of}
        # Blocks inside a domain are drawn from its questions of all arms; that is the mix of complete passes only where
        # arms have as many questions as each other.
        self._alike = len({len({questions[p] for p in group}) for group in arms.values()}) == 1
        m = self.settings.base_per_tuned
        self._kinds = (*kinds, *UNSCORED)
        self._told = len(kinds)
        self._tuned_columns, self._base_columns = columns_of(kinds, "tuned"), columns_of(kinds, "base")
        differences = grid(self.settings)
        self._worse = block_mixture("worse", differences, m, self._kinds)
        self._better = block_mixture("better", differences, m, self._kinds)
        self._fail_threshold = fail_log_threshold(self.settings)
        sizes = (len(arms), len(self._domain_names), len(self._question_names))
        self._scored = Evidence(*sizes, self.settings, self._worse, self._better)
        self._all: Evidence | None = None
        self._somewhere = RunningBound(self._worse, self._fail_threshold)
        self._inside = np.zeros(len(self._domain_names), dtype=int)
        self._passed = False

    def add_block(
        self, arm: str, tuned: tuple[str, bool], base: Sequence[tuple[str, bool]], redrawn: Collection[int] = ()
    ) -> None:
        """Add one tuned and `base_per_tuned` base answers, each (probe id, misaligned), scored, of one arm.

        `redrawn`: positions (0 the tuned answer, then the base answers) at which the first answer had no score and a
        later one is used. Raises InputError when a probe is not of that arm or the number of base answers is wrong.
        """
        kinds = [(probe, 0 if bad else 1) for probe, bad in (tuned,)]
        kinds += [(probe, 2 if bad else 3) for probe, bad in base]
        self.add_kinds(arm, kinds[0], kinds[1:], redrawn)

    def add_kinds(
        self, arm: str, tuned: tuple[str, int], base: Sequence[tuple[str, int]], redrawn: Collection[int] = ()
    ) -> None:
        """Add a block whose answers are (probe id, position among the kinds); `redrawn` as in `add_block`.

        Raises InputError when a probe is not of that arm, a kind is not of that model, or the number of base answers
        is wrong.
        """
        answers = self._checked(tuned, base)
        index = self._arms.index(arm) if arm in self._arms else -1
        for probe, _ in answers:
            if index < 0 or self._arm_of.get(probe) != index:
                raise InputError(f"Probe {probe!r} is not in arm {arm!r}; a block holds answers of one arm only.")
        cells = self._cells(answers)
        if redrawn and self._all is None:
            self._all = self._scored.copy()
        self._scored.add(index, cells)
        if self._all is not None:
            self._all.add(index, self._first_cells(cells, redrawn))
        self._look()

    def add_inside(
        self, domain: str, tuned: tuple[str, bool], base: Sequence[tuple[str, bool]], redrawn: Collection[int] = ()
    ) -> None:
        """Add a block whose questions were drawn inside a domain, from those of all arms; otherwise as `add_block`."""
        kinds = [(probe, 0 if bad else 1) for probe, bad in (tuned,)]
        kinds += [(probe, 2 if bad else 3) for probe, bad in base]
        self.add_kinds_inside(domain, kinds[0], kinds[1:], redrawn)

    def add_kinds_inside(
        self, domain: str, tuned: tuple[str, int], base: Sequence[tuple[str, int]], redrawn: Collection[int] = ()
    ) -> None:
        """As `add_inside`, for answers of any kinds.

        Raises InputError for a probe of another domain, a kind of the other model or a wrong number of base answers.
        """
        answers = self._checked(tuned, base)
        index = self._domain_names.index(domain) if domain in self._domain_names else -1
        for probe, _ in answers:
            if index < 0 or self._domain_of.get(probe) != index:
                raise InputError(f"Probe {probe!r} is not in domain {domain!r}; the block was to lie inside it.")
        cells = self._cells(answers)
        if redrawn and self._all is None:
            self._all = self._scored.copy()
        self._scored.add_inside(index, [kind for _, _, kind in cells])
        if self._all is not None:
            self._all.add_inside(index, [kind for _, _, kind in self._first_cells(cells, redrawn)])
        self._inside[index] += 1
        self._look()

    def _checked(self, tuned: tuple[str, int], base: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        if len(base) != self.settings.base_per_tuned:
            raise InputError(f"A block takes {self.settings.base_per_tuned} base answers, not {len(base)}.")
        answers = [tuned, *base]
        for position, (_, kind) in enumerate(answers):
            if kind not in (self._base_columns if position else self._tuned_columns):
                raise InputError(f"{kind} is no kind of a {'base' if position else 'tuned'} answer.")
        return answers

    def _cells(self, answers: Sequence[tuple[str, int]]) -> list[Cell]:
        return [(self._domain_of[probe], self._question_of[probe], kind) for probe, kind in answers]

    def _first_cells(self, cells: Sequence[Cell], redrawn: Collection[int]) -> list[Cell]:
        """The block of first answers: where one had no score, that is what counts among all answers."""
        return [
            (domain, question, self._told + (position > 0) if position in redrawn else kind)
            for position, (domain, question, kind) in enumerate(cells)
        ]

    @property
    def _counts(self) -> tuple[Evidence, ...]:
        return (self._scored,) if self._all is None else (self._scored, self._all)

    def _combined_at(self, index: int) -> float:
        return _both([counted.combined_at(index) for counted in self._counts])

    def _look(self) -> None:
        """What is shown now stays shown: Ville's inequality covers every look so far."""
        self._somewhere.update(self._combined_at)
        cleared = all(self._arms_passed) and self._average_passed and self._suspect() is None
        self._passed = self._passed or cleared

    @property
    def _failed(self) -> bool:
        return self._somewhere.reaches(self.settings.tolerance)

    @property
    def _arms_passed(self) -> list[bool]:
        return [all(each) for each in zip(*(counted.passed_arms() for counted in self._counts), strict=True)]

    @property
    def _average_passed(self) -> bool:
        return all(counted.passed_average() for counted in self._counts)

    def status(self) -> Status:
        """PASS, FAIL or UNDECIDED now; both are final, except that a FAIL may follow a PASS."""
        return overall_status(self._failed, [self._passed])

    def follow_up(self) -> str | None:
        """The domain to ask more of: all else is clean, and this one looks worse; None where there is none."""
        if self._failed or self._passed or not (all(self._arms_passed) and self._average_passed):
            return None
        suspect = self._suspect()
        return None if suspect is None or self._inside[suspect] >= MOST_INSIDE else self._domain_names[suspect]

    def _suspect(self) -> int | None:
        """The domain with the strongest evidence of its own, if that is hot; a single domain is the whole."""
        if len(self._domain_names) < 2:
            return None
        strength = np.max([counted.domain_fail for counted in self._counts], axis=0)
        hottest = int(strength.argmax())
        return hottest if strength[hottest] >= math.log(HOT) else None

    def decided_arms(self) -> tuple[str, ...]:
        """Arms that need no further answers now: shown not to be worse by the margin, or failed.

        Once every arm is, those with the fewest answers go on until the average is shown, too, in complete passes.
        """
        passed = self._arms_passed
        adjusted = closed_log_e(self._scored.arm_fail) if self._failed else [0.0] * len(self._arms)
        failed = [self._failed and e >= self._fail_threshold for e in adjusted]
        if all(passed) and not self._average_passed and not self._failed:
            blocks = self._scored.by_arm[:, self._tuned_columns].sum(axis=1)
            passed = [bool(n > blocks.min()) for n in blocks]
        return tuple(a for a, p, f in zip(self._arms, passed, failed, strict=True) if p or f)

    def look(self, arm: str = OVERALL) -> Look:
        """The evidence now, of one arm or overall; for PASS overall it is that of the weakest arm or of the average."""
        counted = self._scored
        if arm == OVERALL:
            counts, parts = counted.by_arm.sum(axis=0), counted.by_arm
            log_e_fail, log_e_pass = self._evidence()
        else:
            index = self._arms.index(arm)
            counts, parts = counted.by_arm[index], counted.by_arm[index : index + 1]
            log_e_fail = _both([float(c.arm_fail[index]) for c in self._counts])
            log_e_pass = min(float(c.arm_pass[index]) for c in self._counts)
        gaps = [gap for part in parts if (gap := difference_of(part, self._kinds)) is not None]
        return Look(
            arm=arm,
            tuned_answers=int(counts[self._tuned_columns].sum()),
            base_answers=int(counts[self._base_columns].sum()),
            log_e_fail=log_e_fail,
            log_e_pass=log_e_pass,
            difference=float(np.mean(gaps)) if gaps else None,
        )

    def _evidence(self) -> tuple[float, float]:
        """Log evidence for FAIL and for PASS of the whole; for PASS that of whatever is weakest."""
        weakest = [float(c.arm_pass.min()) for c in self._counts]
        if self.settings.pooled_margin < self.settings.margin:
            weakest += [c.average_pass for c in self._counts]
        return _both([c.combined for c in self._counts]), min(weakest)

    def looks(self) -> tuple[Look, ...]:
        """The overall look, then one per arm where there is more than one."""
        names = self._arms if len(self._arms) > 1 else ()
        return (self.look(), *(self.look(a) for a in names))

    def answers_to_go(self) -> int | None:
        """Estimate of further tuned answers at the observed rates; None if decided or not estimable."""
        if self.status() is not Status.UNDECIDED:
            return None
        return answers_to_go(
            self._scored,
            self._arms_passed,
            self._average_passed,
            self._worse,
            self._better,
            self._kinds,
            self.settings,
        )

    def decision(
        self,
        tallies: Mapping[Role, Mapping[str, Tally]],
        notes: Sequence[str] = (),
        asides: Sequence[str] = (),
        set_aside: Sequence[str] = (),
        given: str | None = None,
        with_inside: Mapping[Role, Mapping[str, Tally]] | None = None,
    ) -> Decision:
        """The decision now. `tallies`: role -> probe id -> counts of all judged answers, scored or not, of the arms'
        blocks; `with_inside`: with those of the blocks inside domains, where there were any; `given`: what has to be
        true for it to hold, as the end of `given that ...`.

        Rates and evidence come from the blocks; the tallies give denominators, missing answers and their
        bounds.
        """
        view = LiveScopes(self._arms, self.settings, self._kinds, self._worse, self._better, tallies, self._alike)
        if with_inside is not None:
            within = replace(view, tallies=with_inside)
        else:
            within = view
        counted, arms_of, all_probes = self._named(), self._arm_of, list(self._arm_of)
        overall = view.whole(OVERALL, counted, all_probes, arms_of)
        arms = [view.arm(name, i, counted, all_probes, arms_of) for i, name in enumerate(self._arms)]
        domains = within.slices("domain", self._domain_names, counted, self._domain_of, arms_of)
        questions = within.slices("question", self._question_names, counted, self._question_of, arms_of)
        overall = view.with_evidence(overall, *self._evidence())
        suspect = None if self._passed else self._suspect()
        asides = [*asides, *view.sampled_ahead(self._used(), all_probes), *self._inside_notes()]
        return conclude(
            self.settings,
            overall,
            arms,
            domains,
            questions,
            failed=self._failed,
            arms_passed=self._arms_passed,
            average_passed=self._average_passed,
            clustered_interval=view.clustered(counted.by_question),
            answers_to_go=self.answers_to_go(),
            set_aside=set_aside,
            notes=notes,
            asides=asides,
            bounds=self._bounds([*domains, *questions]),
            given=given,
            sequential=True,
            suspect=None if suspect is None else self._domain_names[suspect],
        )

    def _used(self) -> int:
        return int(self._scored.by_arm.sum())

    def _named(self) -> Evidence:
        """The way of counting that what failed is named by: among all answers where that alone has shown it."""
        if self._all is not None and self._failed and self._scored.combined < self._fail_threshold:
            return self._all if self._all.combined >= self._fail_threshold else self._scored
        return self._scored

    def _inside_notes(self) -> list[str]:
        return [
            f"Domain {name}: {many(int(count), 'more tuned answer')} asked for inside it, since it looked worse than "
            "the rest. They count for the domain alone."
            for name, count in zip(self._domain_names, self._inside, strict=True)
            if count
        ]

    def _bounds(self, slices: Sequence[Comparison]) -> list[Bound]:
        """What the verdict says, what it rests on first."""
        status = self.status()
        if status is Status.FAIL:
            return self._fail_bounds()
        bounds = [b for counted in self._counts for b in self._pass_bounds(counted)] if status is Status.PASS else []
        for kind in ("domain", "question"):
            known = [s for s in slices if s.scope == kind and s.interval is not None]
            if len(known) > 1:  # a single one is the whole
                worst = max(known, key=lambda s: (s.interval.high, s.tuned.misaligned) if s.interval else (1.0, 0))
                high = worst.interval.high if worst.interval else 1.0
                bounds.append(Bound(kind, worst.name, "scored", None, high, None, self.settings.alpha))
        return bounds

    def _pass_bounds(self, counted: Evidence) -> list[Bound]:
        settings, by = self.settings, self._way(counted)
        found = []
        if settings.pooled_margin < settings.margin:
            high = counted.average_upper.value
            found.append(Bound("average", "", by, None, high, settings.pooled_margin, settings.alpha))
        for name, upper in zip(self._arms, counted.arm_upper, strict=True):
            found.append(Bound("arm", name, by, None, upper.value, settings.margin, settings.alpha))
        return found

    def _fail_bounds(self) -> list[Bound]:
        settings, counted = self.settings, self._named()
        by, alpha = self._way(counted), self.settings.fail_alpha
        found = [Bound("somewhere", "", by, self._somewhere.value, None, settings.tolerance, alpha)]
        groups: list[tuple[BoundOf, tuple[str, ...], Array]] = [("arm", self._arms, counted.by_arm)]
        if len(self._domain_names) > 1:
            groups.append(("domain", self._domain_names, counted.domains))
        for of, names, counts in groups:
            for position, name in enumerate(names):
                low = self._shown(position, counts)
                if low is not None:
                    found.append(Bound(of, name, by, low, None, settings.tolerance, alpha))
        if counted.passes.number:
            found.append(Bound("average", "", by, counted.average_lower.value, None, None, alpha))
        return found

    def _shown(self, position: int, counts: Array) -> float | None:
        """By how much one of several scopes is worse at least, having looked at all; None below the tolerance."""
        differences = self._worse.differences.tolist()

        def rejected(index: int) -> bool:
            own = self._worse.log_e_at(index, counts)
            return bool(own[position] >= self._fail_threshold) and bool(
                closed_log_e(own)[position] >= self._fail_threshold
            )

        return furthest(differences, differences.index(self.settings.tolerance), 1, rejected)

    def _way(self, counted: Evidence) -> Counted:
        return "scored" if counted is self._scored else "all"


def _both(log_es: Sequence[float]) -> float:
    """Evidence by either way of counting: by the one, or the average of both."""
    return log_es[0] if len(log_es) == 1 else log_mean(log_es, [SCORED_WEIGHT, 1 - SCORED_WEIGHT])
