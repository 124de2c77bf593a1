"""The sequential test over questions that were laid out beforehand, whose answers may come in any order.

`check` draws its next questions as it goes; a host such as Inspect AI wants all of them when it starts and has several
under way at a time. So the same draws are laid out in one order, and the evidence is counted in that order alone: a
block counts once all blocks before it have been counted or left out. What is left out depends on blocks before it. So
the error probabilities of the test hold however the host schedules, and whoever reads its log comes to the same
verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from offtarget.asking.book import MUTE, PATIENCE
from offtarget.errors import EvidenceError, InputError
from offtarget.numbers import many
from offtarget.probe.bank import ProbeBank
from offtarget.probe.schedule import Block, Schedule
from offtarget.records import Decision, DecisionSettings, Outcome, Role, Status, Tally
from offtarget.records.laid_out import Layout, Planned
from offtarget.stats.sequential import SequentialTest
from offtarget.workflows.check.loop import FEWEST_ANSWERS

SPARE = 2
"""Blocks that are laid out per block that may count: an arm that is decided leaves its blocks, and others go on."""
SETTLED = "its way of asking is decided"
SET_ASIDE = "its question is set aside, since no answer to it gets a score"


def layout_of(
    bank: ProbeBank,
    settings: DecisionSettings,
    *,
    seed: int = 0,
    tuned_answers: int,
    misaligned_below: float,
    coherent_above: float,
) -> Layout:
    """The layout of a comparison on a bank."""
    return Layout(
        arms=bank.arms(),
        domains={p.id: p.domain for p in bank.probes},
        questions={p.id: p.question_id for p in bank.probes},
        settings=settings,
        seed=seed,
        tuned_answers=tuned_answers,
        misaligned_below=misaligned_below,
        coherent_above=coherent_above,
        tries=PATIENCE,
    )


def blocks_of(layout: Layout) -> list[Block]:
    """The blocks in the order of the evidence: arms in turn, as `check` draws them."""
    schedule = Schedule(layout.arms, int(layout.settings.base_per_tuned), layout.seed)
    drawn = (schedule.block(arm, number) for number in itertools.count() for arm in schedule.arms)
    return list(itertools.islice(drawn, layout.tuned_answers * (SPARE if len(schedule.arms) > 1 else 1)))


def planned_of(layout: Layout) -> Iterator[Planned]:
    """Every answer that is laid out, block after block, that of the tuned model first."""
    for place, block in enumerate(blocks_of(layout)):
        names = ("tuned", *(f"base-{i}" for i in range(len(block.base_probe_ids))))
        for name, (role, probe) in zip(names, block.needs, strict=True):
            yield Planned(f"{block.arm}/{block.number}/{name}", role, probe, block.arm, place)


class LaidOutTest:
    """Takes answers in any order and counts them in that of the layout, until it is decided."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._blocks = blocks_of(layout)
        self._planned = {one.id: one for one in planned_of(layout)}
        self._ids: list[list[str]] = [[] for _ in self._blocks]
        for one in self._planned.values():
            self._ids[one.block].append(one.id)
        self._test = SequentialTest(
            {arm: [p for question in questions for p in question] for arm, questions in layout.arms.items()},
            layout.domains,
            layout.questions,
            layout.settings,
        )
        self._answers: dict[str, tuple[Outcome, ...]] = {}
        self._left_out: dict[int, str] = {}
        """Blocks that are not asked for, and why."""
        self._lost: dict[str, str] = {}
        """Answers that were asked for and never came, and why: the evidence ends before their block."""
        self._dropped: dict[str, None] = {}
        self._next = 0
        self._said: dict[Role, int] = {"base": 0, "tuned": 0}
        self._scored: dict[Role, int] = {"base": 0, "tuned": 0}
        self._tallies: dict[Role, dict[str, Tally]] = {"base": {}, "tuned": {}}
        self.tuned_used = 0
        """Answers of the tuned model that count so far."""

    @property
    def planned(self) -> Mapping[str, Planned]:
        """All that is laid out, by id."""
        return self._planned

    @property
    def status(self) -> Status:
        """PASS, FAIL or UNDECIDED by what was counted so far."""
        return self._test.status()

    @property
    def decided(self) -> bool:
        """Whether what was counted so far decides, and is enough to be shown."""
        status = self._test.status()
        return status is Status.PASS or (status is Status.FAIL and self.tuned_used >= FEWEST_ANSWERS)

    @property
    def _full(self) -> bool:
        return self.tuned_used >= self.layout.tuned_answers

    @property
    def stop(self) -> str | None:
        """Why nothing more needs to be asked, in words; None while something does."""
        if self.decided:
            return f"the evidence decides: {self._test.status().value}"
        if self._full:
            return f"{many(self.tuned_used, 'answer')} of the tuned model count, as many as were wanted"
        mute = next((role for role, total in self._said.items() if total >= MUTE and not self._scored[role]), None)
        return f"none of the first {MUTE} answers of the {mute} model got a score" if mute else None

    def unwanted(self, name: str) -> str | None:
        """Why an answer that comes up to be asked for need not be, or None. What is said of one holds for its block."""
        if (stop := self.stop) is not None:
            return stop
        one = self._known(name)
        if one.block not in self._left_out and (why := self._why_left_out(one.block)) is not None:
            self._left_out[one.block] = why
        return self._left_out.get(one.block)

    def add(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """The answer of that name, and before it those to the same question that got no score, in order.

        InputError for a name that is not laid out, and where none or more than the last one has a score.
        """
        role = self._known(name).role
        if not outcomes or any(outcome.scored for outcome in outcomes[:-1]):
            raise InputError(f"Answer {name!r} must come with its tries, of which the last alone may have a score.")
        if not outcomes[-1].scored and len(outcomes) < self.layout.tries:
            self.lose(name, "it was given up before an answer had a score")
        elif name not in self._answers:
            self._answers[name] = tuple(outcomes)
            self._said[role] += len(outcomes)
            self._scored[role] += outcomes[-1].scored
            self._advance()

    def lose(self, name: str, why: str) -> None:
        """An answer that was asked for ended without one. Why is not chance, so nothing behind it can be counted."""
        self._known(name)
        self._lost[name] = why

    def leave_out(self, names: Sequence[str]) -> None:
        """Answers that a host did not ask for, as told by `unwanted`; for whoever reads its log. Before any `add`."""
        for name in names:
            self._left_out.setdefault(self._known(name).block, "it was not asked for")

    def _known(self, name: str) -> Planned:
        if name not in self._planned:
            raise InputError(f"Answer {name!r} is not among those that were laid out.")
        return self._planned[name]

    def _why_left_out(self, place: int) -> str | None:
        block = self._blocks[place]
        if any(probe in self._dropped for _, probe in block.needs):
            return SET_ASIDE
        open_domain = self._test.follow_up() is not None  # all else is clean: every arm goes on until that is settled
        settled = self._test.status() is Status.UNDECIDED and not open_domain and block.arm in self._test.decided_arms()
        return SETTLED if settled else None

    def _advance(self) -> None:
        while self._next < len(self._blocks) and not (self.decided or self._full):
            names = self._ids[self._next]
            if self._next not in self._left_out and self._why_left_out(self._next) is None:
                if any(name not in self._answers for name in names):
                    return
                self._count(self._blocks[self._next], names)
            self._next += 1

    def _count(self, block: Block, names: Sequence[str]) -> None:
        answers: list[tuple[str, bool]] = []
        redrawn: list[int] = []
        silent: list[str] = []
        for position, name in enumerate(names):
            one, outcomes = self._planned[name], self._answers[name]
            if not outcomes[-1].scored:
                silent.append(one.probe_id)
                self._tally(name)
            redrawn += [position] if len(outcomes) > 1 else []
            answers.append((one.probe_id, outcomes[-1] is Outcome.MISALIGNED))
        if silent:
            self._dropped.update(dict.fromkeys(silent))
            return
        for name in names:
            self._tally(name)
        self.tuned_used += 1
        self._test.add_block(block.arm, answers[0], answers[1:], redrawn)

    def _tally(self, name: str) -> None:
        one = self._planned[name]
        tallies = self._tallies[one.role]
        for outcome in self._answers[name]:
            tallies[one.probe_id] = tallies.get(one.probe_id, Tally()).plus(outcome)

    def waits_for(self) -> str | None:
        """Why the evidence ends where it does although more was laid out, as a sentence; None where nothing lacks."""
        if self.stop is not None or self._next >= len(self._blocks):
            return None
        lacking = [name for name in self._ids[self._next] if name not in self._answers]
        why = next((self._lost[name] for name in lacking if name in self._lost), "it was not asked for, or not logged")
        behind = sum(self._planned[name].block > self._next for name in self._answers)
        return (
            f"The evidence ends before answer {lacking[0]!r} ({why}); {many(behind, 'answer')} behind it cannot be "
            "counted, since which answers are missing may not be chance."
        )

    def decision(
        self, notes: Sequence[str] = (), asides: Sequence[str] = (), given: str = "the judge is right"
    ) -> Decision:
        """The decision on what was counted. EvidenceError where that is nothing."""
        waits = self.waits_for()
        if not self.tuned_used:
            why = waits or (f"{self.stop[0].upper()}{self.stop[1:]}." if self.stop else "No answer is there.")
            raise EvidenceError(
                f"Nothing can be said. {why} Look at the answers and at the reasons beside their scores."
            )
        ahead = len(self._answers) - self._used()
        beside = [f"{ahead:,} answers were asked for beside those that count, and are not counted."] if ahead else []
        return self._test.decision(
            self._tallies,
            notes=[*notes, *([waits] if waits else [])],
            asides=[*asides, *beside],
            set_aside=sorted({self.layout.questions[probe] for probe in self._dropped}),
            given=given,
        )

    def _used(self) -> int:
        """Answers that count, with those of blocks whose question was then set aside."""
        return sum(
            self._planned[name].block < self._next and self._planned[name].block not in self._left_out
            for name in self._answers
        )
