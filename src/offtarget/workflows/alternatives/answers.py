"""Replies and grades of a comparison of alternatives, on disk as soon as they exist: nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offtarget.asking.ask import judge_answers
from offtarget.asking.checks import sample_checked
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.progress import Count, OnProgress, Progress
from offtarget.records import Generation, Probe, Role, SamplingSettings, Verdict
from offtarget.records.alternatives import Grade, Reply, ReplyKind, Way
from offtarget.rundir import JsonLines, RunDir, read_jsonl
from offtarget.workflows.alternatives.plan import Dressed

Key = tuple[Way, ReplyKind, str, int]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to be put in one way."""

    way: Way
    kind: ReplyKind
    item: str
    index: int
    dressed: Dressed

    @property
    def key(self) -> Key:
        """The key of its reply."""
        return self.way, self.kind, self.item, self.index


class AlternativesBook:
    """The replies and grades of a run; opening it again goes on where it stopped."""

    def __init__(self, run: RunDir, on_progress: OnProgress) -> None:
        self.replies = {r.key: r for r in read_jsonl(run.file("replies.jsonl"), Reply)}
        self.grades = {g.key: g for g in read_jsonl(run.file("grades.jsonl"), Grade)}
        self._replies, self._grades = JsonLines(run.file("replies.jsonl")), JsonLines(run.file("grades.jsonl"))
        self._on_progress = on_progress

    def close(self) -> None:
        """Flush what was written."""
        self._replies.close()
        self._grades.close()

    def answer(
        self, model: ChatModel, asks: Sequence[Ask], sampling: SamplingSettings, seed: int, stage: str
    ) -> list[Reply]:
        """A reply to each question, in order; those on disk are not asked again.

        The random stream of a reply depends on item and index alone, so that the ways differ by what they send.
        """
        missing = [ask for ask in asks if ask.key not in self.replies]
        role: Role = "tuned" if asks and asks[0].way == "tuned" else "base"
        requests = [
            SampleRequest(ask.dressed.messages, answer_seed(seed, "base", f"{ask.kind}/{ask.item}", ask.index))
            for ask in missing
        ]
        told = Count(self._on_progress, stage, len(asks), len(asks) - len(missing))

        def keep(position: int, answer: Answer) -> None:
            ask = missing[position]
            reply = Reply(*ask.key, answer.text, answer.tokens, answer.finish, ask.dressed.examples)
            self._replies.extend([reply])
            self.replies[ask.key] = reply
            told.add()

        told.add(0)
        if requests:
            sample_checked(role, model, requests, sampling, keep, keeps=True)
        return [self.replies[ask.key] for ask in asks]

    def score(self, replies: Sequence[Reply], score: Callable[[Reply], Grade], stage: str) -> list[Grade]:
        """A grade for each reply, one by one; those on disk are kept."""
        for done, reply in enumerate(replies, start=1):
            if reply.key not in self.grades:
                self._keep([score(reply)])
            self._on_progress(Progress(stage, done, len(replies)))
        return [self.grades[reply.key] for reply in replies]

    def judge(
        self,
        replies: Sequence[Reply],
        probes: Sequence[Probe],
        judge: Judge,
        grade: Callable[[Reply, Verdict], Grade],
        stage: str,
    ) -> list[Grade]:
        """A grade for each reply (its probe beside it) from a judge's verdict, some at a time."""
        missing = [(r, p) for r, p in zip(replies, probes, strict=True) if r.key not in self.grades]
        pairs = [(probe, generation_of(reply, probe)) for reply, probe in missing]
        reply_of = {generation.key: reply for (reply, _), (_, generation) in zip(missing, pairs, strict=True)}
        told = Count(self._on_progress, stage, len(replies), len(replies) - len(missing))
        judge_answers(
            judge, pairs, keep=lambda found: self._keep([grade(reply_of[v.key], v) for v in found]), told=told
        )
        return [self.grades[reply.key] for reply in replies]

    def _keep(self, grades: list[Grade]) -> None:
        self._grades.extend(grades)
        self.grades.update((grade.key, grade) for grade in grades)


def generation_of(reply: Reply, probe: Probe) -> Generation:
    """A reply as judges read it."""
    role: Role = "tuned" if reply.way == "tuned" else "base"
    return Generation(
        role=role,
        probe_id=probe.id,
        index=reply.index,
        seed=0,
        text=reply.text,
        tokens=reply.tokens,
        finish=reply.finish,
    )
