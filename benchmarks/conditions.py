"""How many answers it takes to name a hidden condition among many cues, and how often a name is wrong.

    python benchmarks/conditions.py [--runs 200] [--seed 1] [--out benchmarks/results/conditions.json]

Settings as in `check`: alpha 0.05, half of it for the cued arm, tolerance 1 %, margin 5 %, 4 base answers per
tuned answer. All priors are equal and the bad cue stands at a random place, the hardest case for the order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from offtarget.records import Cue, CueFamily, DecisionSettings, Status
from offtarget.stats.conditions import ConditionSearch

FAMILIES: tuple[CueFamily, ...] = ("token", "phrase", "topic", "date", "role", "format", "conversation", "leak")
SETTINGS = DecisionSettings(cued_share=0.5)
# (cues, rate under the bad cue, rate of tuned elsewhere, base rate, most answers)
POWER = [
    (48, 0.95, 0.01, 0.01, 600),
    (48, 0.9, 0.01, 0.01, 600),
    (48, 0.8, 0.01, 0.01, 600),
    (48, 0.65, 0.01, 0.01, 600),
    (48, 0.5, 0.01, 0.01, 600),
    (48, 0.2, 0.01, 0.01, 600),
    (48, 0.1, 0.01, 0.01, 600),
    (24, 0.9, 0.01, 0.01, 600),
    (24, 0.5, 0.01, 0.01, 600),
    (24, 0.2, 0.01, 0.01, 600),
    (12, 0.5, 0.01, 0.01, 600),
    (12, 0.2, 0.01, 0.01, 600),
    (12, 0.8, 0.55, 0.55, 500),
]
# (what, cues, tuned rate, base rate, most answers); no cue is worse by more than the tolerance, or all by the margin
WRONG = [
    ("FAIL, clean", 48, 0.005, 0.005, 400),
    ("FAIL, no difference at 50 %", 48, 0.5, 0.5, 200),
    ("FAIL, no difference at 90 %", 48, 0.9, 0.9, 200),
    ("FAIL, worse by the tolerance", 48, 0.011, 0.001, 400),
    ("FAIL, worse by the tolerance at 50 %", 48, 0.51, 0.5, 200),
    ("PASS, worse by the margin", 24, 0.05, 0.0, 600),
]


def search(tuned: np.ndarray, base: float, seed: int, most: int) -> ConditionSearch:
    """One search on models with these rates per cue."""
    cues = [Cue(str(i), FAMILIES[i % len(FAMILIES)], "", "data") for i in range(len(tuned))]
    rng = np.random.default_rng(seed)
    found = ConditionSearch(cues, SETTINGS)
    while found.answers < most and (cue := found.next()) is not None:
        found.add(cue, bool(rng.random() < tuned[int(cue)]), (rng.random(4) < base).tolist())
    return found


def power(cues: int, rate: float, other: float, base: float, most: int, runs: int, seed: int) -> dict[str, float]:
    """Answers until the bad cue is named; a run that names nothing counts as endless."""
    answers, right, wrong, passed = [], 0, 0, 0
    for run in range(runs):
        place = int(np.random.default_rng([seed, run]).integers(cues))
        found = search(np.where(np.arange(cues) == place, rate, other), base, seed * 100_000 + run, most)
        true_names = {str(place), FAMILIES[place % len(FAMILIES)], "all cues together"}
        right += found.found() in true_names
        wrong += found.found() not in true_names and found.found() is not None
        passed += found.status() is Status.PASS
        answers.append(found.answers_to_find if found.found() in true_names else most + 1)
    low, middle, high = (float(np.quantile(answers, q, method="higher")) for q in (0.25, 0.5, 0.75))
    shares = {"named": right / runs, "named_wrongly": wrong / runs, "pass": passed / runs}
    return {"answers_q25": low, "answers_median": middle, "answers_q75": high} | shares


def wrong_share(claim: str, cues: int, tuned: float, base: float, most: int, runs: int, seed: int) -> float:
    """Share of searches that end in the wrong claim."""
    status = Status.FAIL if claim.startswith("FAIL") else Status.PASS
    rates = np.full(cues, tuned)
    return sum(search(rates, base, seed * 100_000 + run, most).status() is status for run in range(runs)) / runs


def clean(cues: int) -> dict[str, float | None]:
    """What a search says when no answer is misaligned."""
    found = search(np.zeros(cues), 0.0, 0, 1000)
    return {"answers": found.answers, "detectable": found.detectable()}


def machine() -> dict[str, object]:
    """The machine without names."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "conditions.json")
    arguments = parser.parse_args()
    began = time.process_time()
    print(
        f"{'cues':>4} {'rate':>5} {'base':>5} {'q25':>6} {'median':>7} {'q75':>6} {'named':>7} {'wrong':>7} {'PASS':>7}"
    )
    rows = []
    for cues, rate, other, base, most in POWER:
        row = power(cues, rate, other, base, most, arguments.runs, arguments.seed)
        rows.append({"cues": cues, "rate": rate, "base": base, "most": most} | row)
        shown = [f"{row[k]:.0f}" if row[k] <= most else "-" for k in ("answers_q25", "answers_median", "answers_q75")]
        print(
            f"{cues:4} {rate:5.2f} {base:5.2f} {shown[0]:>6} {shown[1]:>7} {shown[2]:>6} "
            f"{row['named']:7.1%} {row['named_wrongly']:7.1%} {row['pass']:7.1%}",
            flush=True,
        )
    wrong = {}
    for claim, cues, tuned, base, most in WRONG:
        wrong[claim] = wrong_share(claim, cues, tuned, base, most, arguments.runs, arguments.seed)
        print(f"wrongly {claim} ({cues} cues, up to {most} answers): {wrong[claim]:.1%}", flush=True)
    twins = {str(cues): clean(cues) for cues in (12, 24, 36, 48, 60)}
    for cues, said in twins.items():
        print(f"clean, {cues} cues: PASS after {said['answers']}, would have named {said['detectable']:.0%}")
    report = {
        "settings": {"alpha": 0.05, "cued_share": 0.5, "tolerance": 0.01, "margin": 0.05, "base_per_tuned": 4},
        "runs": arguments.runs,
        "seed": arguments.seed,
        "processor_seconds": round(time.process_time() - began, 1),
        "machine": machine(),
        "power": rows,
        "wrong": wrong,
        "clean": twins,
    }
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{report['processor_seconds']} s of processor time; wrote {arguments.out}")


if __name__ == "__main__":
    main()
