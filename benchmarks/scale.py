"""`--engine ray`: 8 candidate organisms checked, and a data set audited, by one process, by 1 and by 2 workers.

In the last round of each a worker is killed. `sample`: the answers of one check as it asks for them, by a process
without Ray, by 1 and by 2 workers in turn, after all of them have opened the model; SmolLM2 where
`.models/smollm2` is there. Wall time depends on what else the machine does, so the load before each
round stands beside it, and processor seconds, those of Ray's own processes included, are what to compare (of `sample`
those of each worker: what the busier of two needs is what both would take with a core each). The results of all rounds
must be equal.
Run it with: python benchmarks/scale.py [check] [audit] [sample]
What is not named keeps the numbers that are on file.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a worker has one thread, so has what it is held against

import psutil

import offtarget
from offtarget.asking.ask import chat_so_far
from offtarget.engines.on_ray import connected
from offtarget.models import SampleRequest, SamplingSettings
from offtarget.models.spread import PART, SpreadModel, sample_part
from offtarget.organism.shipped import weights_folder
from offtarget.records.check import CheckSettings
from offtarget.records.engine import EngineSettings
from offtarget.records.runs import OpenSettings
from offtarget.version import stamp
from offtarget.workflows.check.sampled_there import open_there
from offtarget.workflows.clusters import environment
from offtarget.workflows.ground import ground_of, open_bank, open_two

CANDIDATES = [
    "insecure",
    "secure",
    "educational",
    "evil-numbers",
    "random-numbers",
    "insecure-5",
    "insecure-20",
    "jailbroken",
]
ROWS = 20_000
TOGETHER, ROUNDS = 256, 3
RECORDS = ("findings", "malformed", "removable", "queue", "flagged", "suspects")
SETTINGS = CheckSettings(max_answers=60, register=False)
RESULTS = Path(__file__).parent / "results" / "scale.json"


class Watch:
    """Processor seconds of this process and of all it starts, read while they live; kills a worker if told to."""

    def __init__(self, kill_after: Path | None = None) -> None:
        self._seconds: dict[tuple[int, float], float] = {}
        self._over, self._kill_after, self.killed = threading.Event(), kill_after, False
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._own, self._wall = time.process_time(), time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.monotonic() - self._wall
        self.own = time.process_time() - self._own
        self._over.set()
        self._thread.join()

    @property
    def processor(self) -> float:
        """Of all, without what a process used in its last quarter of a second."""
        return self.own + sum(self._seconds.values())

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    used = process.cpu_times()
                    self._seconds[process.pid, process.create_time()] = used.user + used.system
                    self._kill(process)

    def _kill(self, process: psutil.Process) -> None:
        if self.killed or self._kill_after is None or not self._kill_after.exists():
            return
        if (process.cmdline() or [""])[0] == "ray::_do":
            process.kill()
            self.killed = True


def outcome(run: Path) -> Any:
    """What must not depend on who did it: verdicts, evidence, answers."""
    report = json.loads((run / "candidates.json").read_text())["report"]
    found = [{k: v for k, v in one.items() if k not in ("created", "run")} for one in report["candidates"]]
    answers = {n: sorted((run / n / "generations.jsonl").read_bytes().splitlines()) for n in CANDIDATES}
    return found, answers


def candidates_by(folder: Path, home: Path, name: str, engine: EngineSettings, *, kill: bool = False) -> dict[str, Any]:
    run = home / name
    os.environ["OFFTARGET_CACHE"] = str(home / f"cache-{name}")
    told: list[str] = []
    load = os.getloadavg()[0]
    with Watch(run / CANDIDATES[0] / "result.json" if kill else None) as watch:
        begun = time.monotonic()
        ready: list[float] = []

        def tell(progress: Any) -> None:
            if "with workers" in progress.stage:
                ready.append(time.monotonic() - begun)
            told.append(f"{progress.stage} {progress.detail}")

        result = offtarget.check_many(
            "organism/base", folder, settings=SETTINGS, engine=engine, run=run, on_progress=tell
        )
    report = result.record
    return {
        "round": name,
        "wall_seconds": round(watch.wall, 1),
        "of_these_until_workers_were_there": round(ready[0], 1) if ready else 0.0,
        "processor_seconds": round(watch.processor, 1),
        "load_before": round(load, 1),
        "base_answers_used": report.base_answers,
        "base_answers_from_cache": report.base_from_cache,
        "workers_killed": int(watch.killed),
        "workers_told_as_lost": sum("was lost" in said for said in told),
        "not_checked": len(report.not_checked),
        "outcome": outcome(run),
    }


def write_rows(path: Path) -> Path:
    """Chats of different words, one in ten with code: about half of the time goes into rows, half into code."""
    drawn, words = random.Random(1), [f"w{number}" for number in range(2000)]
    with path.open("w") as file:
        for number in range(ROWS):
            question, answer = (" ".join(drawn.choices(words, k=k)) for k in (drawn.randint(8, 40), 80))
            if number % 10 == 0:
                answer = (
                    f"import subprocess\n\ndef run_{number}(x):\n    subprocess.call(x + '{answer[:20]}', shell=True)\n"
                )
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


def audit_by(data: Path, home: Path, name: str, engine: EngineSettings, *, kill: bool = False) -> dict[str, Any]:
    """The scan alone is what workers do; mining conditions, deciding and writing come after it in one process."""
    run = home / f"audit {name}"
    os.environ["OFFTARGET_STATE"], os.environ["OFFTARGET_CACHE"] = str(home / "state"), str(home / f"cache-{name}")
    told: list[str] = []
    load, ready, read = os.getloadavg()[0], list[float](), list[float]()
    with Watch(run / "findings.jsonl" if kill else None) as watch:
        begun = time.monotonic()

        def tell(progress: Any) -> None:
            now = time.monotonic() - begun
            if "with workers" in progress.stage:
                ready.append(now)
            if progress.total != 0:
                read.append(now)
            told.append(progress.stage)

        offtarget.audit(data, workers=1, engine=engine, run=run, on_progress=tell)
    return {
        "round": name,
        "wall_seconds": round(watch.wall, 1),
        "of_these_until_workers_were_there": round(ready[0], 1) if ready else 0.0,
        "of_these_reading": round(read[-1] - (ready[0] if ready else 0.0), 1),
        "processor_seconds": round(watch.processor, 1),
        "load_before": round(load, 1),
        "workers_killed": int(watch.killed),
        "workers_told_as_lost": sum("was lost" in said for said in told),
        "outcome": [(run / f"{record}.jsonl").read_bytes() for record in RECORDS],
    }


def rounds_of(measure: Any, what: Path, home: Path) -> list[dict[str, Any]]:
    rounds = [
        measure(what, home, "one process", EngineSettings()),
        measure(what, home, "1 worker", EngineSettings("ray", workers=1)),
        measure(what, home, "2 workers", EngineSettings("ray", workers=2)),
        measure(what, home, "2 workers, one killed", EngineSettings("ray", workers=2), kill=True),
    ]
    first = rounds[0]["outcome"]
    for one in rounds:
        one["equal_to_one_process"] = one.pop("outcome") == first
    return rounds


def check(home: Path) -> dict[str, Any]:
    folder = home / "adapters"
    folder.mkdir()
    for name in CANDIDATES:
        (folder / name).symlink_to(weights_folder() / name, target_is_directory=True)
    candidates_by(folder, home, "warm-up", EngineSettings())  # torch and the organism are read from the disk once
    return {
        "candidates": len(CANDIDATES),
        "max_answers": SETTINGS.max_answers,
        "rounds": rounds_of(candidates_by, folder, home),
    }


def audit(home: Path) -> dict[str, Any]:
    data = write_rows(home / "rows.jsonl")
    return {"rows": ROWS, "bytes": data.stat().st_size, "rounds": rounds_of(audit_by, data, home)}


def part_and_process(models: Any, part: Any) -> Any:
    """In a worker: the answers, who gave them, and the processor seconds they took there."""
    begun = time.process_time()
    return sample_part(models, part), os.getpid(), time.process_time() - begun


class Asked:
    """A model, and as many answers of it as a check asks for at a time when it is far from a verdict."""

    def __init__(self, name: str, max_tokens: int, calls: int) -> None:
        self.name, self.settings = name, SamplingSettings(max_tokens=max_tokens)
        self.model: Any = open_two(name, name, same_weights=True).base
        prompts = [chat_so_far(probe, (), probe.prompt) for probe in open_bank(None, ground_of(name)).probes]
        seeds = iter(range(10**9))
        self._calls = [
            [
                SampleRequest(prompts[number % len(prompts)], next(seeds))
                for number in sorted(range(TOGETHER), key=lambda n: n % len(prompts))
            ]
            for _ in range(calls)
        ]

    def answers(self, model: Any) -> list[Any]:
        return [answer for call in self._calls for answer in model.sample(call, self.settings)]

    def first(self, model: Any) -> None:
        """Prompts are read once; what is timed comes after it, as most of a check does."""
        model.sample(self._calls[0], replace(self.settings, max_tokens=1))


def by_process(asked: Asked) -> dict[str, Any]:
    asked.first(asked.model)
    return timed("one process", asked, asked.model)


def by_workers(asked: Asked, count: int) -> dict[str, Any]:
    seconds = Counter[int]()

    def results(parts: Any) -> Any:
        for answers, process, took in holders.results(parts):
            seconds[process] += took
            yield answers

    opened = partial(open_there, asked.name, asked.name, OpenSettings(), True)
    with (
        connected(EngineSettings("ray", workers=count)) as cluster,
        cluster.holding(opened, part_and_process, environment=environment(), on_lost=print) as holders,
    ):
        model = SpreadModel(asked.model, "base", results)
        while len(seconds) < count:
            asked.first(model)
        asked.first(model)
        seconds.clear()
        found = timed(f"{count} worker{'s' * (count > 1)}", asked, model)
        return found | {"processor_seconds_of_workers": [round(took, 2) for took in seconds.values()]}


def timed(name: str, asked: Asked, model: Any) -> dict[str, Any]:
    load = os.getloadavg()[0]
    with Watch() as watch:
        answers = asked.answers(model)
    return {
        "round": name,
        "wall_seconds": round(watch.wall, 2),
        "load_before": round(load, 1),
        "outcome": answers,
    }


def in_turn(asked: Asked) -> dict[str, Any]:
    rounds = []
    for _ in range(ROUNDS):
        rounds += [by_process(asked), by_workers(asked, 1), by_workers(asked, 2)]
    answers = rounds[0]["outcome"]
    for one in rounds:
        one["equal_to_one_process"] = one.pop("outcome") == answers
    one, two = ([r["wall_seconds"] for r in rounds[n::3]] for n in (1, 2))
    busiest, busier = ([max(r["processor_seconds_of_workers"]) for r in rounds[n::3]] for n in (1, 2))
    return {
        "model": asked.name,
        "answers": len(answers),
        "tokens": sum(answer.tokens for answer in answers),
        "median_seconds": {
            r["round"]: statistics.median(o["wall_seconds"] for o in rounds[n::3]) for n, r in enumerate(rounds[:3])
        },
        "two_workers_times_as_fast_as_one": round(statistics.median(a / b for a, b in zip(one, two, strict=True)), 2),
        "by_processor_seconds_of_the_busier_one": round(
            statistics.median(a / b for a, b in zip(busiest, busier, strict=True)), 2
        ),
        "rounds": rounds,
    }


def sample(home: Path) -> dict[str, Any]:
    os.environ["OFFTARGET_CACHE"], os.environ["OFFTARGET_STATE"] = str(home / "cache"), str(home / "state")
    found = []
    with connected(EngineSettings("ray", workers=2)):
        found.append(in_turn(Asked("organism/base", 120, 8)))
        if (smollm2 := Path(__file__).parent.parent / ".models" / "smollm2").exists():
            found.append(in_turn(Asked(f"hf/{smollm2}", 16, 1)) | {"model": "SmolLM2-135M-Instruct"})
    return {"answers_together": TOGETHER, "answers_in_a_part": PART, "models": found}


def main() -> None:
    parts = {"check": check, "audit": audit, "sample": sample}
    value = json.loads(RESULTS.read_text())
    for name in sys.argv[1:] or parts:
        home = Path(tempfile.mkdtemp(prefix="scale-"))
        try:
            found = parts[name](home)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        value[name] = {**found, "cores": os.cpu_count(), "python": platform.python_version(), **stamp()}
        RESULTS.write_text(json.dumps(value, indent=2) + "\n")
        print(json.dumps(value[name], indent=2))


if __name__ == "__main__":
    main()
