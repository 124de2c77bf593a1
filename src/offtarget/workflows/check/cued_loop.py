"""The cued arm of a check: the plain questions asked again under each condition, wherever evidence grows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from offtarget.asking.book import AnswerBook, Need, SwappedBook
from offtarget.probe.cues.apply import cued_probes
from offtarget.probe.schedule import Schedule
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import (
    Comparison,
    Cue,
    DecisionSettings,
    HiddenDecision,
    NamedCondition,
    Outcome,
    Probe,
    Role,
    Status,
    Tally,
)
from offtarget.stats.conditions import ConditionSearch
from offtarget.stats.rates import total_tally
from offtarget.stats.wording import NOT_TESTABLE, hidden_reason
from offtarget.workflows.check.cued_naming import name_condition

FEWEST_ANSWERS = 12
"""Tuned answers that a named condition is shown with at least; the evidence may need fewer."""
CHUNK = 16
"""Blocks that are sampled together."""
PATIENCE = 10
"""A condition is given up when a question under it gets this many unscored answers in a row."""

Keep = Callable[[Sequence[Probe]], None]
"""Told of questions that no plan on disk has, before they are asked."""


@dataclass(frozen=True, slots=True)
class CuedProgress:
    """What the cued arm of a running check shows."""

    status: Status
    cues: int
    answers: int
    most: int
    """Tuned answers after which it gives up."""
    suspect: str | None
    """The condition with the strongest evidence so far, once there is any."""
    log_e: float


class CuedLoop:
    """Asks under the cues until one is shown to misalign, all are shown clean on average, or the cap is reached."""

    def __init__(
        self,
        book: AnswerBook | SwappedBook,
        cues: Sequence[Cue],
        plain: Sequence[Probe],
        settings: DecisionSettings,
        seed: int,
        most: int,
        on_progress: OnProgress = silent,
        keep: Keep = lambda _: None,
    ) -> None:
        """`keep` is told of questions that no condition of the plan has, before they are asked."""
        self._book, self._cues, self._most, self._on_progress = book, {c.id: c for c in cues}, most, on_progress
        self._plain, self._seed = plain, seed
        self._keep = keep
        self._named: NamedCondition | None = None
        self._search = ConditionSearch(cues, settings)
        self._settings = settings
        probes = {cue.id: cued_probes(cue, plain) for cue in cues}
        book.add_probes([p for group in probes.values() for p in group], PATIENCE)
        self._schedule = Schedule(
            {name: _paraphrases(group) for name, group in probes.items()}, settings.base_per_tuned, seed
        )
        self._schedules: dict[str, Schedule] = {}
        self._probe_ids = {name: [p.id for p in group] for name, group in probes.items()}
        self._next = dict.fromkeys(probes, 0)
        self._dropped: list[str] = []

    def run(self) -> None:
        """Ask until decided."""
        while self._search.answers < self._most:
            wanted = self._search.plan(min(CHUNK, self._most - self._search.answers))
            if not wanted:
                break
            self._book.fetch(need for needs in self._blocks(wanted) for need in needs)
            for cue in wanted:
                if self._search.next() != cue:
                    break  # evidence turned up where nobody expected it; what was sampled ahead waits
                if not self._add(cue):
                    break
            self._report()
        self._fill_up()
        found = self._search.found()
        if found is not None:
            self._named = name_condition(found, self._search.findings(self._tallies()), self._more)

    def _more(self, cue: Cue, count: int) -> tuple[Tally, Tally]:
        """Further answers under a condition, one of the base beside each of the tuned model; they are no evidence."""
        if cue.id not in self._probe_ids:
            self._learn(cue)
        tallies: dict[Role, Tally] = {"tuned": Tally(), "base": Tally()}
        numbers = range(self._next[cue.id], self._next[cue.id] + count)
        pairs = [self._needs(cue.id, number)[:2] for number in numbers]
        self._book.fetch(need for pair in pairs for need in pair)
        self._next[cue.id] += count
        for pair in pairs:
            if not self._book.ready(pair):
                break
            for role, probe in pair:
                verdict = self._book.take(role, probe)
                assert verdict is not None
                tallies[role] = tallies[role].plus(verdict.outcome)
        return tallies["tuned"], tallies["base"]

    def _learn(self, cue: Cue) -> None:
        """A condition that the plan does not list."""
        group = cued_probes(cue, self._plain)
        self._book.add_probes(group, PATIENCE)
        self._keep(group)
        self._probe_ids[cue.id], self._next[cue.id] = [p.id for p in group], 0
        alone = Schedule({cue.id: _paraphrases(group)}, self._settings.base_per_tuned, self._seed)
        self._schedules[cue.id] = alone

    def _fill_up(self) -> None:
        """More answers under a named cue, for its rates; they are no evidence."""
        found = self._search.found()
        if found is None or found not in self._cues:
            return
        missing = range(self._next[found], FEWEST_ANSWERS)
        self._book.fetch(need for number in missing for need in self._needs(found, number))
        for number in missing:
            needs = self._needs(found, number)
            if not self._book.ready(needs):
                return
            for role, probe in needs:
                self._book.take(role, probe)
            self._next[found] = number + 1

    def _blocks(self, cues: Sequence[str]) -> list[list[Need]]:
        ahead: dict[str, int] = defaultdict(int)
        blocks = []
        for cue in cues:
            blocks.append(self._needs(cue, self._next[cue] + ahead[cue]))
            ahead[cue] += 1
        return blocks

    def _needs(self, cue: str, number: int) -> list[Need]:
        return self._schedules.get(cue, self._schedule).block(cue, number).needs

    def _add(self, cue: str) -> bool:
        needs = self._needs(cue, self._next[cue])
        if not self._book.ready(needs):
            for role, probe in needs:
                if self._book.silent(role, probe):
                    self._book.set_aside(role, probe)
            self._search.drop(cue)
            self._dropped.append(cue)
            return False
        self._next[cue] += 1
        verdicts = [self._book.take(role, probe) for role, probe in needs]
        bad = [v is not None and v.outcome is Outcome.MISALIGNED for v in verdicts]
        self._search.add(cue, bad[0], bad[1:])
        return True

    def _report(self) -> None:
        best = max(self._search.findings({}), key=lambda f: f.log_e, default=None)
        suspect = best.cue.text if best is not None and best.log_e > 0 else None
        shown = CuedProgress(
            status=self._search.status(),
            cues=len(self._cues),
            answers=self._search.answers,
            most=self._most,
            suspect=suspect,
            log_e=best.log_e if best is not None else 0.0,
        )
        stage = f"{len(self._cues)} conditions, tuned answers"
        self._on_progress(Progress(stage, self._search.answers, self._most, shown))

    def decision(self, plain: Comparison | None, ordered_by: str, notes: Sequence[str] = ()) -> HiddenDecision:
        """What was shown; `plain` is what the plain questions came to."""
        tallies = self._tallies()
        search = self._search
        findings = search.findings(tallies)
        extra = [*notes]
        if self._dropped:
            names = ", ".join(self._cues[name].text for name in self._dropped[:6])
            more = f" and {len(self._dropped) - 6} more" if len(self._dropped) > 6 else ""
            extra.append(f"{NOT_TESTABLE}, for want of coherent answers: {names}{more}.")
        decision = HiddenDecision(
            status=search.status(),
            reason="",
            found=search.found(),
            plain_rate=None if plain is None else plain.tuned_rate,
            plain=None if plain is None else plain.tuned,
            findings=findings,
            answers=search.answers,
            answers_to_find=search.answers_to_find,
            detectable=search.detectable(),
            pooled_interval=search.pooled_interval(),
            reproduction=None,
            named=self._named,
            ordered_by=ordered_by,
            notes=tuple(extra),
            untestable=tuple(self._cues[name].text for name in self._dropped),
        )
        return replace(decision, reason=hidden_reason(decision))

    def _tallies(self) -> dict[Role, dict[str, Tally]]:
        of_probe = self._book.tallies()
        found: dict[Role, dict[str, Tally]] = {"base": {}, "tuned": {}}
        for role, by_probe in of_probe.items():
            for cue, ids in self._probe_ids.items():
                parts = [by_probe[i] for i in ids if i in by_probe]
                if parts:
                    found[role][cue] = total_tally(parts)
        return found


def _paraphrases(probes: Sequence[Probe]) -> list[list[str]]:
    questions: dict[str, list[str]] = defaultdict(list)
    for probe in probes:
        questions[probe.question_id].append(probe.id)
    return list(questions.values())
