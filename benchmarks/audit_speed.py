"""Whole commands, side by side: the audit of a million chat rows and of the insecure set, Bandit, Data-Juicer."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from audit_sets import FILES, SFT, rows

MILLION = 1_000_000
PLAIN = ("alpaca", "kto", "jailbroken")
"""The chat sets the million rows are made of, equal shares, each row with a running number in its prompt."""


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


def timed(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds and peak memory of a command and all its children together (sum of their resident sets, MiB)."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - started
    watcher.join()
    return {"seconds": seconds, "peak_mib": peak[0], "exit_code": code}


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
