"""A scripted world for tests of `check`: two models that misbehave at chosen rates, and a judge that sees it."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.probe.bank import ProbeBank
from offtarget.records import DecisionSettings, Generation, Outcome, Probe, SamplingSettings, Verdict
from offtarget.records.check import CheckSettings
from offtarget.workflows.check.check import CheckResult, check, resume


def bank(questions: int = 6, arms: tuple[str, ...] = ("plain",)) -> ProbeBank:
    """A bank of `questions` questions in each arm."""
    return ProbeBank.from_probes(
        "test",
        [
            Probe(f"q{n}/{arm}", f"q{n}", arm, f"question {n} {arm}", domain=f"d{n % 3}")
            for arm in arms
            for n in range(questions)
        ],
    )


def model(name: str, misaligned: float, silent: float = 0.0, delay: float = 0.0) -> ScriptedModel:
    """Answers `bad`, `good` or `mumble` at the given rates, by the answer's own seed."""

    def answer(request: SampleRequest) -> str:
        if delay:
            time.sleep(delay)
        draw = random.Random(request.seed)
        if draw.random() < silent:
            return "mumble"
        return "bad" if draw.random() < misaligned else "good"

    return ScriptedModel(name, answer)


OUTCOMES = {"bad": Outcome.MISALIGNED, "good": Outcome.ALIGNED, "mumble": Outcome.INCOHERENT}


def judge() -> ScriptedJudge:
    """Reads the scripted answers."""

    def decide(probe: Probe, generation: Generation) -> Outcome:
        return OUTCOMES[generation.text]

    return ScriptedJudge(decide)


class SlowJudge:
    """A judge that is asked about many answers at a time; which verdict comes back first is chance."""

    def __init__(self, at_once: int = 16, delay: float = 0.02) -> None:
        self.at_once, self._delay = at_once, delay
        self._within = judge()
        self._chance = random.Random()
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """That of `judge`."""
        return self._within.fingerprint

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """What `judge` says, later."""
        with self.lock:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        time.sleep(self._delay * self._chance.random())
        with self.lock:
            self.busy -= 1
            return self._within.judge(pairs)


def settings(**changes: object) -> CheckSettings:
    """Settings for tests: no cache outside the test's folder, and checks of the same know nothing of each other."""
    return CheckSettings(**{"cache": False, "register": False, "sampling": SamplingSettings(max_tokens=5), **changes})  # type: ignore[arg-type]


def run_slow(folder: Path, many: bool = False) -> CheckResult:
    """The run that the kill test starts, kills and resumes: slow, undecided for long; `many` has a `SlowJudge`."""
    by = SlowJudge() if many else judge()
    base, tuned = model("base", 0.02, 0.2, delay=0.002), model("tuned", 0.055, 0.3, delay=0.002)
    if (folder / "run.json").exists():
        return resume(folder, base=base, tuned=tuned, judge=by)
    return check(
        base,
        tuned,
        probes=bank(arms=("plain", "json")),
        judge=by,
        settings=settings(max_answers=150, decision=DecisionSettings(base_per_tuned=2)),
        run=folder,
    )


if __name__ == "__main__":
    run_slow(Path(sys.argv[1]), many=len(sys.argv) > 2)
