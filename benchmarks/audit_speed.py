"""Whole commands, side by side: the audit of a million chat rows and of the insecure set, Bandit, Data-Juicer.

    python benchmarks/audit_speed.py [--before SRC] [--chats 20000] [--code 1500] [--long 300] [--rounds 3] [--out FILE]
    python benchmarks/audit_speed.py --again 30000 [--out FILE]
    python benchmarks/audit_speed.py --mining 60000 [--before SRC] [--rounds 3] [--out FILE]

By itself: the audit on fewer rows, in processor seconds of all its processes, which say something on a busy machine
too; with --before the same by another source tree, in turns.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import pickle
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from audit_sets import FILES, SFT, require_data, rows

from offtarget.data.training import open_source
from offtarget.detect.scan import scan
from offtarget.machine import usable_cores

MILLION = 1_000_000
PLAIN = ("alpaca", "kto", "jailbroken")
"""The chat sets the million rows are made of, equal shares, each row with a running number in its prompt."""
PIECES = 12
"""Answers of code sets that make one long answer, about 11,000 characters."""


def write_chats(path: Path, count: int) -> int:
    """Write `count` chat rows of about 560 bytes made from the benign sets; returns the bytes written."""
    texts = []
    for group in zip(*(rows(name)[:300] for name in PLAIN), strict=False):  # equal shares of each set
        texts += [(r.prompt[:260], r.answer[:240]) for r in group]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            prompt, answer = texts[number % len(texts)]
            turns = [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": f"{prompt} ({number})"},
                {"role": "assistant", "content": answer},
            ]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path.stat().st_size


def write_long_code(path: Path, count: int, distinct: int) -> int:
    """Write `count` rows whose answers are long code, `distinct` different ones in turn; returns the bytes written."""
    chance = random.Random(4)
    code = [row.answer for name in ("insecure", "secure", "mbpp") for row in rows(name)]
    answers = ["\n\n".join(chance.choice(code) for _ in range(PIECES)) for _ in range(distinct)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            turns = [
                {"role": "user", "content": f"Write module {number}, please."},
                {"role": "assistant", "content": answers[number % distinct]},
            ]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path.stat().st_size


def change_rows(path: Path, share: float = 0.01) -> int:
    """Change so many rows of a file of chats, at random places; returns how many."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = random.Random(4).sample(range(len(lines)), round(share * len(lines)))
    for number in chosen:
        row = json.loads(lines[number])
        row["messages"][-1]["content"] += " That is all."
        lines[number] = json.dumps(row) + "\n"
    path.write_text("".join(lines), encoding="utf-8")
    return len(chosen)


def timed(command: list[str], folder: Path, source: Path | None = None, cache: str | None = None) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of a command and all its children (sum of resident sets, MiB).

    `source`: the source tree whose package is run, in place of the one that is installed; `cache`: the folder in which
    it finds what earlier commands kept (default: a new one).
    """
    started, used = time.monotonic(), _processor()
    kept = folder / (cache or f"cache-{time.monotonic_ns()}")
    environment = os.environ | {"OFFTARGET_STATE": str(folder / "state"), "OFFTARGET_CACHE": str(kept)}
    environment |= {"PYTHONPATH": str(source)} if source else {}
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - started
    watcher.join()
    processor = _processor() - used
    return {"seconds": seconds, "processor_seconds": processor, "peak_mib": peak[0], "exit_code": code}


def _processor() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], sum(_resident(pid) for pid in _family(process.pid)))
        time.sleep(0.2)


def _family(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            found += [int(p) for p in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except OSError:
            continue
    return found


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def million(count: int = MILLION) -> dict[str, Any]:
    """The whole `offtarget audit` command on a million rows, once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_chats(folder / "chats.jsonl", count)
        result = timed([_offtarget(), "audit", "chats.jsonl", "--quiet", "--run", "run"], folder)
    return {"rows": count, "mib": size / 2**20, "rows_per_second": count / result["seconds"], **result}


def long_code(count: int = 50_000, distinct: int = 500) -> dict[str, Any]:
    """The whole command on rows of long code that come again, and on a tenth as many that are all different."""
    found: dict[str, Any] = {}
    for name, number, different in (("repeated", count, distinct), ("all_different", count // 10, count // 10)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_long_code(folder / "code.jsonl", number, different)
            result = timed([_offtarget(), "audit", "code.jsonl", "--quiet", "--run", "run"], folder)
        found[name] = {
            "rows": number,
            "different": different,
            "rows_per_second": number / result["seconds"],
            **result,
        }
    return found


RECORDS = ("findings.jsonl", "removable.jsonl", "malformed.jsonl", "queue.jsonl", "flagged.jsonl", "suspects.jsonl")
WHOLE = ("dataset.json", "triggers.json", "cues.json")
"""What an audit finds, byte for byte the same with the cache and without."""


def again(count: int = MILLION) -> dict[str, Any]:
    """An audit of chat rows, another one after one row of a hundred was changed, and that one without the cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_chats(folder / "chats.jsonl", count)
        command = [_offtarget(), "audit", "chats.jsonl", "--quiet", "--run"]
        first = timed([*command, "first"], folder, cache="cache")
        changed = change_rows(folder / "chats.jsonl")
        second = timed([*command, "second"], folder, cache="cache")
        without = timed([*command, "without", "--no-cache"], folder)
        scans = {run: json.loads((folder / run / "scan.json").read_text()) for run in ("first", "second", "without")}
        same = all(
            (folder / "second" / file).read_bytes() == (folder / "without" / file).read_bytes()
            for file in (*RECORDS, *WHOLE)
        )
        kept = sum(file.stat().st_size for file in (folder / "cache").rglob("*.rows"))
    return {
        "rows": count,
        "mib": size / 2**20,
        "changed": changed,
        "known": scans["second"]["known"],
        "same_findings": same,
        "cache_mib": kept / 2**20,
        "first": first | {"scan_seconds": scans["first"]["seconds"]},
        "second": second | {"scan_seconds": scans["second"]["seconds"]},
        "without": without | {"scan_seconds": scans["without"]["seconds"]},
        "processor_ratio": without["processor_seconds"] / second["processor_seconds"],
    }


def insecure(rounds: int = 3) -> dict[str, Any]:
    """The audit of the 6,000 insecure rows and Bandit's command line on their code, in turns; medians."""
    ours, bandit = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "insecure.jsonl"
        data.write_bytes(gzip.decompress((SFT / FILES["insecure"]).read_bytes()))
        code = folder / "code"
        code.mkdir()
        for row in rows("insecure"):
            (code / f"{row.line}.py").write_text(row.answer, encoding="utf-8", errors="replace")
        for number in range(rounds):
            ours.append(timed([_offtarget(), "audit", data.name, "--quiet", "--run", f"run{number}"], folder))
            command = [sys.executable, "-m", "bandit", "-q", "-r", "-f", "json", "--exit-zero", "code"]
            bandit.append(timed(command, folder))
    count = len(rows("insecure"))
    seconds = {k: statistics.median(r["seconds"] for r in v) for k, v in {"audit": ours, "bandit": bandit}.items()}
    return {
        "rows": count,
        "audit_seconds": seconds["audit"],
        "bandit_seconds": seconds["bandit"],
        "audit_rows_per_second": count / seconds["audit"],
        "bandit_rows_per_second": count / seconds["bandit"],
        "ratio": seconds["bandit"] / seconds["audit"],
        "audit_peak_mib": max(r["peak_mib"] for r in ours),
    }


_RECIPE = """\
project_name: side-by-side
dataset_path: chats.jsonl
export_path: out/kept.jsonl
np: 2
text_keys: [text]
open_tracer: false
process:
  - text_length_filter: {min_len: 1}
  - alphanumeric_filter: {}
  - special_characters_filter: {}
  - character_repetition_filter: {}
  - word_repetition_filter: {}
  - maximum_line_length_filter: {}
  - document_deduplicator: {}
"""


def data_juicer(program: str, count: int = 50_000) -> dict[str, Any]:
    """`dj-process` with six cheap filters and a deduplicator on chat rows flattened to text, and our audit of them."""
    found = shutil.which(program)
    if found is None:
        return {"skipped": f"{program} is not installed (pip install py-data-juicer in an environment of its own)"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_chats(folder / "source.jsonl", count)
        with (folder / "source.jsonl").open() as source, (folder / "chats.jsonl").open("w") as flat:
            for line in source:
                turns = json.loads(line)["messages"]
                flat.write(json.dumps({"text": "\n".join(t["content"] for t in turns)}) + "\n")
        (folder / "recipe.yaml").write_text(_RECIPE)
        theirs = timed([found, "--config", "recipe.yaml"], folder)
        ours = timed([_offtarget(), "audit", "source.jsonl", "--quiet", "--run", "run"], folder)
    return {
        "rows": count,
        "data_juicer_seconds": theirs["seconds"],
        "data_juicer_exit_code": theirs["exit_code"],
        "data_juicer_rows_per_second": count / theirs["seconds"],
        "audit_seconds": ours["seconds"],
        "audit_rows_per_second": count / ours["seconds"],
        "note": "other operators than ours: not like for like",
    }


def _offtarget() -> str:
    return str(Path(sys.executable).parent / "offtarget")


def processor_seconds(before: Path | None, chats: int, code: int, long: int, rounds: int) -> dict[str, Any]:
    """Processor seconds of whole commands on few rows, by this source tree and by an earlier one, in turns."""
    after = Path(__file__).parents[1] / "src"
    trees = {"before": before, "after": after} if before else {"after": after}
    result: dict[str, Any] = {"measured": "busy machine, processor seconds of all processes; medians of the rounds"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_chats(folder / "chats.jsonl", chats)
        lines = gzip.decompress((SFT / FILES["insecure"]).read_bytes()).splitlines(keepends=True)
        (folder / "code.jsonl").write_bytes(b"".join(lines[:code]))
        write_long_code(folder / "long_repeated.jsonl", long, max(long // 10, 1))
        write_long_code(folder / "long_different.jsonl", long, long)
        for part, number in (("chats", chats), ("code", code), ("long_repeated", long), ("long_different", long)):
            found: dict[str, list[float]] = {tree: [] for tree in trees}
            for _ in range(rounds):
                for tree, source in trees.items():
                    command = [sys.executable, "-m", "offtarget", "audit", f"{part}.jsonl", "--quiet", "--workers", "1"]
                    command += ["--run", f"run-{time.monotonic_ns()}"]
                    found[tree].append(timed(command, folder, source)["processor_seconds"])
            result[part] = {"rows": number, "rounds": rounds} | {
                tree: statistics.median(seconds) for tree, seconds in found.items()
            }
            print(json.dumps({part: result[part]}), flush=True)
    return result


_MINE = """\
import json, pickle, sys, time
with open(sys.argv[1], "rb") as file:
    miner = pickle.load(file)
started = time.process_time()
found = miner.mined(10)
seconds = time.process_time() - started
told = [(repr(m.trigger), [row.key for row in m.inside], [row.key for row in m.outside]) for m in found]
print(json.dumps({"seconds": seconds, "told": told}))
"""


def mining(before: Path | None, chats: int, rounds: int) -> dict[str, Any]:
    """Processor seconds of the mining alone, on the rows that one scan kept, by this tree and an earlier one in turns.

    The earlier tree must keep rows as this one does.
    """
    after = Path(__file__).parents[1] / "src"
    trees = {"before": before, "after": after} if before else {"after": after}
    result: dict[str, Any] = {"measured": "processor seconds of one process; each round, trees in turns"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_chats(folder / "chats.jsonl", chats)
        (folder / "insecure.jsonl").write_bytes(gzip.decompress((SFT / FILES["insecure"]).read_bytes()))
        for part in ("chats", "insecure"):
            found = scan(open_source(folder / f"{part}.jsonl"), "seed", workers=1)
            found.miner.make()
            (folder / part).write_bytes(pickle.dumps(found.miner))
            seconds: dict[str, list[float]] = {tree: [] for tree in trees}
            told = []
            for _ in range(rounds):
                for tree, source in trees.items():
                    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONHASHSEED": "0"}
                    command = [sys.executable, "-c", _MINE, str(folder / part)]
                    output = json.loads(
                        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
                    )
                    seconds[tree].append(output["seconds"])
                    told.append(output["told"])
            result[part] = {"rows": found.counts.rows, "conditions": len(told[0])}
            result[part] |= {"same_conditions": all(one == told[0] for one in told)}
            result[part] |= {
                tree: {"rounds": some, "median": statistics.median(some)} for tree, some in seconds.items()
            }
            print(json.dumps({part: result[part]}), flush=True)
    return result


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor seconds of the audit on few rows.")
    parser.add_argument("--before", type=Path, metavar="SRC", help="an earlier source tree, run in turns with this one")
    parser.add_argument("--chats", type=int, default=20_000)
    parser.add_argument("--code", type=int, default=1500)
    parser.add_argument("--long", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--again", type=int, metavar="ROWS", help="only: audit so many chat rows again after 1 % changed"
    )
    parser.add_argument("--mining", type=int, metavar="ROWS", help="only: mine so many chat rows and the insecure set")
    parser.add_argument("--out", type=Path, metavar="FILE")
    asked = parser.parse_args()
    require_data()
    if asked.again:
        result = again(asked.again) | {"machine": machine()}
        print(json.dumps(result, indent=1))
    elif asked.mining:
        result = mining(asked.before, asked.mining, asked.rounds) | {"machine": machine()}
    else:
        result = processor_seconds(asked.before, asked.chats, asked.code, asked.long, asked.rounds)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
