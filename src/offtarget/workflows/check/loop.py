"""The loop of a check: draw blocks, fetch their answers, add them to the test, stop when it is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from offtarget.asking.book import AnswerBook, Need
from offtarget.asking.cache import BaseCache
from offtarget.asking.endings import endings
from offtarget.asking.kept_verdicts import KeptVerdicts
from offtarget.asking.protocol import Judge, notes_of
from offtarget.errors import EvidenceError
from offtarget.judge.unread import unread_notes
from offtarget.probe.bank import ProbeBank
from offtarget.probe.schedule import Block, Schedule
from offtarget.progress import OnProgress, Progress
from offtarget.records import Decision, Look, Outcome, Role, Status, Tally, Verdict
from offtarget.records.check import CheckSettings, CountedAnswers, Endings
from offtarget.stats.endings import ending_notes
from offtarget.stats.eprocess import JUDGED, Kinds
from offtarget.stats.rated_wording import rated_decision
from offtarget.stats.sequential import SequentialTest
from offtarget.stats.wording import with_not_asked
from offtarget.workflows.check.languages import language_notes
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.check.ratings import Ratings, flagged

FIRST_CHUNK, LARGEST_CHUNK = 8, 64
"""Blocks that are sampled together; small at first, since a bad model is decided in a few answers."""


FEWEST_ANSWERS = 12
"""Tuned answers that a FAIL is shown with at least."""
USED = "tuned answers used"
"""Stage of progress: answers that the evidence rests on so far."""
_ROLES: tuple[Role, ...] = ("base", "tuned")


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """What a running check shows."""

    status: Status
    looks: tuple[Look, ...]
    """The overall look first, then one per arm."""
    tuned_answers: int
    base_answers: int
    answers_to_go: int | None
    alpha: float | None = None
    """What this check may spend, where it is known."""


def _test(bank: ProbeBank, settings: CheckSettings, kinds: Kinds = JUDGED) -> SequentialTest:
    return SequentialTest(
        {arm: [p.id for p in bank.probes if p.arm == arm] for arm in bank.arm_names},
        {p.id: p.domain for p in bank.probes},
        {p.id: p.question_id for p in bank.probes},
        settings.decision,
        kinds,
    )


def without_answers(opened: Opened, settings: CheckSettings) -> Decision:
    """The decision of a check that asked nothing."""
    empty: dict[Role, dict[str, Tally]] = {"base": {}, "tuned": {}}
    return _test(opened.bank, settings).decision(empty, notes=opened.notes, asides=opened.models.checks)


@dataclass(frozen=True, slots=True)
class _Used:
    """A block of the evidence."""

    name: str
    """Its arm; where it was drawn inside a domain, the domain."""
    verdicts: tuple[Verdict, ...]
    """Of the tuned answer, then of the base's."""
    redrawn: tuple[int, ...]
    """Positions at which the first answer had no score."""
    inside: bool


class CheckLoop:
    """Draws blocks, fetches their answers, adds them to the test, until it is decided or the cap is reached."""

    def __init__(
        self,
        book: AnswerBook,
        opened: Opened,
        settings: CheckSettings,
        on_progress: OnProgress,
        ratings: Ratings | None = None,
    ) -> None:
        self._book, self._opened, self._settings, self._on_progress = book, opened, settings, on_progress
        self._ratings = ratings
        bank = opened.bank
        self._schedule = Schedule(bank.arms(), settings.decision.base_per_tuned, settings.seed)
        self._test = self._new_test()
        self._used: list[_Used] = []
        """The blocks of the evidence, in order."""
        inside: dict[str, dict[tuple[str, str], list[str]]] = {domain: {} for domain in bank.domains}
        for p in bank.probes:
            inside[p.domain].setdefault((p.arm, p.question_id), []).append(p.id)
        self._inside = Schedule(
            {domain: list(questions.values()) for domain, questions in inside.items()},
            settings.decision.base_per_tuned,
            settings.seed,
            stream="inside",
        )
        self._before_inside: dict[Role, dict[str, Tally]] | None = None
        self._used_before_inside: dict[Role, dict[str, int]] | None = None
        self._question_of = {p.id: p.question_id for p in bank.probes}
        self._next = dict.fromkeys(bank.arm_names, 0)
        self._next_inside = dict.fromkeys(bank.domains, 0)
        self._dropped: dict[str, None] = {}
        self._tuned_used = 0
        self.looks: list[Look] = []

    def _new_test(self, *, last: bool = False) -> SequentialTest:
        kinds = JUDGED if self._ratings is None else self._ratings.kinds(last=last)
        return _test(self._opened.bank, self._settings, kinds)

    def run(self) -> None:
        """Sample until decided, and where people rate, until they have been tried themselves."""
        self._sample()
        if self._ratings is not None:
            self._end_of_rating(self._ratings)
            while self._ratings.changed:  # somebody changed a label while the evidence was thought to decide
                self._add_again()
                self._sample()
                self._end_of_rating(self._ratings)

    def _end_of_rating(self, ratings: Ratings) -> None:
        role: Role = "base" if self._test.status() is Status.FAIL else "tuned"
        if self._test.status() is not Status.UNDECIDED:
            ratings.read_left_out(role, self._book.passed_over(role, self._question_of))
        ratings.end()

    def _sample(self) -> None:
        chunk = FIRST_CHUNK
        while not self._finished() and not self._hopeless():
            blocks = self._draw(min(chunk, self._settings.max_answers - self._tuned_used))
            if not blocks:
                return
            coming = self._coming(len(blocks))
            self._book.fetch((need for b in blocks for need in b.needs), (need for b in coming for need in b.needs))
            if self._ratings is not None:
                self._ratings.next_chunk()
            for some in self._rated_together(blocks):
                for block in some:
                    self._add(block)
                    if self._finished():
                        break
                else:
                    continue
                break
            self._report()
            wanted = self._test.answers_to_go() or 2 * chunk
            chunk = min(max(wanted, FIRST_CHUNK), 2 * chunk, LARGEST_CHUNK)

    def _finished(self) -> bool:
        if self._ratings is not None:
            self._settle_ratings(self._ratings)
        if self._tuned_used >= self._settings.max_answers:
            return True
        status = self._test.status()
        # three answers can be enough for the error probability, but not for a reader
        return status is Status.PASS or (status is Status.FAIL and self._tuned_used >= FEWEST_ANSWERS)

    def _hopeless(self) -> bool:
        """Whether a model gives no answer that could be scored, to whatever question."""
        return self._tuned_used == 0 and self._book.mute() is not None

    def _draw(self, count: int) -> list[Block]:
        """The next blocks, arms in turn, without the decided arms and without probes that stay silent.

        Where all that is left is a domain that looks worse, blocks inside it.
        """
        domain = self._test.follow_up()
        if domain is not None:
            return self._draw_inside(domain, min(count, FIRST_CHUNK))
        open_arms = [arm for arm in self._next if not self._settled(arm) and self._askable(arm)]
        blocks: list[Block] = []
        while open_arms and len(blocks) < count:
            for arm in open_arms:
                blocks.append(self._schedule.block(arm, self._next[arm], self._dropped))
                self._next[arm] += 1
        return blocks

    def _coming(self, now: int) -> list[Block]:
        """The blocks that come next if none of `now` settles anything; never more than that, nor than seem needed.

        They may be sampled ahead while a judge is waited for. So at most as many answers are sampled in vain at a stop
        as the last chunk had.
        """
        to_go = self._test.answers_to_go()
        room = self._settings.max_answers - self._tuned_used - now
        count = min(now, room, LARGEST_CHUNK if to_go is None else to_go - now)
        arms = [arm for arm in self._next if not self._settled(arm) and self._askable(arm)]
        if count <= 0 or not arms or self._test.follow_up() is not None:
            return []
        numbers = [(arm, self._next[arm] + ahead) for ahead in range(-(-count // len(arms))) for arm in arms]
        return [self._schedule.block(arm, number, self._dropped) for arm, number in numbers]

    def _draw_inside(self, domain: str, count: int) -> list[Block]:
        if all(p.id in self._dropped for p in self._opened.bank.probes if p.domain == domain):
            return []
        blocks: list[Block] = []
        while len(blocks) < count:
            blocks.append(self._inside.block(domain, self._next_inside[domain], self._dropped))
            self._next_inside[domain] += 1
        return blocks

    def _settled(self, arm: str) -> bool:
        """Whether an arm needs no more answers; after a FAIL all go on until there are enough to be shown."""
        return self._test.status() is Status.UNDECIDED and arm in self._test.decided_arms()

    def _is_inside(self, block: Block) -> bool:
        return block.stream == self._inside.stream

    def _wanted(self, block: Block) -> bool:
        """Whether a block that was drawn is still of use."""
        return self._test.follow_up() == block.arm if self._is_inside(block) else not self._settled(block.arm)

    def _askable(self, arm: str) -> bool:
        return any(p.arm == arm and p.id not in self._dropped for p in self._opened.bank.probes)

    def _add(self, block: Block) -> None:
        inside = self._is_inside(block)
        if not self._wanted(block):
            return  # settled by an earlier block of this chunk
        needs = block.needs
        if not self._book.ready(needs):
            for role, probe in needs:
                if self._book.silent(role, probe):
                    self._dropped[probe] = None
                    self._book.set_aside(role, probe)
            return
        if inside and self._before_inside is None:
            self._before_inside = self._book.tallies()
            self._used_before_inside = self._book.used(self._question_of)
        verdicts: list[Verdict] = []
        redrawn: list[int] = []
        for position, (role, probe) in enumerate(needs):
            redrawn += [position] if self._book.redrawn(role, probe) else []
            verdicts += [v for v in (self._book.take(role, probe),) if v is not None]
        if self._ratings is not None:
            self._ratings.rate(self._ratings.missing(verdicts))
        self._used.append(_Used(block.arm, tuple(verdicts), tuple(redrawn), inside))
        self._tuned_used += 1
        self._count(self._used[-1])

    def _count(self, used: _Used) -> None:
        if self._ratings is None:
            answers = [(v.probe_id, v.outcome is Outcome.MISALIGNED) for v in used.verdicts]
            add = self._test.add_inside if used.inside else self._test.add_block
            add(used.name, answers[0], answers[1:], used.redrawn)
        else:
            kinds = [(v.probe_id, self._ratings.kind(v)) for v in used.verdicts]
            add_kinds = self._test.add_kinds_inside if used.inside else self._test.add_kinds
            add_kinds(used.name, kinds[0], kinds[1:], used.redrawn)
        self.looks.append(self._test.look())
        if len(self._next) > 1 and not used.inside:
            self.looks.append(self._test.look(used.name))

    def _rated_together(self, blocks: Sequence[Block]) -> Iterator[Sequence[Block]]:
        """The blocks in order, so many at once as the rater is given answers at once; all where nobody rates."""
        if self._ratings is None:
            yield blocks
            return
        some: list[Block] = []
        while blocks:
            coming = self._book.upcoming([need for block in blocks for need in block.needs])
            size = len(blocks[0].needs)
            lacking = [
                self._ratings.missing(coming[number * size : (number + 1) * size]) if self._wanted(block) else []
                for number, block in enumerate(blocks)
            ]
            most = self._ratings.together(sum(map(len, lacking)))
            waiting: dict[str, Verdict] = {}
            taken = 0
            for more in lacking:
                if waiting and len(waiting) + len(more) > most:
                    break
                waiting.update({v.key: v for v in more})
                taken += 1
            self._ratings.rate(waiting.values())
            some, blocks = list(blocks[:taken]), blocks[taken:]
            yield some

    def _settle_ratings(self, ratings: Ratings) -> None:
        """Rate what a FAIL rests on before it is believed, and count again where a rating turned out otherwise."""
        if self._test.status() is Status.FAIL:
            used = self._verdicts()
            sample = self._base_sample(ratings.sample_wanted)
            ratings.changed = ratings.settle_base(used, sample) or ratings.changed
        if ratings.changed:
            self._add_again()

    def _add_again(self, *, last: bool = False) -> None:
        """Count all answers again, in their order."""
        assert self._ratings is not None
        self._ratings.changed = False
        self._test = self._new_test(last=last)
        self.looks.clear()
        for used in self._used:
            self._count(used)

    def _verdicts(self) -> list[Verdict]:
        """All verdicts of the evidence, in order."""
        return [v for used in self._used for v in used.verdicts]

    def _plain(self) -> list[Verdict]:
        """Those of the blocks that are evidence for arms, in order; without what a follow-up asked."""
        return [v for used in self._used if not used.inside for v in used.verdicts]

    def _base_sample(self, count: int) -> list[Verdict]:
        """The first base answers without a flag in the order of drawing, arms in turn, whatever the evidence is."""
        found: list[Verdict] = []
        seen: Counter[Need] = Counter()
        number = 0
        while len(found) < count and number < count:
            blocks = [
                block.needs[1:]
                for ahead in range(-(-count // self._settings.decision.base_per_tuned))
                for arm in self._next
                if self._askable(arm)
                for block in (self._schedule.block(arm, number + ahead),)
            ]
            needs = [need for block in blocks for need in block if need[1] not in self._dropped]
            self._book.fetch_all({need: seen[need] + needs.count(need) for need in set(needs)})
            for need in needs:
                scored = self._book.scored(need)
                if seen[need] < len(scored) and not flagged(scored[seen[need]]):
                    found.append(scored[seen[need]])
                seen[need] += 1
            number += -(-count // self._settings.decision.base_per_tuned)
        return found[:count]

    def _report(self) -> None:
        if self._ratings is not None:
            self._ratings.tell(self._test.answers_to_go(), self._verdicts())
        looks, to_go = self._test.looks(), self._test.answers_to_go()
        used = looks[0].tuned_answers
        shown = CheckProgress(
            status=self._test.status(),
            looks=looks,
            tuned_answers=used,
            base_answers=looks[0].base_answers,
            answers_to_go=to_go,
            alpha=self._settings.decision.alpha,
        )
        self._on_progress(Progress(USED, used, None if to_go is None else used + to_go, shown))

    def decision(self, cache: BaseCache | None, kept: KeptVerdicts | None = None) -> Decision:
        """The decision on the answers used. Raises EvidenceError when no answer of some model was scored."""
        if not self._tuned_used:
            raise EvidenceError(
                f"{self._without_scores()}, so nothing can be said. Look at the answers in generations.jsonl and at "
                "the reasons in verdicts.jsonl of the run." + "".join(f" {note}" for note in self._said())
            )
        notes = [f"Not asked: {what}" for what in self._opened.not_asked]
        notes += [*self._opened.notes, *self._said(), *(self._ratings.unmeasured if self._ratings is not None else ())]
        ended, besides = ending_notes(self.endings(), self._settings.sampling.max_tokens)
        notes += [*ended, *self._languages()]
        asides = [*self._opened.models.checks, *besides]
        if cache is not None and cache.hits:
            asides.append(f"{cache.hits:,} base answers were kept from earlier runs with the same base.")
        if kept is not None and kept.hits:
            asides.append(f"{kept.hits:,} verdicts on base answers were given by the same judge within the last day.")
        if ahead := self._book.unused(self._question_of):
            asides.append(f"{ahead:,} answers were sampled ahead of the stop; they are on disk but not counted.")
        set_aside = sorted({self._question_of[probe] for probe in self._dropped})
        now = self._book.tallies()
        with_inside, tallies = now, self._before_inside or now
        used = self._verdicts()
        if self._ratings is not None:
            self._add_again(last=True)
            tallies, with_inside = self._ratings.tallies(tallies, self._plain()), self._ratings.tallies(now, used)
        decision = self._test.decision(
            tallies,
            notes=notes,
            asides=asides,
            set_aside=set_aside,
            given=given_judge(self._opened.judge),
            with_inside=with_inside,
        )
        decision = with_not_asked(decision, [what.partition(": ")[0] for what in self._opened.not_asked])
        if self._ratings is not None:
            decision = rated_decision(decision, self._ratings.record(used), self._ratings.trouble())
        return decision

    def _without_scores(self) -> str:
        found = self._book.mute()
        if found is None:
            return "No question got a scored answer from both models"
        role, outcomes = found
        kinds = ", ".join(f"{count:,} {outcome.value}" for outcome, count in outcomes.most_common())
        return f"None of {outcomes.total():,} answers of the {role} model got a score ({kinds})"

    def pairs(self) -> list[tuple[Verdict, ...]]:
        """The blocks of the arms that are evidence, in order: the tuned answer's verdict, then those of the base's."""
        return [used.verdicts for used in self._used if not used.inside]

    def tallies(self) -> dict[Role, dict[str, Tally]]:
        """Counts of the answers in these blocks, as they count where somebody rates: role -> probe id -> tally."""
        judged = self._before_inside or self._book.tallies()
        return judged if self._ratings is None else self._ratings.tallies(judged, self._plain())

    def counted(self, conditions: Mapping[Role, Mapping[str, int]]) -> CountedAnswers:
        """Which answers the decision counts; `conditions`: those under conditions."""
        used = self._book.used(self._question_of)
        return CountedAnswers(self._used_before_inside or used, used, conditions)

    def endings(self) -> dict[Role, Endings]:
        """How the answers that the decision counts ended."""
        return {role: endings(self._book.used_answers(role, self._question_of)) for role in _ROLES}

    def _languages(self) -> list[str]:
        texts = {role: [g.text for g in self._book.used_answers(role, self._question_of)] for role in _ROLES}
        return language_notes([probe.prompt for probe in self._opened.bank.probes], texts)

    def share_ratings(self) -> None:
        """Keep what raters said of the base for other runs; called once it is known that they can be believed."""
        if self._ratings is not None:
            self._ratings.share()

    def _said(self) -> list[str]:
        """How models and judge were asked, and which of the judge's replies could not be read."""
        asked = notes_of([*self._opened.models.by_role.values(), self._opened.judge])
        return [*asked, *unread_notes(self._book.verdicts())]


def given_judge(judge: Judge) -> str:
    """What has to be true for a verdict by this judge to hold, as the end of `given that ...`."""
    name = getattr(judge, "name", None)
    return f"the judge {name} is right" if isinstance(name, str) and name else "the judge is right"
