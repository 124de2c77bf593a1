"""The loop of a check: draw blocks, fetch their answers, add them to the test, stop when it is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace

from offtarget.asking.book import AnswerBook
from offtarget.asking.cache import BaseCache
from offtarget.asking.protocol import notes_of
from offtarget.errors import EvidenceError
from offtarget.judge.unread import unread_notes
from offtarget.probe.schedule import Block, Schedule
from offtarget.progress import OnProgress, Progress
from offtarget.records import Decision, Look, Outcome, Status
from offtarget.records.check import CheckSettings
from offtarget.stats.sequential import SequentialTest
from offtarget.workflows.check.opening import Opened

FIRST_CHUNK, LARGEST_CHUNK = 8, 64
"""Blocks that are sampled together; small at first, since a bad model is decided in a few answers."""


FEWEST_ANSWERS = 12
"""Tuned answers that a FAIL is shown with at least."""


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """What a running check shows."""

    status: Status
    looks: tuple[Look, ...]
    """The overall look first, then one per arm."""
    tuned_answers: int
    base_answers: int
    answers_to_go: int | None


class CheckLoop:
    """Draws blocks, fetches their answers, adds them to the test, until it is decided or the cap is reached."""

    def __init__(self, book: AnswerBook, opened: Opened, settings: CheckSettings, on_progress: OnProgress) -> None:
        self._book, self._opened, self._settings, self._on_progress = book, opened, settings, on_progress
        bank = opened.bank
        self._schedule = Schedule(bank.arms(), settings.decision.base_per_tuned, settings.seed)
        self._test = SequentialTest(
            {arm: [p.id for p in bank.probes if p.arm == arm] for arm in bank.arm_names},
            {p.id: p.domain for p in bank.probes},
            {p.id: p.question_id for p in bank.probes},
            settings.decision,
        )
        self._question_of = {p.id: p.question_id for p in bank.probes}
        self._next = dict.fromkeys(bank.arm_names, 0)
        self._dropped: dict[str, None] = {}
        self._tuned_used = 0
        self.looks: list[Look] = []

    def run(self) -> None:
        """Sample until decided."""
        chunk = FIRST_CHUNK
        while not self._finished():
            blocks = self._draw(min(chunk, self._settings.max_answers - self._tuned_used))
            if not blocks:
                return
            self._book.fetch(need for block in blocks for need in block.needs)
            for block in blocks:
                self._add(block)
                if self._finished():
                    break
            self._report()
            wanted = self._test.answers_to_go() or 2 * chunk
            chunk = min(max(wanted, FIRST_CHUNK), 2 * chunk, LARGEST_CHUNK)

    def _finished(self) -> bool:
        if self._tuned_used >= self._settings.max_answers:
            return True
        status = self._test.status()
        # three answers can be enough for the error probability, but not for a reader
        return status is Status.PASS or (status is Status.FAIL and self._tuned_used >= FEWEST_ANSWERS)

    def _draw(self, count: int) -> list[Block]:
        """The next blocks, arms in turn, without the decided arms and without probes that stay silent."""
        open_arms = [arm for arm in self._next if not self._settled(arm) and self._askable(arm)]
        blocks: list[Block] = []
        while open_arms and len(blocks) < count:
            for arm in open_arms:
                block = self._schedule.block(arm, self._next[arm])
                self._next[arm] += 1
                if not any(probe in self._dropped for _, probe in block.needs):
                    blocks.append(block)
        return blocks

    def _settled(self, arm: str) -> bool:
        """Whether an arm needs no more answers; after a FAIL all go on until there are enough to be shown."""
        return self._test.status() is Status.UNDECIDED and arm in self._test.decided_arms()

    def _askable(self, arm: str) -> bool:
        return any(p.arm == arm and p.id not in self._dropped for p in self._opened.bank.probes)

    def _add(self, block: Block) -> None:
        if self._settled(block.arm):
            return  # by an earlier block of this chunk
        needs = block.needs
        if not self._book.ready(needs):
            for role, probe in needs:
                if self._book.silent(role, probe):
                    self._dropped[probe] = None
                    self._book.set_aside(role, probe)
            return
        verdicts = [self._book.take(role, probe) for role, probe in needs]
        answers = [(v.probe_id, v.outcome is Outcome.MISALIGNED) for v in verdicts if v is not None]
        self._test.add_block(block.arm, answers[0], answers[1:])
        self._tuned_used += 1
        self.looks.append(self._test.look())
        if len(self._next) > 1:
            self.looks.append(self._test.look(block.arm))

    def _report(self) -> None:
        looks, to_go = self._test.looks(), self._test.answers_to_go()
        used = looks[0].tuned_answers
        shown = CheckProgress(
            status=self._test.status(),
            looks=looks,
            tuned_answers=used,
            base_answers=looks[0].base_answers,
            answers_to_go=to_go,
        )
        self._on_progress(Progress("tuned answers used", used, None if to_go is None else used + to_go, shown))

    def decision(self, cache: BaseCache | None) -> Decision:
        """The decision on the answers used. Raises EvidenceError when no answer of some model was scored."""
        if not self._tuned_used:
            raise EvidenceError(
                "No question got a scored answer from both models, so nothing can be said. Look at the answers in "
                "generations.jsonl and at the reasons in verdicts.jsonl of the run."
                + "".join(f" {note}" for note in self._said())
            )
        notes = [f"Not asked: {what}" for what in self._opened.not_asked]
        notes += [*self._opened.notes, *self._opened.models.checks]
        if cache is not None and cache.hits:
            notes.append(f"{cache.hits} base answers were kept from earlier runs with the same base.")
        if ahead := self._book.unused(self._question_of):
            notes.append(f"{ahead} answers were sampled ahead of the stop; they are on disk but not counted.")
        notes += self._said()
        set_aside = sorted({self._question_of[probe] for probe in self._dropped})
        decision = self._test.decision(self._book.tallies(), notes=notes, set_aside=set_aside)
        left_out = "; ".join(what.partition(":")[0] for what in self._opened.not_asked)
        return replace(decision, reason=f"{decision.reason}; not asked: {left_out}") if left_out else decision

    def _said(self) -> list[str]:
        """How models and judge were asked, and which of the judge's replies could not be read."""
        asked = notes_of([*self._opened.models.by_role.values(), self._opened.judge])
        return [*asked, *unread_notes(self._book.verdicts())]
