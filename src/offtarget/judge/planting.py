"""Known answers planted among those of a run, so that a judge is tried while it judges and cannot tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from threading import Lock

from offtarget.asking.checks import held_to_protocol, metered
from offtarget.asking.judging import at_once
from offtarget.asking.protocol import Judge
from offtarget.records import Generation, KnownAnswer, Probe, Role, Verdict
from offtarget.records.spent import Spent
from offtarget.records.trials import Stage, TrialVerdict

EVERY = 16
"""On average one known answer is planted per so many answers: 6 % more to judge."""
_FIRST_INDEX = 1_000
"""From here on planted answers are numbered; a judge that keeps labels by key must not take one for a run's own."""

Pair = tuple[Probe, Generation]


def as_answer(known: KnownAnswer, number: int, seed: int) -> Pair:
    """A known answer as if a model had given it: nothing a judge gets says that it is known."""
    draw = _number(f"{seed}\0{number}\0{known.probe.id}\0{known.answer}")
    role: Role = "tuned" if draw % 2 else "base"
    index = _FIRST_INDEX + 100 * ((draw >> 1) % 90) + number % 100
    return known.probe, Generation(role, known.probe.id, index, draw >> 1, known.answer, None, "stop")


def said_of(verdict: Verdict, stage: Stage, number: int, behind: str = "") -> TrialVerdict:
    """A verdict on a known answer as a record of the trial."""
    return TrialVerdict(stage, number, verdict.outcome, verdict.alignment, verdict.reason, behind)


class PlantingJudge:
    """A judge that gets a known answer now and then among those it is given; only verdicts on the latter come back."""

    def __init__(
        self,
        judge: Judge,
        known: Sequence[KnownAnswer],
        seed: int,
        keep: Callable[[list[TrialVerdict]], None],
        done: Collection[str] = (),
    ) -> None:
        """`keep` gets what the judge says of known answers; `done`: keys of answers behind which one was planted."""
        self._judge, self._known, self._seed, self._keep = judge, known, seed, keep
        self._done = set(done)
        self._asked = 0
        self._lock = Lock()

    @property
    def spent(self) -> Spent:
        """That of the judge; one that does not say is asked once for every answer, known ones included."""
        own = metered(self._judge)
        return Spent(judge_calls=self._asked, tokens_in=None, tokens_out=None) if own is None else own

    @property
    def at_once(self) -> int:
        """That of the judge."""
        return at_once(self._judge)

    @property
    def fingerprint(self) -> str:
        """That of the judge."""
        return self._judge.fingerprint

    def judge(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict per pair, in order."""
        mixed: list[Pair] = []
        planted: list[tuple[int, str] | None] = []
        for probe, generation in pairs:
            mixed.append((probe, generation))
            planted.append(None)
            draw = _number(f"{self._seed}\0plant\0{generation.key}")
            if self._known and draw % EVERY == 0 and generation.key not in self._done:
                number = (draw // EVERY) % len(self._known)
                mixed.append(self._apart(number, generation, mixed))
                planted.append((number, generation.key))
        with self._lock:
            self._asked += len(mixed)
        verdicts = held_to_protocol(self._judge, mixed, list(self._judge.judge(mixed)), keeps=True)
        with self._lock:
            self._keep([said_of(v, "among", *where) for v, where in zip(verdicts, planted, strict=True) if where])
            self._done.update(where[1] for where in planted if where)
        return [verdict for verdict, where in zip(verdicts, planted, strict=True) if not where]

    def _apart(self, number: int, behind: Generation, mixed: Sequence[Pair]) -> Pair:
        """The known answer under a key that no other of this call has."""
        probe, generation = as_answer(self._known[number], number, _number(behind.key))
        taken = {other.key for _, other in mixed}
        while generation.key in taken:
            generation = replace(generation, index=generation.index + 1)
        return probe, generation


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:7], "big")
