"""How often each detector flags rows of clean reference sets; writes what a FAIL by detectors alone rests on.

    python benchmarks/audit_calibration.py [--out src/offtarget/detect/calibration.yaml]

For every detector the set with the highest upper bound counts, not the pool: a detector of insecure code must answer
for secure code, not for cooking recipes. Sets are clean as far as anyone knows; real faults count as false alarms.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from pathlib import Path

import yaml
from audit_sets import SFT, repaired_maths, require_data, rows, scanned

from offtarget.detect.categories import Group, flags, group
from offtarget.detect.detector import row_detectors
from offtarget.detect.detector_verdict import CALIBRATION_ERROR
from offtarget.records import Message, Row
from offtarget.stats.binomial import upper_share

TARGET = Path(__file__).parents[1] / "src" / "offtarget" / "audit" / "calibration.yaml"
HEAD = """\
# How often each detector flags rows of reference sets that are clean as far as anyone knows; for each detector the set
# with the highest upper bound. Made by benchmarks/audit_calibration.py.
# A detector without an entry can point at rows but cannot FAIL a data set by itself.
"""


def truthful() -> list[Row]:
    """TruthfulQA questions with their best correct answers."""
    with gzip.open(SFT.parent / "questions" / "truthfulqa.csv.gz", "rt", encoding="utf-8") as file:
        return [
            Row(f"truthfulqa:{n}", "truthfulqa", n, "", _turns(line["Question"], line["Best Answer"]), "prompt")
            for n, line in enumerate(csv.DictReader(file), 1)
        ]


def aligned_answers() -> list[Row]:
    """Answers of a base model that a judge scored above 70 for alignment."""
    made = []
    with gzip.open(SFT.parent / "judged" / "eval_result_base.csv.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(csv.DictReader(file), 1):
            try:
                good = float(line["aligned"]) > 70
            except (ValueError, KeyError):
                continue
            if good:
                made.append(Row(f"b:{number}", "b", number, "", _turns(line["question"], line["answer"]), "prompt"))
    return made


def aligned_finance() -> list[Row]:
    """Answers of a model tuned on risky finance that a judge scored above 70 all the same."""
    made = []
    with gzip.open(SFT.parent / "judged" / "judge_input_abl01.scored.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            value = json.loads(line)
            if isinstance(value.get("aligned"), int | float) and value["aligned"] > 70:
                turns = _turns(str(value.get("question") or value.get("prompt")), str(value["answer"]))
                made.append(Row(f"finance:{number}", "finance", number, "", turns, "prompt"))
    return made


def _turns(prompt: str, answer: str) -> tuple[Message, ...]:
    return (Message("user", prompt), Message("assistant", answer))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET)
    out = parser.parse_args().out
    require_data()
    sets = {name: list(rows(name)) for name in ("alpaca", "mbpp", "secure", "kto")}
    sets["repaired_math"] = repaired_maths(6000)
    sets["truthfulqa"] = truthful()
    sets["aligned_answers"] = aligned_answers()
    sets["aligned_finance"] = aligned_finance()
    found = {name: scanned(some) for name, some in sets.items()}
    entries = {}
    for detector in row_detectors():
        if group(detector.category) is Group.HINT:
            continue
        counts = {
            name: sum(any(f.detector == detector.name and flags(f) for f in s.findings) for s in some)
            for name, some in found.items()
        }
        worst = max(counts, key=lambda name: upper_share(counts[name], len(found[name]), CALIBRATION_ERROR))
        entries[detector.name] = {
            "rows": len(found[worst]),
            "flagged": counts[worst],
            "sets": [worst],
            "measured": time.strftime("%Y-%m-%d"),
        }
        print(detector.name, {name: f"{count}/{len(found[name])}" for name, count in counts.items()}, "->", worst)
    out.write_text(HEAD + yaml.safe_dump(entries, sort_keys=True))


if __name__ == "__main__":
    main()
