"""Judged answers of a run, on disk as soon as they exist: asked for once, whatever happens in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from offtarget.asking.ask import Pair, ask, judge_answers
from offtarget.asking.cache import BaseCache
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import ChatModel
from offtarget.progress import Count, OnProgress, silent
from offtarget.records import Generation, Probe, Role, SamplingSettings, Tally, Verdict
from offtarget.rundir import JsonLines, RunDir, read_jsonl

PATIENCE = 20
"""A probe is set aside when a model gives this many unscored answers to it in a row."""

Need = tuple[Role, str]
"""One more scored answer of a model to a probe."""
SAMPLED = "answers sampled"
"""Stage under which every answer is told of as soon as it is sampled."""


@dataclass
class _Stream:
    """The answers of one model to one probe, in order of their index."""

    generations: list[Generation] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    used: int = 0
    patience: int = PATIENCE

    def tally(self) -> Tally:
        """Counts of the answers used so far, scored or passed over."""
        tally = Tally()
        for verdict in self.verdicts[: self.used]:
            tally = tally.plus(verdict.outcome)
        return tally

    def next_scored(self) -> int | None:
        """Position of the next unused scored answer, None when it must be sampled first."""
        return next((i for i in range(self.used, len(self.verdicts)) if self.verdicts[i].outcome.scored), None)

    @property
    def waiting(self) -> int:
        """Unused scored answers at hand."""
        return sum(v.outcome.scored for v in self.verdicts[self.used :])

    @property
    def silent(self) -> bool:
        """Whether the last answers were all without a score."""
        last = self.verdicts[-self.patience :]
        return len(last) == self.patience and not any(v.outcome.scored for v in last)


class AnswerBook:
    """Samples, judges and hands out answers; opening a run directory again continues where it stopped."""

    def __init__(
        self,
        run: RunDir,
        probes: Iterable[Probe],
        models: Mapping[Role, ChatModel],
        judge: Judge,
        sampling: SamplingSettings,
        seed: int,
        cache: BaseCache | None = None,
        on_progress: OnProgress = silent,
    ) -> None:
        self._probes = {p.id: p for p in probes}
        self._models, self._judge, self._sampling, self._seed = models, judge, sampling, seed
        self._cache, self._count = cache, Count(on_progress, SAMPLED, None)
        self._streams: dict[Need, _Stream] = defaultdict(_Stream)
        self._generations = JsonLines(run.file("generations.jsonl"))
        self._verdicts = JsonLines(run.file("verdicts.jsonl"))
        self.sampled = {"base": 0, "tuned": 0}
        """Answers sampled in this process, per model."""
        try:
            self._load(run)
        except BaseException:
            self.close()
            raise

    def add_probes(self, probes: Iterable[Probe], patience: int) -> None:
        """More probes to answer; one is silent after `patience` unscored answers of a model in a row."""
        for probe in probes:
            self._probes[probe.id] = probe
            for role in ("base", "tuned"):
                self._streams[role, probe.id].patience = patience

    def close(self) -> None:
        """Flush what was written."""
        self._generations.close()
        self._verdicts.close()

    def _load(self, run: RunDir) -> None:
        verdicts = {v.key: v for v in read_jsonl(run.file("verdicts.jsonl"), Verdict)}
        stored = {g.key: g for g in read_jsonl(run.file("generations.jsonl"), Generation)}
        for generation in sorted(stored.values(), key=lambda g: g.index):
            stream = self._streams[generation.role, generation.probe_id]
            # answers complete in any order, so a crash can leave a gap; what follows it is sampled again, the same
            if generation.probe_id in self._probes and generation.index == len(stream.generations):
                stream.generations.append(generation)
        for stream in self._streams.values():
            for generation in stream.generations:
                if generation.key not in verdicts:
                    break
                stream.verdicts.append(verdicts[generation.key])
        self._on_disk = set(stored)
        self._judge_missing()

    def fetch(self, needs: Iterable[Need]) -> None:
        """Sample and judge until every need has a scored answer at hand, or its probe is silent."""
        wanted = Counter(needs)
        while True:
            missing = {
                need: count - self._streams[need].waiting
                for need, count in wanted.items()
                if self._streams[need].waiting < count and not self._streams[need].silent
            }
            if not missing:
                return
            for role in ("base", "tuned"):
                self._sample(role, {probe: n for (r, probe), n in missing.items() if r == role})
            self._judge_missing()

    def fetch_all(self, counts: Mapping[Need, int]) -> None:
        """Sample and judge until there are so many scored answers, used ones included, or the probe is silent."""
        while missing := {
            need: count - have
            for need, count in counts.items()
            if (have := len(self.scored(need))) < count and not self._streams[need].silent
        }:
            for role in ("base", "tuned"):
                self._sample(role, {probe: n for (r, probe), n in missing.items() if r == role})
            self._judge_missing()

    def take(self, role: Role, probe_id: str) -> Verdict | None:
        """Use the next scored answer; None when it is not at hand."""
        stream = self._streams[role, probe_id]
        position = stream.next_scored()
        if position is None:
            return None
        stream.used = position + 1
        return stream.verdicts[position]

    def upcoming(self, needs: Sequence[Need]) -> list[Verdict | None]:
        """What `take` would return for each of these needs in turn, nothing being used; None where none is at hand."""
        ahead: dict[Need, Iterator[Verdict]] = {}
        for need in needs:
            stream = self._streams[need]
            ahead.setdefault(need, iter([v for v in stream.verdicts[stream.used :] if v.outcome.scored]))
        return [next(ahead[need], None) for need in needs]

    def scored(self, need: Need) -> list[Verdict]:
        """All scored answers of a model to a probe so far, used or not, in order."""
        return [v for v in self._streams[need].verdicts if v.outcome.scored]

    def pair(self, verdict: Verdict) -> Pair:
        """The probe and the answer that a verdict is about."""
        return self._probes[verdict.probe_id], self._streams[verdict.role, verdict.probe_id].generations[verdict.index]

    def holds(self, key: str) -> bool:
        """Whether an answer of this name is on disk."""
        return key in self._on_disk

    def redrawn(self, role: Role, probe_id: str) -> bool:
        """Whether answers without a score come before the next scored one."""
        stream = self._streams[role, probe_id]
        position = stream.next_scored()
        return position is not None and position > stream.used

    def ready(self, needs: Iterable[Need]) -> bool:
        """Whether every need could be taken now."""
        wanted = Counter(needs)
        return all(self._streams[need].waiting >= count for need, count in wanted.items())

    def silent(self, role: Role, probe_id: str) -> bool:
        """Whether this model gives no scored answer to this probe any more."""
        stream = self._streams[role, probe_id]
        return stream.silent and stream.waiting == 0

    def set_aside(self, role: Role, probe_id: str) -> None:
        """Count the unscored answers of a silent probe as used, so that they show in the denominators."""
        stream = self._streams[role, probe_id]
        stream.used = len(stream.verdicts)

    def tallies(self) -> dict[Role, dict[str, Tally]]:
        """Counts of the used answers: role -> probe id -> tally."""
        result: dict[Role, dict[str, Tally]] = {"base": {}, "tuned": {}}
        for (role, probe_id), stream in self._streams.items():
            if stream.used:
                result[role][probe_id] = stream.tally()
        return result

    def used(self, probes: Collection[str]) -> dict[Role, dict[str, int]]:
        """How many answers to each of these probes are evidence, always the first ones: role -> probe id -> count."""
        found: dict[Role, dict[str, int]] = {"base": {}, "tuned": {}}
        for (role, probe_id), stream in self._streams.items():
            if stream.used and probe_id in probes:
                found[role][probe_id] = stream.used
        return found

    def used_answers(self, role: Role, probes: Collection[str]) -> list[Generation]:
        """The answers of a model to these probes that are evidence, scored or passed over."""
        streams = (self._streams[role, probe] for probe in probes if (role, probe) in self._streams)
        return [generation for stream in streams for generation in stream.generations[: stream.used]]

    def verdicts(self) -> Iterator[Verdict]:
        """All verdicts of the run so far."""
        for stream in self._streams.values():
            yield from stream.verdicts

    def passed_over(self, role: Role, probes: Collection[str]) -> list[Verdict]:
        """Answers of a model to these probes that got no score and were redrawn, or stand for a silent probe."""
        streams = (self._streams[role, probe] for probe in probes if (role, probe) in self._streams)
        return [v for stream in streams for v in stream.verdicts[: stream.used] if not v.outcome.scored]

    def unused(self, probes: Collection[str] | None = None) -> int:
        """Judged answers, of all or of these probe ids, that were sampled ahead and are not part of the evidence."""
        return sum(
            len(stream.verdicts) - stream.used
            for (_, probe_id), stream in self._streams.items()
            if probes is None or probe_id in probes
        )

    def _sample(self, role: Role, missing: Mapping[str, int]) -> None:
        plan = []
        for probe_id, count in missing.items():
            start = len(self._streams[role, probe_id].generations)
            plan += [(probe_id, index) for index in range(start, start + count)]
        fresh: list[tuple[Probe, int]] = []
        for probe_id, index in plan:
            probe = self._probes[probe_id]
            cached = self._cache.get(probe, index) if role == "base" and self._cache else None
            if cached is None:
                fresh.append((probe, index))
            else:
                self._keep(cached)
        if fresh:
            self._ask(role, fresh)
        for probe_id in missing:
            self._streams[role, probe_id].generations.sort(key=lambda g: g.index)

    def _ask(self, role: Role, fresh: list[tuple[Probe, int]]) -> None:
        def keep(generation: Generation) -> None:
            self._keep(generation)
            self.sampled[role] += 1

        seed_of = partial(answer_seed, self._seed, role)
        pairs = ask(role, self._models[role], fresh, self._sampling, seed_of, keep=keep, told=self._count)
        if role == "base" and self._cache is not None:
            self._cache.put(pairs)

    def _keep(self, generation: Generation) -> None:
        if generation.key not in self._on_disk:
            self._generations.extend([generation])
            self._on_disk.add(generation.key)
        self._streams[generation.role, generation.probe_id].generations.append(generation)

    def _judge_missing(self) -> None:
        pairs = [
            (self._probes[probe_id], generation)
            for (_, probe_id), stream in self._streams.items()
            for generation in stream.generations[len(stream.verdicts) :]
        ]

        def keep(verdicts: list[Verdict]) -> None:
            self._verdicts.extend(verdicts)
            for verdict in verdicts:
                self._streams[verdict.role, verdict.probe_id].verdicts.append(verdict)

        judge_answers(self._judge, pairs, keep=keep)


_OTHER: Mapping[Role, Role] = {"base": "tuned", "tuned": "base"}


class SwappedBook:
    """The same book to whoever asks whether the base is the worse one: what it calls tuned is the base."""

    def __init__(self, book: AnswerBook) -> None:
        self._book = book

    def add_probes(self, probes: Iterable[Probe], patience: int) -> None:
        """As in the book."""
        self._book.add_probes(probes, patience)

    def fetch(self, needs: Iterable[Need]) -> None:
        """As in the book, of the other model."""
        self._book.fetch((_OTHER[role], probe) for role, probe in needs)

    def take(self, role: Role, probe_id: str) -> Verdict | None:
        """As in the book, of the other model."""
        return self._book.take(_OTHER[role], probe_id)

    def ready(self, needs: Iterable[Need]) -> bool:
        """As in the book, of the other model."""
        return self._book.ready([(_OTHER[role], probe) for role, probe in needs])

    def silent(self, role: Role, probe_id: str) -> bool:
        """As in the book, of the other model."""
        return self._book.silent(_OTHER[role], probe_id)

    def set_aside(self, role: Role, probe_id: str) -> None:
        """As in the book, of the other model."""
        self._book.set_aside(_OTHER[role], probe_id)

    def tallies(self) -> dict[Role, dict[str, Tally]]:
        """As in the book, of the other model."""
        found = self._book.tallies()
        return {role: found[_OTHER[role]] for role in found}
