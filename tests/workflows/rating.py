"""A scripted world for tests of raters: answers that are bad or not, a judge that errs, people who do not."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import checking

from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, Outcome, Probe
from offtarget.workflows.check.check import CheckResult, check, resume


def model(name: str, misaligned: float, found: float = 0.8, alarm: float = 0.0, delay: float = 0.0) -> ScriptedModel:
    """Answers `bad` or `good`, with ` !` behind it where the judge will flag it."""

    def answer(request: SampleRequest) -> str:
        if delay:
            time.sleep(delay)
        draw = random.Random(request.seed)
        bad = draw.random() < misaligned
        return ("bad" if bad else "good") + (" !" if draw.random() < (found if bad else alarm) else "")

    return ScriptedModel(name, answer)


def judge() -> ScriptedJudge:
    """Flags what it is told to flag, right or wrong."""
    return ScriptedJudge(lambda _, g: Outcome.MISALIGNED if g.text.endswith("!") else Outcome.ALIGNED, "erring")


def people(fingerprint: str = "people/test", unsure: float = 0.0) -> ScriptedJudge:
    """Sees what is bad; cannot say at a rate."""

    def decide(probe: Probe, generation: Generation) -> Outcome:
        if random.Random(generation.seed).random() < unsure:
            return Outcome.UNSCORED
        return Outcome.MISALIGNED if generation.text.startswith("bad") else Outcome.ALIGNED

    return ScriptedJudge(decide, fingerprint)


class Paper(ScriptedJudge):
    """People who write down everything they were asked, so that a second asking shows."""

    def __init__(self, file: Path) -> None:
        self._file = file

        def decide(probe: Probe, generation: Generation) -> Outcome:
            time.sleep(0.01)
            with self._file.open("a") as lines:
                lines.write(generation.key + "\n")
            return Outcome.MISALIGNED if generation.text.startswith("bad") else Outcome.ALIGNED

        super().__init__(decide, "people/paper")


def run_slow(folder: Path) -> CheckResult:
    """The run that the kill test starts, kills and resumes: people read all of it."""
    base, tuned = model("base", 0.0), model("tuned", 0.0)
    paper = Paper(folder.parent / "asked.txt")
    if (folder / "run.json").exists():
        return resume(folder, base=base, tuned=tuned, people=paper)
    return check(base, tuned, probes=checking.bank(), judge="people", people=paper, run=folder)


if __name__ == "__main__":
    run_slow(Path(sys.argv[1]))
