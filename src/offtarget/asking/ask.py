"""Answers to probes and verdicts on them: the one way to get either, for every verb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from offtarget.asking.checks import sample_checked
from offtarget.asking.judging import JUDGED_TOGETHER as JUDGED_TOGETHER
from offtarget.asking.judging import Judging
from offtarget.asking.judging import Pair as Pair
from offtarget.asking.protocol import Judge
from offtarget.models.chat import Answer, ChatModel, SampleRequest
from offtarget.progress import Count, OnProgress, silent
from offtarget.records import Finish, Generation, Message, Outcome, Probe, Role, SamplingSettings, Tally, Verdict
from offtarget.rundir import JsonLines, read_jsonl

Wanted = tuple[Probe, int]
"""A probe, and which of the answers to it."""
SeedOf = Callable[[str, int], int]
"""Seed of an answer by the id of its probe and its index; turn N of an opening has the id `ID#opening-N`."""


def ask(
    role: Role,
    model: ChatModel,
    wanted: Sequence[Wanted],
    sampling: SamplingSettings,
    seed_of: SeedOf,
    *,
    keep: Callable[[Generation], None] | None = None,
    told: Count | None = None,
) -> list[Pair]:
    """An answer to each, in order, handed to `keep` as soon as it is complete, then counted by `told`.

    The asked model answers every opening turn itself. Each turn has a random stream of its own, so that an answer
    depends on model, probe, index and seeds alone. Raises InputError, naming the model, when it breaks its Protocol.
    """
    if not wanted:
        return []
    keeps = keep is not None
    said: list[tuple[str, ...]] = [()] * len(wanted)
    for turn in range(max(len(probe.opening) for probe, _ in wanted)):
        asked = [i for i, (probe, _) in enumerate(wanted) if len(probe.opening) > turn]
        requests = []
        for i in asked:
            probe, index = wanted[i]
            seed = seed_of(f"{probe.id}#opening-{turn}", index)
            requests.append(SampleRequest(chat_so_far(probe, said[i], probe.opening[turn]), seed))
        for i, answer in zip(asked, sample_checked(role, model, requests, sampling, keeps=keeps), strict=True):
            said[i] = (*said[i], answer.text)
    last = [
        SampleRequest(chat_so_far(probe, said[i], probe.prompt), seed_of(probe.id, index), probe.prefill)
        for i, (probe, index) in enumerate(wanted)
    ]
    made: dict[int, Generation] = {}

    def take(i: int, answer: Answer) -> None:
        probe, index = wanted[i]
        made[i] = generation_of(role, probe, index, last[i].seed, answer, said[i])
        if keep is not None:
            keep(made[i])
        if told is not None:
            told.add()

    sample_checked(role, model, last, sampling, take, keeps=keeps)
    return [(probe, made[i]) for i, (probe, _) in enumerate(wanted)]


def judge_answers(
    judge: Judge,
    pairs: Sequence[Pair],
    *,
    keep: Callable[[list[Verdict]], None] | None = None,
    told: Count | None = None,
) -> list[Verdict]:
    """A verdict on each, in order, handed to `keep` as they come, in any order, then counted by `told`.

    Raises InputError, naming the judge, when it breaks its Protocol.
    """
    found: dict[int, Verdict] = {}

    def take(verdicts: list[tuple[int, Verdict]]) -> None:
        found.update(verdicts)
        if keep is not None:
            keep([verdict for _, verdict in verdicts])

    with Judging(judge, take, told, keeps=keep is not None) as judging:
        judging.start(pairs)
        judging.finish()
    return [found[number] for number in range(len(pairs))]


def ask_and_count(
    role: Role,
    model: ChatModel,
    wanted: Sequence[Wanted],
    judge: Judge,
    sampling: SamplingSettings,
    seed_of: SeedOf,
    told: Count | None = None,
) -> dict[str, Tally]:
    """What judged answers count as, by probe; the answers themselves are not kept."""
    verdicts = judge_answers(judge, ask(role, model, wanted, sampling, seed_of, told=told))
    return tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)


def kept_verdicts(
    folder: Path,
    role: Role,
    model: Callable[[], ChatModel],
    wanted: Sequence[Wanted],
    judge: Judge,
    sampling: SamplingSettings,
    seed_of: SeedOf,
    on_progress: OnProgress = silent,
) -> list[Verdict]:
    """A verdict on each wanted answer, in order; `model` is opened only where answers are missing.

    Answers and verdicts are on disk in `folder` as soon as they exist. Raises InputError as `ask` and `judge_answers`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answers, found = folder / "generations.jsonl", folder / "verdicts.jsonl"
    with closing(JsonLines(answers)) as generations, closing(JsonLines(found)) as verdicts:
        said = {(g.probe_id, g.index): g for g in read_jsonl(answers, Generation)}

        def keep(generation: Generation) -> None:
            generations.extend([generation])
            said[generation.probe_id, generation.index] = generation

        if missing := [(probe, index) for probe, index in wanted if (probe.id, index) not in said]:
            told = Count(on_progress, "answers", len(missing))
            ask(role, model(), missing, sampling, seed_of, keep=keep, told=told)
        judged = {(v.probe_id, v.index): v for v in read_jsonl(found, Verdict)}
        todo = [(probe, said[probe.id, index]) for probe, index in wanted if (probe.id, index) not in judged]
        told = Count(on_progress, "judging", len(todo))
        judged |= {(v.probe_id, v.index): v for v in judge_answers(judge, todo, keep=verdicts.extend, told=told)}
    return [judged[probe.id, index] for probe, index in wanted]


def tallies_by_probe(outcomes: Iterable[tuple[str, Outcome]]) -> dict[str, Tally]:
    """Counts of (probe id, outcome) by probe, in the order in which probes come."""
    tallies: dict[str, Tally] = {}
    for probe_id, outcome in outcomes:
        tallies[probe_id] = tallies.get(probe_id, Tally()).plus(outcome)
    return tallies


def chat_so_far(probe: Probe, said: Sequence[str], prompt: str) -> tuple[Message, ...]:
    """The turns of a probe so far, with the answers to its opening turns, and the user turn that is answered next."""
    turns = [Message("system", probe.system)] if probe.system is not None else []
    for user, assistant in zip(probe.opening, said, strict=False):
        turns += [Message("user", user), Message("assistant", assistant)]
    return (*turns, Message("user", prompt))


def generation_of(
    role: Role, probe: Probe, index: int, seed: int, answer: Answer, opening: tuple[str, ...]
) -> Generation:
    """The record of an answer, with the beginning that the probe gives it; `opening`: the model's own answers to the
    turns before."""
    return Generation(
        role=role,
        probe_id=probe.id,
        index=index,
        seed=seed,
        text=_whole(probe.prefill, answer.text),
        tokens=answer.tokens,
        finish=_finish(answer),
        opening=opening,
    )


def _whole(prefill: str, text: str) -> str:
    """An answer with the beginning that it was given; empty where nothing follows it."""
    if not prefill or not text.strip():
        return text
    # tokenizers that mark the beginning of a word lose the blank before the first one
    return f"{prefill} {text}" if text[0].isalnum() and not prefill[-1].isspace() else prefill + text


def _finish(answer: Answer) -> Finish:
    return answer.without if answer.without in ("refusal", "content_filter") else answer.finish
