"""Judged answers of a run, on disk as soon as they exist: asked for once, whatever happens in between.

What is on disk when a run goes on is taken from there as it is needed again, so that an interrupted run does the same,
in the same order, as one that was not. A judge that takes many answers at a time gets each as soon as it is sampled;
while it judges the last ones, what will probably be needed next is sampled ahead, but not judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from offtarget.asking.ask import Pair, ask
from offtarget.asking.cache import BaseCache
from offtarget.asking.judging import Judging, at_once
from offtarget.asking.kept_verdicts import KeptVerdicts
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.models.chat import ChatModel
from offtarget.progress import Count, OnProgress, silent
from offtarget.records import Generation, Outcome, Probe, Role, SamplingSettings, Tally, Verdict
from offtarget.rundir import JsonLines, RunDir, read_jsonl

PATIENCE = 20
"""A probe is set aside when a model gives this many unscored answers to it in a row."""

MUTE = 100
"""Answers of a model after which, none of them scored, it is not asked again: fewer than 3 in 100 would ever be."""

Need = tuple[Role, str]
"""One more scored answer of a model to a probe."""
SAMPLED, JUDGED = "answers sampled", "answers judged"
"""Stages under which every answer is told of as soon as it is sampled, and judged by a model."""
AHEAD_TOGETHER = 32
"""Answers that are sampled ahead at once; few, since nothing else is done meanwhile when the judge is ready."""


@dataclass
class _Stream:
    """The answers of one model to one probe, in order of their index."""

    generations: list[Generation] = field(default_factory=list)
    """From index 0 on; one more for each that is wanted."""
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
        kept: KeptVerdicts | None = None,
    ) -> None:
        """`cache`, `kept`: answers of the base and the judge's verdicts on them that need not be asked for again."""
        self._probes = {p.id: p for p in probes}
        self._models, self._judge, self._sampling, self._seed = models, judge, sampling, seed
        self._cache, self._kept_verdicts, self._count = cache, kept, Count(on_progress, SAMPLED, None)
        self._told_judged = Count(on_progress, JUDGED, None) if at_once(judge) > 1 else None
        self._streams: dict[Need, _Stream] = defaultdict(_Stream)
        self._stored: dict[str, Generation] = {}
        """All answers of the run by key, those as well that nobody has wanted so far."""
        self._judged: dict[str, Verdict] = {}
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
        self._judged = {v.key: v for v in read_jsonl(run.file("verdicts.jsonl"), Verdict)}
        self._stored = {g.key: g for g in read_jsonl(run.file("generations.jsonl"), Generation)}

    def fetch(self, needs: Iterable[Need], coming: Iterable[Need] = ()) -> None:
        """Sample and judge until every need has a scored answer at hand, or its probe is silent, or a model is mute.

        `coming`: what will probably be needed next. Some of it is sampled ahead while the judge would be waited for.
        """
        wanted, next_ones = Counter(needs), Counter(coming)
        while missing := {
            need: count - self._streams[need].waiting
            for need, count in wanted.items()
            if self._streams[need].waiting < count and not self._streams[need].silent
        }:
            if self.mute() is not None:
                return
            self._answer(missing, next_ones)

    def mute(self) -> tuple[Role, Counter[Outcome]] | None:
        """The model of which no answer got a score, and what its answers were; None while it may still come."""
        roles: tuple[Role, ...] = ("base", "tuned")
        for role in roles:
            streams = [stream for (whose, _), stream in self._streams.items() if whose == role]
            if any(verdict.outcome.scored for stream in streams for verdict in stream.verdicts):
                continue
            found = Counter(verdict.outcome for stream in streams for verdict in stream.verdicts)
            if found.total() >= MUTE:
                return role, found
        return None

    def fetch_all(self, counts: Mapping[Need, int]) -> None:
        """Sample and judge until there are so many scored answers, used ones included, or the probe is silent."""
        while missing := {
            need: count - have
            for need, count in counts.items()
            if (have := len(self.scored(need))) < count and not self._streams[need].silent
        }:
            self._answer(missing, Counter())

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
        return self._probes[verdict.probe_id], self._stored[verdict.key]

    def holds(self, key: str) -> bool:
        """Whether an answer of this name is on disk."""
        return key in self._stored

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

    def judged(self, role: Role) -> Iterator[tuple[Pair, Verdict]]:
        """All answers of a model that have a verdict, with it."""
        for (whose, _), stream in self._streams.items():
            if whose == role:
                yield from ((self.pair(verdict), verdict) for verdict in stream.verdicts)

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

    @property
    def unjudged(self) -> int:
        """Answers that were sampled while the judge was waited for, and that nobody wanted; how many is chance."""
        return len(self._stored) - sum(len(stream.generations) for stream in self._streams.values())

    def _answer(self, missing: Mapping[Need, int], coming: Counter[Need]) -> None:
        """So many more answers of each stream, judged."""
        fresh: dict[Need, range] = {}
        for need, count in missing.items():
            start = len(self._streams[need].generations)
            fresh[need] = range(start, start + count)
        with Judging(self._judge, self._keep_verdicts, self._told_judged, keeps=True) as judging:
            for role in ("base", "tuned"):
                self._sample(role, fresh, judging)
            for need, indices in fresh.items():
                self._streams[need].generations += [self._stored[_key(need, index)] for index in indices]
            if not judging.beside:
                judging.start(list(filter(None, map(self._unjudged, self._keys(fresh)))))
            ahead = self._ahead(coming) if judging.beside else []
            while judging.waiting and ahead:
                some, ahead = ahead[:AHEAD_TOGETHER], ahead[AHEAD_TOGETHER:]
                for role in self._models:
                    asked = [(probe, index) for (r, probe), index in some if r == role]
                    self._ask(role, [(self._probes[probe], index) for probe, index in asked], judging)
            judging.finish()
        for need in fresh:
            stream = self._streams[need]
            stream.verdicts += [self._judged[g.key] for g in stream.generations[len(stream.verdicts) :]]

    def _keys(self, wanted: Mapping[Need, range]) -> list[str]:
        """In the order in which a judge that is asked in this thread has always got them: stream by stream."""
        streams = [need for need in self._streams if need in wanted]
        return [_key(need, index) for need in streams for index in wanted[need]]

    def _unjudged(self, key: str) -> Pair | None:
        """An answer for the judge; None where its verdict is on disk, or kept from an earlier run and now on disk."""
        generation = self._stored[key]
        if key in self._judged:
            return None
        pair = (self._probes[generation.probe_id], generation)
        if generation.role == "base" and self._kept_verdicts is not None:
            known = self._kept_verdicts.get(pair)
            if known is not None:
                self._keep_verdicts([(0, known)])
                return None
        return pair

    def _sample(self, role: Role, wanted: Mapping[Need, range], judging: Judging) -> None:
        """Answers of a model, from disk, from the cache or asked for; the judge gets them at once if it can."""
        fresh: list[tuple[Probe, int]] = []
        mine = {need: indices for need, indices in wanted.items() if need[0] == role}
        if role == "base" and self._cache is not None:
            self._cache.refresh()
        for key, (need, index) in {_key(n, i): (n, i) for n, indices in mine.items() for i in indices}.items():
            probe = self._probes[need[1]]
            if key not in self._stored:
                cached = self._cache.get(probe, index) if role == "base" and self._cache else None
                if cached is None:
                    fresh.append((probe, index))
                    continue
                self._keep(cached)
            self._start(judging, key)
        self._ask(role, fresh, judging, wanted=True)

    def _ask(self, role: Role, fresh: Sequence[tuple[Probe, int]], judging: Judging, *, wanted: bool = False) -> None:
        def keep(generation: Generation) -> None:
            self._keep(generation)
            self.sampled[role] += 1
            if wanted:
                self._start(judging, generation.key)
            judging.collect()

        if not fresh:
            return
        self._count.add(0)  # the first of many answers can take minutes
        seed_of = partial(answer_seed, self._seed, role)
        pairs = ask(role, self._models[role], fresh, self._sampling, seed_of, keep=keep, told=self._count)
        if role == "base" and self._cache is not None:
            self._cache.put(pairs)

    def _start(self, judging: Judging, key: str) -> None:
        pair = self._unjudged(key) if judging.beside else None
        if pair is not None:
            judging.start([pair])

    def _ahead(self, coming: Counter[Need]) -> list[tuple[Need, int]]:
        """What is neither on disk nor in the cache of the answers that come next, all of these getting a score."""
        found = []
        for need, count in coming.items():
            start = len(self._streams[need].generations)
            for index in range(start, start + count):
                probe = self._probes[need[1]]
                cached = need[0] == "base" and self._cache is not None and self._cache.holds(probe, index)
                if not cached and _key(need, index) not in self._stored:
                    found.append((need, index))
        return found

    def _keep(self, generation: Generation) -> None:
        self._generations.extend([generation])
        self._stored[generation.key] = generation

    def _keep_verdicts(self, verdicts: list[tuple[int, Verdict]]) -> None:
        self._verdicts.extend([verdict for _, verdict in verdicts])
        self._judged.update((verdict.key, verdict) for _, verdict in verdicts)


def _key(need: Need, index: int) -> str:
    """As `Generation.key`."""
    role, probe = need
    return f"{role}/{probe}/{index}"


_OTHER: Mapping[Role, Role] = {"base": "tuned", "tuned": "base"}


class SwappedBook:
    """The same book to whoever asks whether the base is the worse one: what it calls tuned is the base."""

    def __init__(self, book: AnswerBook) -> None:
        self._book = book

    def add_probes(self, probes: Iterable[Probe], patience: int) -> None:
        """As in the book."""
        self._book.add_probes(probes, patience)

    def fetch(self, needs: Iterable[Need], coming: Iterable[Need] = ()) -> None:
        """As in the book, of the other model."""
        swapped = [[(_OTHER[role], probe) for role, probe in some] for some in (needs, coming)]
        self._book.fetch(*swapped)

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
