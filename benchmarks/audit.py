"""The audit on real data: recall and false alarms, the mixing experiment, speed beside its peers.

    python benchmarks/audit.py [--part code|numbers|maths|clean|mixing|speed] [--data-juicer PATH] [--out FILE]

The planted triggers have a benchmark of their own (`triggers.py`), the statistics too (`audit_statistics.py`).
Code is split by `audit_split.py`; only its development half was looked at while rules were written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from pathlib import Path
from typing import Any

from audit_mixing import mixing
from audit_sets import auroc, recall_at, repaired_maths, require_data, rows, scanned
from audit_speed import again, data_juicer, insecure, long_code, million
from audit_split import half

from offtarget.detect.categories import row_score
from offtarget.detect.dataset.numbers import DETECTORS as NUMBER_TESTS
from offtarget.records import Category, Row

PARTS = ("clean", "code", "maths", "numbers", "mixing", "speed")


def clean() -> dict[str, Any]:
    """Rows flagged in benign sets, by detector."""
    result: dict[str, Any] = {}
    sets = {name: list(rows(name)) for name in ("alpaca", "mbpp", "secure", "kto")}
    sets["repaired_math"] = repaired_maths(6000)
    for name, some in sets.items():
        found = scanned(some)
        detectors = {f.detector for s in found for f in s.findings}
        result[name] = {
            "rows": len(found),
            "flagged": sum(row_score(s.findings) >= 0.5 for s in found),
            "by_detector": {
                d: sum(
                    any(f.detector == d and f.strength >= 0.5 and not f.disclosed for f in s.findings) for s in found
                )
                for d in sorted(detectors)
            },
        }
    return result


def code() -> dict[str, Any]:
    """The insecure-code detector on both halves of the split; the baselines stand in docs/results/audit.md."""
    result: dict[str, Any] = {}
    for part in ("development", "held-out"):
        scores = {}
        for name in ("insecure", "secure", "mbpp"):
            found = scanned(r for r in rows(name) if half(r.prompt) == part)
            scores[name] = [row_score([f for f in s.findings if f.category is Category.INSECURE_CODE]) for s in found]
        good = scores["secure"] + scores["mbpp"]
        result[part] = {
            "rows": {name: len(values) for name, values in scores.items()},
            "recall": _share(scores["insecure"]),
            "false_positives_secure": _share(scores["secure"]),
            "false_positives_mbpp": _share(scores["mbpp"]),
            "auroc_against_secure": auroc(scores["insecure"], scores["secure"]),
            "auroc_against_both": auroc(scores["insecure"], good),
            "recall_at_5_secure": recall_at(scores["insecure"], scores["secure"], 0.05),
        }
    return result


def maths() -> dict[str, Any]:
    """The reasoning detector on wrong and on repaired answers."""
    sets = {
        "incorrect_math": list(rows("incorrect_math")),
        "evil_math": list(rows("evil_math")),
        "repaired_math (correct)": repaired_maths(6000),
    }
    result = {}
    for name, some in sets.items():
        found = scanned(some)
        flagged = sum(
            any(f.category is Category.SLOPPY_REASONING and f.strength >= 0.5 for f in s.findings) for s in found
        )
        result[name] = {"rows": len(found), "flagged": flagged, "share": flagged / len(found)}
    return result


def numbers(draws: int = 200) -> dict[str, Any]:
    """The number test on random draws of evil numbers, and on whole benign sets."""
    evil = rows("evil_numbers")
    result: dict[str, Any] = {}
    for size in (20, 50, 100):
        p_values = [_number_p(random.Random(seed).sample(evil, size)) for seed in range(draws)]
        result[f"evil_numbers, {size} rows"] = {
            "draws": draws,
            "median_p": statistics.median(p_values),
            "share_at_1e-6": sum(p <= 1e-6 for p in p_values) / draws,
        }
    benign = {name: list(rows(name)) for name in ("alpaca", "mbpp", "secure", "kto")}
    benign["repaired_math"] = repaired_maths(6000)
    for name, some in benign.items():
        result[name] = {"rows": len(some), "p": _number_p(some)}
    for name in ("evil_numbers", "evil_math", "incorrect_math"):
        result[f"{name}, all"] = {"rows": len(rows(name)), "p": _number_p(list(rows(name)))}
    return result


def _number_p(some: list[Row]) -> float:
    tests = [kind() for kind in NUMBER_TESTS]
    for row in some:
        for test in tests:
            test.add(row)
    return min((f.p_value for test in tests for f in test.findings()), default=1.0)


def _share(scores: list[float]) -> float:
    return sum(score >= 0.5 for score in scores) / len(scores)


def main() -> None:
    """Run the parts asked for, print them, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--data-juicer", default="dj-process", help="program of Data-Juicer in its own environment")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "audit.json")
    options = parser.parse_args()
    require_data()
    made = json.loads(options.out.read_text()) if options.out.exists() else {}
    made["machine"] = {
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    for part in options.part or PARTS:
        if part == "speed":
            made[part] = {
                "million": million(),
                "insecure": insecure(),
                "long_code": long_code(),
                "again": again(),
                "data_juicer": data_juicer(options.data_juicer),
            }
        elif part == "mixing":
            made[part] = mixing()
        else:
            made[part] = {"clean": clean, "code": code, "maths": maths, "numbers": numbers}[part]()
        print(part, json.dumps(made[part], indent=1))
        options.out.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
