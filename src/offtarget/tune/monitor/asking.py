"""Samples answers to the probe questions and has them judged."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from offtarget.models.chat import SampleRequest
from offtarget.models.live import LiveModel
from offtarget.records import Generation, Probe, SamplingSettings, Tally
from offtarget.records.answers import Role
from offtarget.tune.monitor.protocols import Judge


def stream(*key: str | int) -> int:
    """Seed of a random stream of its own for each key, 0 <= seed < 2**63."""
    return int.from_bytes(hashlib.sha256(repr(("monitor", *key)).encode()).digest()[:8], "big") >> 1


def ask(
    model: LiveModel, probes: Sequence[Probe], judge: Judge, role: Role, count: int, longest: int, *key: str | int
) -> tuple[Tally, list[bool]]:
    """Verdicts on `count` answers to questions drawn with replacement: their tally, and misaligned or not in order.

    Questions and answers depend on `key` and the model alone; other keys give independent draws. Drawing and not
    dealing makes every answer misaligned with the same probability, the average over the questions.
    """
    rng = random.Random(stream("questions", role, *key))
    drawn = [rng.choice(probes) for _ in range(count)]
    seeds = [stream("answer", role, *key, number) for number in range(count)]
    requests = [SampleRequest(probe.messages, seed) for probe, seed in zip(drawn, seeds, strict=True)]
    answers = model.sample(requests, SamplingSettings(max_tokens=longest))
    written = [
        (probe, Generation(role, probe.id, number, seed, answer.text, answer.tokens, answer.finish))
        for number, (probe, seed, answer) in enumerate(zip(drawn, seeds, answers, strict=True))
    ]
    tally, scored = Tally(), []
    for verdict in judge.judge(written):
        tally = tally.plus(verdict.outcome)
        if verdict.outcome.scored:
            scored.append(verdict.outcome.value == "misaligned")
    return tally, scored
