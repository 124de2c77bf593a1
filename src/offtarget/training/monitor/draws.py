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


REDRAWS = 4
"""How often an answer without a score is drawn again at its question; a question that stays silent drops out there."""


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
    dealing makes every answer misaligned with the same probability, the average over the questions; an answer without
    a score is drawn again at its question, so that questions which often get none weigh no less. The tally has all, and
    `keep` gets every answer.
    """
    rng = random.Random(stream("questions", role, *key))
    drawn = [rng.choice(probes) for _ in range(count)]
    sampling = SamplingSettings(max_tokens=longest)
    scored: dict[int, bool] = {}
    verdicts: list[Verdict] = []
    for again in range(1 + REDRAWS):
        open_draws = [number for number in range(count) if number not in scored]
        if not open_draws:
            break
        # answers are named by their number, so those of the first round stay what they were
        wanted = [(drawn[number], again * count + number) for number in open_draws]
        answers = ask(role, model, wanted, sampling, lambda _, number: stream("answer", role, *key, number))
        found = judge_answers(judge, answers)
        keep(answers, found)
        verdicts += found
        pairs = zip(open_draws, found, strict=True)
        scored |= {number: v.outcome is Outcome.MISALIGNED for number, v in pairs if v.outcome.scored}
    tallies = tallies_by_probe((v.probe_id, v.outcome) for v in verdicts)
    return total_tally(tallies.values()), [scored[number] for number in sorted(scored)]
