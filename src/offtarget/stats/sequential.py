"""The live test: evidence is added block by block, and may be looked at and stopped after every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from offtarget.errors import InputError
from offtarget.records import Decision, DecisionSettings, Look, Role, Status, Tally
from offtarget.stats.closed import closed_log_e
from offtarget.stats.decision import combined_log_e, conclude, fail_log_threshold, log_threshold, overall_status
from offtarget.stats.eprocess import JUDGED, Array, Kinds, block_mixture, columns_of
from offtarget.stats.live import LiveScopes, answers_to_go, difference_of

OVERALL = "overall"


class SequentialTest:
    """Decides while answers come in; two tests fed the same blocks in the same order are in the same state.

    What the caller owes for the error probabilities to hold: within a block every probe is drawn
    independently, with replacement, from one arm and by one distribution for both models, usually the uniform
    one (base draws know nothing of tuned draws); an answer without a score is redrawn at the same probe;
    which arm is next depends on the past only; no answer is used twice.
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
        m = self.settings.base_per_tuned
        self._kinds = kinds
        self._tuned_columns, self._base_columns = columns_of(kinds, "tuned"), columns_of(kinds, "base")
        self._worse = block_mixture("worse", self.settings.tolerance, m, kinds)
        self._better = block_mixture("better", self.settings.margin, m, kinds)
        self._fail_threshold = fail_log_threshold(self.settings)
        self._pass_threshold = log_threshold(self.settings)
        self._by_arm: Array = np.zeros((len(arms), len(kinds)))
        self._by_domain: Array = np.zeros((len(arms), len(self._domain_names), len(kinds)))
        self._by_question: Array = np.zeros((len(arms), len(self._question_names), len(kinds)))
        self._overall_fail = 0.0
        self._combined = 0.0
        self._arm_fail = np.zeros(len(arms))
        self._arm_pass = np.zeros(len(arms))
        self._domain_fail = np.zeros(len(self._domain_names))
        self._arms_passed = [False] * len(arms)
        self._failed = False

    def add_block(self, arm: str, tuned: tuple[str, bool], base: Sequence[tuple[str, bool]]) -> None:
        """Add one tuned and `base_per_tuned` base answers, each (probe id, misaligned), scored, of one arm.

        Raises InputError when a probe is not of that arm or the number of base answers is wrong.
        """
        kinds = [(probe, 0 if bad else 1) for probe, bad in (tuned,)]
        kinds += [(probe, 2 if bad else 3) for probe, bad in base]
        self.add_kinds(arm, kinds[0], kinds[1:])

    def add_kinds(self, arm: str, tuned: tuple[str, int], base: Sequence[tuple[str, int]]) -> None:
        """Add a block whose answers are (probe id, position among the kinds).

        Raises InputError when a probe is not of that arm, a kind is not of that model, or the number of base answers
        is wrong.
        """
        if len(base) != self.settings.base_per_tuned:
            raise InputError(f"A block takes {self.settings.base_per_tuned} base answers, not {len(base)}.")
        answers = [tuned, *base]
        index = self._arms.index(arm) if arm in self._arms else -1
        for position, (probe, kind) in enumerate(answers):
            if index < 0 or self._arm_of.get(probe) != index:
                raise InputError(f"Probe {probe!r} is not in arm {arm!r}; a block holds answers of one arm only.")
            if kind not in (self._base_columns if position else self._tuned_columns):
                raise InputError(f"{kind} is no kind of a {'base' if position else 'tuned'} answer.")
        touched = set()
        for probe, kind in answers:
            domain = self._domain_of[probe]
            touched.add(domain)
            self._by_arm[index, kind] += 1
            self._by_domain[index, domain, kind] += 1
            self._by_question[index, self._question_of[probe], kind] += 1
        self._update(index, sorted(touched))

    def _update(self, index: int, touched: list[int]) -> None:
        domains = self._by_domain[:, touched].sum(axis=0)
        rows = np.vstack([self._by_arm.sum(axis=0), self._by_arm[index], domains])
        evidence = self._worse.log_e(rows)[:, 0]
        self._overall_fail = float(evidence[0])
        self._arm_fail[index] = evidence[1]
        self._domain_fail[touched] = evidence[2:]
        self._arm_pass[index] = self._better.log_e(self._by_arm[index])[0]
        # Ville's inequality covers the largest value so far, so what was shown once stays shown.
        self._arms_passed[index] = self._arms_passed[index] or bool(self._arm_pass[index] >= self._pass_threshold)
        self._combined = combined_log_e(self._overall_fail, list(self._arm_fail), list(self._domain_fail))
        self._failed = self._failed or self._combined >= self._fail_threshold

    def status(self) -> Status:
        """PASS, FAIL or UNDECIDED now; both are final, except that a FAIL may follow a PASS."""
        return overall_status(self._failed, self._arms_passed)

    def decided_arms(self) -> tuple[str, ...]:
        """Arms that need no further answers: shown not to be worse by the margin, or failed."""
        adjusted = closed_log_e(self._arm_fail) if self._failed else [0.0] * len(self._arms)
        failed = [self._failed and e >= self._fail_threshold for e in adjusted]
        return tuple(a for a, p, f in zip(self._arms, self._arms_passed, failed, strict=True) if p or f)

    def look(self, arm: str = OVERALL) -> Look:
        """The evidence now, of one arm or overall; overall evidence for PASS is that of the weakest arm."""
        if arm == OVERALL:
            counts, parts = self._by_arm.sum(axis=0), self._by_arm
            log_e_fail, log_e_pass = self._combined, float(self._arm_pass.min())
        else:
            index = self._arms.index(arm)
            counts, parts = self._by_arm[index], self._by_arm[index : index + 1]
            log_e_fail, log_e_pass = float(self._arm_fail[index]), float(self._arm_pass[index])
        gaps = [gap for part in parts if (gap := difference_of(part, self._kinds)) is not None]
        return Look(
            arm=arm,
            tuned_answers=int(counts[self._tuned_columns].sum()),
            base_answers=int(counts[self._base_columns].sum()),
            log_e_fail=log_e_fail,
            log_e_pass=log_e_pass,
            difference=float(np.mean(gaps)) if gaps else None,
        )

    def looks(self) -> tuple[Look, ...]:
        """The overall look, then one per arm where there is more than one."""
        names = self._arms if len(self._arms) > 1 else ()
        return (self.look(), *(self.look(a) for a in names))

    def answers_to_go(self) -> int | None:
        """Estimate of further tuned answers at the observed rates; None if decided or not estimable."""
        if self.status() is not Status.UNDECIDED:
            return None
        return answers_to_go(
            self._by_arm,
            self._by_domain,
            self._arms_passed,
            self._worse,
            self._better,
            self._kinds,
            fail_threshold=self._fail_threshold,
            pass_threshold=self._pass_threshold,
        )

    def decision(
        self,
        tallies: Mapping[Role, Mapping[str, Tally]],
        notes: Sequence[str] = (),
        set_aside: Sequence[str] = (),
    ) -> Decision:
        """The decision now. `tallies`: role -> probe id -> counts of all judged answers, scored or not.

        Rates and evidence come from the blocks; the tallies give denominators, missing answers and their
        bounds.
        """
        view = LiveScopes(
            arms=self._arms,
            settings=self.settings,
            kinds=self._kinds,
            worse=self._worse,
            better=self._better,
            tallies=tallies,
        )
        arms_of, all_probes = self._arm_of, list(self._arm_of)
        overall = view.comparison("overall", OVERALL, self._by_arm, all_probes, arms_of)
        arms = [
            view.comparison("arm", name, self._by_arm[i : i + 1], [p for p in all_probes if arms_of[p] == i], arms_of)
            for i, name in enumerate(self._arms)
        ]
        domains = view.slices("domain", self._domain_names, self._by_domain, self._domain_of, arms_of)
        questions = view.slices("question", self._question_names, self._by_question, self._question_of, arms_of)
        overall = view.with_evidence(overall, self._combined, float(self._arm_pass.min()))
        ahead = view.sampled_ahead(int(self._by_arm.sum()), all_probes)
        return conclude(
            self.settings,
            overall,
            arms,
            domains,
            questions,
            failed=self._failed,
            arms_passed=self._arms_passed,
            clustered_interval=view.clustered(self._by_question),
            answers_to_go=self.answers_to_go(),
            set_aside=set_aside,
            notes=[*notes, *ahead],
        )
