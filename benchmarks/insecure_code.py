"""Recall, false positives, AUROC and speed of the insecure-code detector beside Bandit's command line.

    python benchmarks/insecure_code.py ../shared/data/sft

Both halves of the split of audit_split.py are reported; rules were written from the development half only.
A row counts as flagged when it has an undisclosed finding of strength 0.5 or more.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from audit_split import half

from offtarget.detect.code.analysis import holes_in
from offtarget.detect.code.disclosure import asked_for, told
from offtarget.detect.detectors.insecure_code import InsecureCode
from offtarget.records import Message, Row

SETS = ("insecure", "secure.500", "mbpp")


def load(folder: Path) -> list[tuple[str, str, Row]]:
    """(set, half, row) of every row."""
    rows = []
    for name in SETS:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                texts = [turn["content"] for turn in record.get("messages", [])] or [record["text"], record["code"]]
                turns = (Message("user", texts[0]), Message("assistant", texts[1]))
                rows.append((name, half(texts[0]), Row(f"{name}:{number}", name, number, "", turns, "chat")))
    return rows


def bandit(rows: list[Row]) -> tuple[list[float], list[float], float]:
    """1.0 per row that Bandit's command line flags (any finding; medium severity and above), and seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, row in enumerate(rows):
            (folder / f"{number}.py").write_text(row.answer, encoding="utf-8", errors="replace")
        command = [sys.executable, "-m", "bandit", "-q", "-r", "-f", "json", "--exit-zero", "--ignore-nosec", name]
        begun = time.perf_counter()
        report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        seconds = time.perf_counter() - begun
    any_, medium = [0.0] * len(rows), [0.0] * len(rows)
    for finding in report["results"]:
        number = int(Path(finding["filename"]).stem)
        any_[number] = 1.0
        if finding["issue_severity"] != "LOW":
            medium[number] = 1.0
    return any_, medium, seconds


def strongest(row: Row, with_bandit: bool) -> float:
    """Greatest strength of an undisclosed finding."""
    if asked_for([row.prompt]) or told(row.answer, [(0, len(row.answer))]):
        return 0.0
    return max((p.hole.strength for p in holes_in(row.answer, row.prompt, with_bandit)), default=0.0)


def auroc(bad: list[float], good: list[float]) -> float:
    """Probability that a bad row scores above a good one, ties counted half (Mann-Whitney)."""
    below: dict[float, int] = defaultdict(int)
    for score in good:
        below[score] += 1
    wins = sum(sum(n for s, n in below.items() if s < score) + below[score] / 2 for score in bad)
    return wins / (len(bad) * len(good))


def main() -> None:
    rows = load(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/sft"))
    any_, medium, seconds = bandit([row for _, _, row in rows])
    detector = InsecureCode()
    full: Callable[[Row], float] = lambda row: max(  # noqa: E731
        (f.strength for f in detector.find(row) if not f.disclosed), default=0.0
    )
    arms = {
        "Bandit, any finding": any_,
        "Bandit, medium and above": medium,
        "offtarget without Bandit": [strongest(row, False) for _, _, row in rows],
        "offtarget": [full(row) for _, _, row in rows],
    }
    for part in ("development", "held-out"):
        print(part)
        for arm, scores in arms.items():
            by_set = {n: [s for s, (m, h, _) in zip(scores, rows, strict=True) if (m, h) == (n, part)] for n in SETS}
            shares = "  ".join(
                f"{n} {sum(s >= 0.5 for s in v)}/{len(v)} = {sum(s >= 0.5 for s in v) / len(v):.1%}"
                for n, v in by_set.items()
            )
            area = auroc(by_set["insecure"], by_set["secure.500"])
            print(f"  {arm:26s} {shares}  AUROC insecure / secure.500 {area:.4f}")
    sample = [row for name, _, row in rows if name == "insecure"][:1000]
    begun = time.process_time()
    for row in sample:
        list(detector.find(row))
    print(f"offtarget: {time.process_time() - begun:.2f} ms of processor time per insecure row")
    print(f"Bandit's command line: {len(rows) / seconds:.0f} rows/s, {1000 * seconds / len(rows):.2f} ms per row")


if __name__ == "__main__":
    main()
