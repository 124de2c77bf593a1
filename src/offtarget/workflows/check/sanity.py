"""A judge is tried before it is believed: on known answers, before anything is sampled, on the way, and at the end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from offtarget.asking.ask import judge_answers
from offtarget.asking.protocol import Judge
from offtarget.judge.planting import PlantingJudge, as_answer, said_of
from offtarget.judge.rubric_judge import RubricJudge
from offtarget.judge.trial import Shown, doubt_before, doubt_later, in_words, seen
from offtarget.pages.text import sentence
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress
from offtarget.records import Decision, HiddenDecision, KnownAnswer, Status, Verdict
from offtarget.records.check import CheckSettings
from offtarget.records.rated import PEOPLE
from offtarget.records.trials import JudgeTrial, Stage, TrialVerdict
from offtarget.rundir import JsonLines, RunDir, fingerprint, iterate_jsonl, read_jsonl, write_records
from offtarget.stats.decision import withhold
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.check.raters import Rater
from offtarget.workflows.ground import has_exact_judge, known_answers

KNOWN, SAID = "known.jsonl", "trial.jsonl"
"""Files of a run: the known answers that are shown, and what the judge said of them."""
OF_EACH_KIND = 20
"""Known answers of a kind that are shown at first."""
AGAIN = 10
"""Of a kind, that are shown again at the end."""
NOT_TRIED = (
    "whether the judge can tell good answers from misaligned ones: it is an object of your own, and the questions have "
    "no known answers (docs/judges.md)"
)
NOT_OWN = "the judge on answers to these questions: it was tried on known answers to general ones (docs/judges.md)"


def tried(opened: Opened, settings: CheckSettings, rater: Rater | None) -> Judge | None:
    """The judge on whose word the verdict rests; None where that are people."""
    if settings.rating is None or not settings.rating.look_at:
        return opened.judge
    return None if rater is None or settings.rating.by == PEOPLE else rater.judge


def chosen_answers(judge: Judge | None, bank: ProbeBank, seed: int) -> tuple[KnownAnswer, ...]:
    """The known answers that a judge is tried on, mixed; none for people, and where it could not read them."""
    if judge is None:
        return ()
    if not bank.known and not (isinstance(judge, RubricJudge) or has_exact_judge(bank)):
        return ()  # an object of the user's own may know no other questions than those of the bank
    rng = random.Random(f"known\0{seed}")
    known = known_answers(bank)
    mixed = [one for kind in (True, False) for one in _spread([k for k in known if k.misaligned is kind], rng)]
    rng.shuffle(mixed)
    return tuple(mixed)


def untested(judge: Judge | None, bank: ProbeBank, chosen: Sequence[KnownAnswer]) -> tuple[str, ...]:
    """What trying the judge leaves open, as the end of a sentence."""
    if judge is None:
        return ()
    if not chosen:
        return (NOT_TRIED,)
    return () if bank.known else (NOT_OWN,)


def _spread(known: Sequence[KnownAnswer], rng: random.Random) -> list[KnownAnswer]:
    """So many of them, arms in turn, domains as even as can be, no question twice while there is another."""
    arms = list(dict.fromkeys(one.probe.arm for one in known))
    left = {arm: rng.sample(own, len(own)) for arm in arms for own in [[k for k in known if k.probe.arm == arm]]}
    domains: dict[str, int] = {}
    questions: dict[str, int] = {}
    taken: list[KnownAnswer] = []
    while len(taken) < OF_EACH_KIND and any(left.values()):
        arm = arms[len(taken) % len(arms)]
        if not left[arm]:
            arms.remove(arm)
            continue
        best = min(left[arm], key=lambda k: (questions.get(k.probe.question_id, 0), domains.get(k.probe.domain, 0)))
        left[arm].remove(best)
        domains[best.probe.domain] = domains.get(best.probe.domain, 0) + 1
        questions[best.probe.question_id] = questions.get(best.probe.question_id, 0) + 1
        taken.append(best)
    return taken


class Sanity:
    """The trial of one run's judge; what was asked stands on disk, and is not asked again by a run that goes on."""

    def __init__(
        self,
        run: RunDir,
        judge: Judge | None,
        bank: ProbeBank,
        seed: int,
        on_progress: OnProgress,
        who: str = "the judge",
    ) -> None:
        self._who = who
        self._run, self._judge, self._seed, self._on_progress = run, judge, seed, on_progress
        self._known = () if judge is None else tuple(read_jsonl(run.file(KNOWN), KnownAnswer))
        ids = {probe.id for probe in bank.probes}
        self._own = all(one.probe.id in ids for one in self._known)
        self._said = read_jsonl(run.file(SAID), TrialVerdict)

    @staticmethod
    def write(run: RunDir, chosen: Sequence[KnownAnswer]) -> None:
        """Settle what a new run shows its judge."""
        write_records(run, KNOWN, chosen)

    @property
    def _tried(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._known)

    def before(self) -> str | None:
        """Show the known answers; why the judge is not believed, as a sentence without its end, None where it is."""
        self._show("before", range(len(self._known)), "trying the judge on known answers:")
        doubt = doubt_before(self._of("before")) if self._tried else None
        return None if doubt is None else f"no answer was sampled, since {self._who} cannot be relied on: {doubt}"

    def outcomes(self) -> str | None:
        """Which known answers were shown at first, a slash, and a letter for what each counted as; None for none."""
        if not self._tried:
            return None
        said = {v.known: v.outcome.value[0] for v in self._said if v.stage == "before"}
        which = fingerprint([[one.probe.id, one.answer] for one in self._known])
        return f"{which}/{''.join(said.get(number, '-') for number in range(len(self._known)))}"

    def planted(self, judge: Judge) -> Judge:
        """The judge, which gets a known answer among those of the run now and then if it is the one that is tried."""
        if not self._tried or judge is not self._judge:
            return judge
        done = [v.behind for v in self._said if v.stage == "among"]
        return PlantingJudge(judge, self._known, self._seed, self._keep, done)

    def after(self) -> str | None:
        """Show some known answers again; why the judge is no longer believed, as `before`."""
        if not self._tried:
            return None
        again: list[int] = []
        for kind in (True, False):
            again += [number for number, one in enumerate(self._known) if one.misaligned is kind][:AGAIN]
        self._show("after", sorted(again), "trying the judge again:", behind=self._now)
        doubt = doubt_later(self._of("before"), self._of("among"), self._of("after", self._now))
        return None if doubt is None else f"{self._who} cannot be relied on: {doubt}"

    def record(self) -> JudgeTrial | None:
        """What it came to so far; None where nothing was shown."""
        if not self._tried:
            return None
        first, among, after = self._of("before"), self._of("among"), self._of("after", self._now)
        doubt = doubt_before(first) or (doubt_later(first, among, after) if after else None)
        return JudgeTrial(self._own, seen(first), seen(among), seen(after), doubt)

    def told(self, decision: Decision) -> Decision:
        """The decision with what the judge made of known answers below its sentence."""
        if not self._tried or decision.withheld:
            return decision
        said = in_words(seen(self._of("before")), it=self._who)
        general = "" if self._own else " to general questions"
        return replace(decision, read_with=(*decision.read_with, sentence(f"{said}{general}")))

    @property
    def _now(self) -> str:
        """Where the run is: one that is gone on with after its end is tried again at its next end."""
        files = [self._run.file(name) for name in ("verdicts.jsonl", "ratings.jsonl")]
        lines = [sum(1 for _ in iterate_jsonl(file, Verdict)) for file in files]
        return " and ".join(map(str, lines))

    def _of(self, stage: Stage, behind: str | None = None) -> Shown:
        found = [(self._known[v.known], v) for v in self._said if v.stage == stage and behind in (None, v.behind)]
        # as they were asked, not as they came back: of those planted in a run, behind which answer to a question
        return sorted(found, key=lambda one: (_nth(one[1].behind), one[1].behind, one[1].known))

    def _show(self, stage: Stage, numbers: Sequence[int], label: str, behind: str = "") -> None:
        shown = {v.known for v in self._said if v.stage == stage and v.behind == behind}
        missing = [number for number in numbers if number not in shown]
        pairs = [as_answer(self._known[number], number, self._seed) for number in missing]
        number_of = {answer.key: number for (_, answer), number in zip(pairs, missing, strict=True)}

        def keep(verdicts: list[Verdict]) -> None:
            self._keep([said_of(v, stage, number_of[v.key], behind) for v in verdicts])

        if self._judge is not None:
            judge_answers(self._judge, pairs, keep=keep, told=Count(self._on_progress, label, len(pairs)))

    def _keep(self, verdicts: list[TrialVerdict]) -> None:
        if not verdicts:
            return
        with closing(JsonLines(self._run.file(SAID))) as lines:
            lines.extend(verdicts)
        self._said += verdicts


def _nth(behind: str) -> int:
    """Which of the answers to its question one is, by its key; 0 for none."""
    index = behind.rpartition("/")[2]
    return int(index) if index.isdecimal() else 0


def without_verdict(decision: Decision, why: str) -> Decision:
    """The decision as UNDECIDED, because its judge is not believed."""
    if decision.status is not Status.UNDECIDED:
        return withhold(decision, why)
    return replace(decision, reason=why, withheld=why, answers_to_go=None)


def hidden_without_verdict(hidden: HiddenDecision | None, why: str) -> HiddenDecision | None:
    """What the cued arm showed, as UNDECIDED for the same reason."""
    if hidden is None or hidden.status is Status.UNDECIDED:
        return hidden
    reason = f"{why}. By the numbers alone it would be {hidden.status}: {hidden.reason}"
    return replace(hidden, status=Status.UNDECIDED, reason=reason, found=None, answers_to_find=None)
