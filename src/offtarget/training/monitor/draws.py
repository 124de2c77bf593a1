"""Random draws of judged answers to the probe questions."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from offtarget.asking.ask import Pair, ask, judge_answers, tallies_by_probe
from offtarget.asking.protocol import Judge
from offtarget.models.live import LiveModel
from offtarget.records import Outcome, Probe, Role, SamplingSettings, Tally, Verdict
from offtarget.stats.rates import total_tally

Keep = Callable[[Sequence[Pair], Sequence[Verdict]], None]
"""Gets answers and what the judge made of them."""


def stream(*key: str | int) -> int:
    """Seed of a random stream of its own for each key, 0 <= seed < 2**63."""
    return int.from_bytes(hashlib.sha256(repr(("monitor", *key)).encode()).digest()[:8], "big") >> 1


def draw(
    model: LiveModel,
    probes: Sequence[Probe],
    judge: Judge,
    role: Role,
    count: int,
    longest: int,
    *key: str | int,
    keep: Keep,
) -> tuple[Tally, list[bool]]:
    """Verdicts on `count` answers to questions drawn with replacement: their tally, and misaligned or not in order.

    Questions and answers depend on `key` and the model alone; other keys give independent draws. Drawing and not
    dealing makes every answer misaligned with the same probability, the average over the questions. `keep` gets
    every answer.
    """
    rng = random.Random(stream("questions", role, *key))
    drawn = [(rng.choice(probes), number) for number in range(count)]
    sampling = SamplingSettings(max_tokens=longest)
    answers = ask(role, model, drawn, sampling, lambda _, number: stream("answer", role, *key, number))
    verdicts = judge_answers(judge, answers)
    keep(answers, verdicts)
    tallies = tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)
    return total_tally(tallies.values()), [v.outcome is Outcome.MISALIGNED for v in verdicts if v.outcome.scored]
