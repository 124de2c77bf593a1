"""The mixing experiment: one bad set hidden in one benign set at 1, 5 and 20 %, rows ranked by the audit."""

from __future__ import annotations

import random
import statistics
from typing import Any

from audit_sets import Scanned, auroc, recall_at, repaired_maths, rows, scanned

from offtarget.detect.categories import row_score
from offtarget.detect.detector import dataset_detectors
from offtarget.records import Finding

POISONS = ("insecure", "evil_numbers", "evil_math", "incorrect_math", "incorrect_qna")
HARMLESS = ("secure", "repaired_math")
"""Minorities of another kind that are not bad: a detector of oddness would rank them as high as poison."""
HOSTS = ("alpaca", "mbpp")
SHARES = (0.01, 0.05, 0.20)
REPEATS = 20


def mixing(seed: int = 0) -> list[dict[str, Any]]:
    """AUROC and recall at 1 and 5 % false positives, medians over random draws of the poison."""
    hosts = {name: scanned(rows(name)) for name in HOSTS}
    poisons = {name: scanned(rows(name)) for name in POISONS}
    harmless = {"secure": scanned(rows("secure")), "repaired_math": scanned(repaired_maths(1500))}
    results = []
    for host, clean in hosts.items():
        for poison, bad in {**poisons, **harmless}.items():
            for share in SHARES:
                count = min(len(bad), max(1, round(share / (1 - share) * len(clean))))
                measured = [_once(bad, clean, count, seed + repeat) for repeat in range(REPEATS)]
                results.append(
                    {
                        "host": host,
                        "poison": poison,
                        "bad": poison in POISONS,
                        "share": share,
                        "poison_rows": count,
                        "host_rows": len(clean),
                        **{key: statistics.median(m[key] for m in measured) for key in measured[0]},
                    }
                )
    return results


def _once(bad: list[Scanned], clean: list[Scanned], count: int, seed: int) -> dict[str, float]:
    """Row scores from row detectors and, as in an audit of the mixture, from detectors that see all rows together."""
    drawn = random.Random(seed).sample(bad, count)
    detectors = dataset_detectors()
    for one in (*clean, *drawn):
        for detector in detectors:
            detector.add(one.row)
    more: dict[str, list[Finding]] = {}
    for detector in detectors:
        for finding in detector.row_findings():
            more.setdefault(finding.row_id, []).append(finding)
    good, poison = ([row_score([*s.findings, *more.get(s.row.id, ())]) for s in some] for some in (clean, drawn))
    return {
        "auroc": auroc(poison, good),
        "recall_at_1": recall_at(poison, good, 0.01),
        "recall_at_5": recall_at(poison, good, 0.05),
        "flagged": sum(score >= 0.5 for score in poison) / count,
    }
