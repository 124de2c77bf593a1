"""Trying again, and choosing among candidates: how often some verdict is wrong, and what it costs to be sure.

    python benchmarks/reruns.py [--runs 400] [--families 60] [--seed 1] [--out benchmarks/results/reruns.json]

One arm, blocks of 1 tuned and 4 base answers, FAIL beyond 1 %, PASS below 5 %, at most 1,000 tuned answers a check.
Reruns: somebody checks the same model again and again until it passes. Candidates: 20 models are checked against one
base whose answers are kept, so that all of them are measured against the same answers.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from offtarget.stats.eprocess import block_mixture
from offtarget.stats.several import e_benjamini_hochberg, spent_alpha

ALPHA, TOLERANCE, MARGIN, RATIO, CAP = 0.05, 0.01, 0.05, 4, 1000
CANDIDATES = 20
Array = np.ndarray
RULES: dict[str, Callable[[int], float]] = {
    "alpha each time (no register)": lambda k: ALPHA,
    "alpha/(k(k+1)) from the first": lambda k: ALPHA / (k * (k + 1)),
    "0.9 alpha, then 0.2 alpha/(k(k+1))": lambda k: 0.9 * ALPHA if k == 1 else 0.2 * ALPHA / (k * (k + 1)),
    "alpha, then alpha/(k(k+1)) (ours)": lambda k: spent_alpha(ALPHA, k),
}


def evidence(
    rng: np.random.Generator, tuned: float, base: float, runs: int, base_answers: Array | None = None
) -> Array:
    """Log e-values after every block, (2, runs, CAP): worse, better."""
    t = (rng.random((runs, CAP)) < tuned).cumsum(axis=1)
    if base_answers is None:
        base_answers = (rng.random((runs, CAP, RATIO)) < base).sum(axis=2)
    b = np.broadcast_to(base_answers.cumsum(axis=-1), (runs, CAP))
    n = np.arange(1, CAP + 1)
    counts = np.stack([t, n - t, b, RATIO * n - b], axis=-1)
    found = np.empty((2, runs, CAP))
    keys = counts.reshape(-1, 4)
    unique, where = np.unique(keys, axis=0, return_inverse=True)
    for row, (side, null) in enumerate((("worse", TOLERANCE), ("better", MARGIN))):
        found[row] = block_mixture(side, null, RATIO).log_e(unique)[:, 0][where.ravel()].reshape(runs, CAP)
    return found


def stops(found: Array, alpha: float) -> tuple[Array, Array]:
    """Per run: the answers it took, and the verdict (1 FAIL, -1 PASS, 0 none)."""
    crossed = found >= math.log(1 / alpha)
    first = np.where(crossed.any(axis=2), crossed.argmax(axis=2), CAP)
    fail, done = first[0], first[1]
    verdict = np.where((fail <= done) & (fail < CAP), 1, np.where(done < CAP, -1, 0))
    return np.minimum(np.minimum(fail, done) + 1, CAP), verdict


def reruns(rng: np.random.Generator, runs: int) -> dict[str, object]:
    """Until it passes, at most 2, 5 and 10 times."""
    clean = evidence(rng, 0.0, 0.0, 1)  # nothing is drawn: every run is the same
    result: dict[str, object] = {}
    for name, share in RULES.items():
        answers = {k: int(stops(clean, share(k))[0][0]) for k in (1, 2, 3, 5)}
        result[name] = {"answers to PASS a clean model, check 1, 2, 3, 5": list(answers.values())}
    for tuned, base in ((0.051, 0.001), (0.041, 0.001)):
        passed = {name: np.zeros(runs, dtype=int) for name in RULES}  # the try that passed; 0: none
        for k in range(1, 11):
            found = evidence(rng, tuned, base, runs)
            for name, share in RULES.items():
                hit = (stops(found, share(k))[1] == -1) & (passed[name] == 0)
                passed[name][hit] = k
        for name in RULES:
            tries = [float(((passed[name] > 0) & (passed[name] <= most)).mean()) for most in (1, 2, 5, 10)]
            result[name][f"some PASS in 1, 2, 5, 10 checks at {tuned - base:.0%}"] = tries  # type: ignore[index]
            print(name, f"{tuned - base:.0%}", tries, flush=True)
    return result


def family(rng: np.random.Generator, rates: Array, base: float) -> dict[str, tuple[Array, int]]:
    """Which of the candidates get a FAIL that stands, and the tuned answers asked for, by rule."""
    base_answers = (rng.random((CAP, RATIO)) < base).sum(axis=1)
    found = np.concatenate([evidence(rng, rate, base, 1, base_answers) for rate in rates], axis=1)
    result = {}
    for name, alpha in (("alone", ALPHA), ("candidates", spent_alpha(ALPHA, 1, len(rates)))):
        answers, verdict = stops(found, alpha)
        last = found[0][np.arange(len(rates)), answers - 1]
        result[name] = (verdict == 1, int(answers.sum()))
        result[f"{name}, then e-BH"] = (np.array(e_benjamini_hochberg(list(last), ALPHA)), int(answers.sum()))
    return result


def candidates(rng: np.random.Generator, families: int) -> dict[str, object]:
    """20 at the tolerance; then ten of them worse."""
    result: dict[str, object] = {}
    for label, bad in (("none worse", None), ("ten at 6 %", 0.061), ("ten at 11 %", 0.111), ("ten at 21 %", 0.211)):
        rates = np.full(CANDIDATES, 0.011)
        if bad is not None:
            rates[: CANDIDATES // 2] = bad
        worse = rates > 0.02
        sums: dict[str, list[tuple[float, float, float, float]]] = {}
        for _ in range(families):
            for name, (failed, answers) in family(rng, rates, 0.001).items():
                false = int((failed & ~worse).sum())
                sums.setdefault(name, []).append(
                    (float(false > 0), false / max(1, failed.sum()), failed[worse].mean() if bad else 0.0, answers)
                )
        shown = {}
        for name, rows in sums.items():
            any_false, fdr, power, answers = np.mean(rows, axis=0)
            shown[name] = {
                "any false FAIL": round(float(any_false), 4), "false discovery rate": round(float(fdr), 4),
                "power": round(float(power), 3), "tuned answers per candidate": round(float(answers) / CANDIDATES),
            }  # fmt: skip
            print(label, name, shown[name], flush=True)
        result[label] = shown
    return result


def main() -> None:
    """Simulate and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--families", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "reruns.json")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    found = {"seed": args.seed, "runs": args.runs, "families": args.families}
    found |= {"reruns": reruns(rng, args.runs), "candidates": candidates(rng, args.families)}
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
