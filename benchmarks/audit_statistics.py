"""How many rows an audit's verdict takes at each true share of bad rows, and how often it is wrong.

    python benchmarks/audit_statistics.py [--runs 20000] [--reviews 400] [--seed 1] [--only-reviewers]
                                          [--out benchmarks/results/audit_statistics.json]

Rows, medians and errors of a review of random rows are computed exactly (dynamic programming over n and k, looking
after every row, at most 500 rows). Errors through all paths at once (random rows and flagged rows, both limits met
exactly) are simulated. `reference` is a beta-binomial e-process with priors truncated to their side, simulated before
this code was written; `fixed` is one look after 500 rows with Clopper-Pearson bounds.

`reviewers`: what reviewers do who mark a share of the fine rows by mistake. `old` takes every mark to be right (the
rule without known-good rows), `new` is the rule of the audit, with known-good cards as the review page shows them; a
false FAIL is one on a set that keeps the limit. One review is up to 500 random rows, looked at after every card.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from offtarget.detect.false_marks import Met, good_cards_due
from offtarget.detect.limits import Counts, Drawn, combined_log_e_fail, log_e_pass
from offtarget.detect.plan import review_plan
from offtarget.detect.settled import LIMITS, NOISE, SPREADING
from offtarget.records import AuditSettings

CAP = 500
LOOKED_AT = 6000
"""Rows of the sets that simulated people review."""
SETTINGS = AuditSettings()
THRESHOLD = math.log(1 / SETTINGS.alpha)
SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5)
REFERENCE_MEAN = (73, 96, 132, 254, 392, 474, 371, 207, 55, 29, 12, 5)
REFERENCE_MEDIAN = (73, 73, 124, 206, 500, 500, 500, 182, 39, 22, 9, 3)
REFERENCE_DECIDED = ((1, 0), (1, 0), (1, 0), (0.82, 0), (0.38, 0.01), (0.04, 0.03), (0, 0.46), (0, 0.92)) + (
    (0, 1),
) * 4


def counts(rows: int, n: int, noise: int, spread: int, strata: dict[str, Drawn] | None = None) -> Counts:
    """Labels as counts."""
    return Counts(
        rows,
        {NOISE: Drawn(rows, n, noise, noise), SPREADING: Drawn(rows, n, spread, spread)},
        strata or {},
        dict.fromkeys(LIMITS, 0),
        dict.fromkeys(LIMITS, 0),
    )


@lru_cache(maxsize=32)
def borders(rows: int, spreading: bool, flagged: int) -> tuple[list[int], list[int]]:
    """After n rows: PASS at k <= first[n], FAIL at k >= second[n]; -1 and n + 1 where there is none."""
    strata = {name: Drawn(flagged) for name in (NOISE, SPREADING)}
    passes, fails = [-1], [1]
    for n in range(1, min(CAP, rows) + 1):

        def state(k: int, n: int = n) -> Counts:
            return counts(rows, n, k, k if spreading else 0, strata)

        k = passes[-1]
        while k < n and log_e_pass(state(k + 1), NOISE, SETTINGS) >= THRESHOLD:
            k += 1
        passes.append(k)
        k = max(0, fails[-1] - 1)
        while k <= n and combined_log_e_fail(state(k), SETTINGS) < THRESHOLD:
            k += 1
        fails.append(k)
    return passes, fails


def exact(rows: int, bad: int, spreading: bool = False, flagged: int = 0) -> dict[str, float]:
    """Mean and median rows, P(PASS) and P(FAIL) when `bad` of `rows` rows are bad; 500 rows at most."""
    passes, fails = borders(rows, spreading, flagged)
    alive = np.zeros(CAP + 2)
    alive[0], mean, passed, failed, median = 1.0, 0.0, 0.0, 0.0, None
    k = np.arange(CAP + 2)
    for n in range(1, min(CAP, rows) + 1):
        mean += alive.sum()
        share = np.clip((bad - k) / (rows - n + 1), 0, 1)
        grown = alive * (1 - share)
        grown[1:] += (alive * share)[:-1]
        passing, failing = k <= passes[n], k >= fails[n]
        passed, failed = passed + grown[passing].sum(), failed + grown[failing].sum()
        grown[passing | failing] = 0.0
        alive = grown
        if median is None and alive.sum() <= 0.5:
            median = n
    return {
        "share": bad / rows,
        "mean": round(float(mean), 1),
        "median": median or CAP,
        "pass": round(float(passed), 4),
        "fail": round(float(failed), 4),
    }


@cache
def log_e_fail(rows: int, stratum: int, n: int, noise: int, spread: int, m: int, hits: int) -> float:
    strata = {name: Drawn(stratum, m, hits, hits) for name in (NOISE, SPREADING)}
    return combined_log_e_fail(counts(rows, n, noise, spread, strata), SETTINGS)


def false_fail(rows: int, runs: int, rng: np.random.Generator, ratio: int) -> float:
    """Share of runs that FAIL with both limits met exactly and all spreading rows flagged among `ratio` times as many.

    Three random rows, then one flagged row, until 500 random rows.
    """
    looks = min(rows, CAP)
    noise, spread = round(SETTINGS.noise_limit * rows), round(SETTINGS.spreading_limit * rows)
    stratum = ratio * spread
    wrong = 0
    for _ in range(runs):
        places = np.sort(rng.choice(rows, noise, replace=False))
        kinds = rng.permutation(noise) < spread
        hits = np.sort(rng.choice(stratum, spread, replace=False))
        events = sorted({*(places[places < looks] + 1).tolist(), *(3 * (hits + 1)).tolist()})
        for n in (event for event in events if event <= looks):
            seen, m = places < n, min(n // 3, stratum)
            found = log_e_fail(rows, stratum, n, int(seen.sum()), int((seen & kinds).sum()), m, int((hits < m).sum()))
            if found >= THRESHOLD:
                wrong += 1
                break
    return wrong / runs


def flagged_rows(rows: int, share: float, precision: float, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Flagged rows of a spreading kind until FAIL when only flagged rows are read, for a share of rows flagged."""
    stratum = round(share * rows)
    needed = []
    for _ in range(runs):
        bad = rng.permutation(stratum)[:CAP] < round(precision * stratum)
        hits = bad.cumsum()
        n = next(
            (i for i in range(1, len(bad) + 1) if log_e_fail(rows, stratum, 0, 0, 0, i, int(hits[i - 1])) >= THRESHOLD),
            CAP,
        )
        needed.append(n)
    return {
        "flagged": share,
        "precision": precision,
        "mean": round(float(np.mean(needed)), 1),
        "rows for 90 %": int(np.quantile(needed, 0.9, method="higher")),
    }


def look(
    marks: np.ndarray, second: np.ndarray | None, rate: float, rng: np.random.Generator
) -> dict[str, float | None]:
    """One review of rows in random order until FAIL under either rule: random rows, and known-good cards, it took.

    `marks`: whether the first reviewer marks each row; `second`: those of another, who sees the same rows and cards.
    Both mark each known-good row with probability `rate`, independently.
    """
    rows = LOOKED_AT
    found = both = good = marked = marked_by_both = 0
    done: dict[str, float | None] = {"old": None, "new": None, "good": None}
    for n, mark in enumerate(marks.tolist(), 1):
        found += mark
        both += bool(mark and (second is None or second[n - 1]))
        while good < good_cards_due(found, SETTINGS.known_good):
            first = rng.random() < rate
            good, marked, marked_by_both = good + 1, marked + first, marked_by_both + (first and rng.random() < rate)
        if not mark:
            continue
        of_marks = combined_log_e_fail(counts(rows, n, found, 0), SETTINGS)
        if done["old"] is None and of_marks >= THRESHOLD:
            done["old"] = n
        if of_marks < THRESHOLD and second is None:
            continue  # known-good rows only take evidence away
        seen = replace(counts(rows, n, found, 0), good=(Met(good, marked),))
        if second is not None:
            # a row counts as settled where both mark it; both reviewers have met the same known-good rows
            twice = replace(counts(rows, n, both, 0), good=(Met(good, marked_by_both),))
            seen = replace(counts(rows, n, both, 0), good=(Met(good, marked), Met(good, marked)), by_two=twice)
        if combined_log_e_fail(seen, SETTINGS) >= THRESHOLD:
            done["new"], done["good"] = n, good
            break
    return done


def reviews(share: float, rate: float, runs: int, rng: np.random.Generator, people: int = 1) -> dict[str, float | None]:
    """How often a set with this share of bad rows FAILs, and after how many labels, for reviewers of this rate."""
    bad = round(share * LOOKED_AT)
    found = []
    for _ in range(runs):
        truth = np.zeros(LOOKED_AT, bool)
        truth[:bad] = True
        truth = rng.permutation(truth)[:CAP]
        marks = [truth | (rng.random(CAP) < rate) for _ in range(people)]
        found.append(look(marks[0], marks[1] if people > 1 else None, rate, rng))
    result: dict[str, float | None] = {"share": share, "marked by mistake": rate, "people": people}
    for rule in ("old", "new"):
        taken = [f[rule] for f in found if f[rule] is not None]
        result[f"FAIL, {rule}"] = round(len(taken) / runs, 4)
        result[f"random rows, {rule}"] = round(float(np.mean(taken)), 1) if taken else None
    good = [f["good"] for f in found if f["good"] is not None]
    result["known-good cards, new"] = round(float(np.mean(good)), 1) if good else None
    print("  ", result, flush=True)
    return result


def reviewers(runs: int, seed: int) -> dict[str, object]:
    """False FAILs and power with reviewers who mark fine rows by mistake."""
    rng = np.random.default_rng(seed)
    print(f"\nReviewers who mark fine rows by mistake, {runs:,} reviews each:")
    wrong = [reviews(share, rate, runs, rng) for share in (0.0, 0.02, 0.05) for rate in (0.0, 0.02, 0.05, 0.1, 0.2)]
    power = [reviews(share, rate, runs, rng) for share in (0.1, 0.2, 0.4, 0.8) for rate in (0.0, 0.02, 0.05)]
    pairs = [reviews(share, rate, runs, rng, people=2) for share in (0.05, 0.2, 0.4) for rate in (0.02, 0.05, 0.1)]
    flagged = [flagged_with_good(width, runs, rng) for width in (0.02, 0.05, 0.1, 0.2)]
    found: dict[str, object] = {"false FAIL": wrong, "power": power, "two people": pairs, "flagged rows": flagged}
    return found


def flagged_with_good(width: float, runs: int, rng: np.random.Generator, precision: float = 0.9) -> dict[str, float]:
    """Flagged rows of a spreading kind until FAIL, nine of ten bad, by a reviewer who marks 2 % of fine rows."""
    rate, stratum, needed = 0.02, round(width * LOOKED_AT), []
    for _ in range(runs):
        truth = rng.permutation(stratum)[:CAP] < round(precision * stratum)
        marks = truth | (rng.random(len(truth)) < rate)
        hits = good = marked = 0
        taken = CAP
        for n, mark in enumerate(marks.tolist(), 1):
            hits += mark
            while good < good_cards_due(hits, SETTINGS.known_good):
                good, marked = good + 1, marked + (rng.random() < rate)
            strata = {name: Drawn(stratum, n, hits, hits) for name in (NOISE, SPREADING)}
            seen = replace(counts(LOOKED_AT, 0, 0, 0, strata), good=(Met(good, marked),))
            if combined_log_e_fail(seen, SETTINGS) >= THRESHOLD:
                taken = n
                break
        needed.append(taken)
    return {"flagged": width, "FAIL": round(float(np.mean(np.array(needed) < CAP)), 3), "mean": float(np.mean(needed))}


def table(rows: list[dict[str, float]], title: str, reference: bool = False) -> None:
    print(f"\n{title}")
    print(
        "   share   mean rows  median   P(PASS)  P(FAIL)"
        + ("   reference: mean median  P(PASS)/P(FAIL)" if reference else "")
    )
    for i, row in enumerate(rows):
        line = f"  {row['share']:6.1%}  {row['mean']:9.1f}  {row['median']:6.0f}  {row['pass']:8.3f} {row['fail']:8.3f}"
        if reference:
            a, b = REFERENCE_DECIDED[i]
            line += f"   {REFERENCE_MEAN[i]:15d} {REFERENCE_MEDIAN[i]:6d}  {a:g}/{b:g}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--reviews", type=int, default=400)
    parser.add_argument("--only-reviewers", action="store_true", help="Keep the other figures of --out as they are.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/audit_statistics.json"))
    args = parser.parse_args()
    if args.only_reviewers:
        kept = json.loads(args.out.read_text(encoding="utf-8"))
        kept["reviewers"] = {"runs": args.reviews, **reviewers(args.reviews, args.seed)}
        args.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        return
    rng = np.random.default_rng(args.seed)
    started = time.monotonic()
    result: dict[str, object] = {
        "python": platform.python_version(),
        "runs": args.runs,
        "seed": args.seed,
        "settings": {name: getattr(SETTINGS, name) for name in ("alpha", "noise_limit", "spreading_limit", "max_rows")},
        "reference": {
            "share": SHARES,
            "mean": REFERENCE_MEAN,
            "median": REFERENCE_MEDIAN,
            "decided": REFERENCE_DECIDED,
        },
    }
    big, small = 1_000_000, 6000
    tables = {
        "noise, 1,000,000 rows, nothing flagged": [exact(big, round(s * big)) for s in SHARES],
        "noise, 6,000 rows, nothing flagged": [exact(small, round(s * small)) for s in SHARES],
        "noise, 1,000,000 rows, 10 % flagged but no flagged row read": [
            exact(big, round(s * big), flagged=big // 10) for s in SHARES
        ],
        "a spreading kind, 1,000,000 rows, nothing flagged": [exact(big, round(s * big), True) for s in SHARES],
    }
    for title, rows in tables.items():
        table(rows, title, reference="noise" in title)
    borderline = {
        str(rows): {
            "false PASS, one row above 5 %": exact(rows, math.floor(0.05 * rows) + 1)["pass"],
            "false FAIL, exactly 5 %": exact(rows, math.floor(0.05 * rows))["fail"],
            "false FAIL, exactly 1 % of a spreading kind": exact(rows, math.floor(0.01 * rows), True)["fail"],
        }
        for rows in (100, 500, small, big)
    }
    print("\nErrors at the border, exact, up to 500 rows:", json.dumps(borderline, indent=2))
    everything = [
        {"rows": rows, "flagged per bad row": ratio, "false FAIL": false_fail(rows, args.runs, rng, ratio)}
        for rows in (200, small)
        for ratio in (2, 8)
    ]
    print(f"\nFalse FAIL through all paths at once, {args.runs:,} runs each:", json.dumps(everything, indent=2))
    flagged = [flagged_rows(small, w, q, 1000, rng) for w in (0.02, 0.05, 0.1, 0.2, 0.5) for q in (0.8, 0.95)]
    print("\nFlagged rows of a spreading kind until FAIL (6,000 rows):")
    for row in flagged:
        print("  ", row)
    plans = {str(n): vars_of(n) for n in (100, 500, small, big)}
    print("\nPlans of clean sets:", json.dumps(plans, indent=2))
    result |= {"tables": tables, "border": borderline, "all paths": everything, "flagged": flagged, "plans": plans}
    result["reviewers"] = {"runs": args.reviews, **reviewers(args.reviews, args.seed)}
    result["seconds"] = round(time.monotonic() - started, 1)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def vars_of(rows: int) -> dict[str, int]:
    plan = review_plan(rows, SETTINGS)
    return {"floor": plan.floor_rows, "clean": plan.clean_rows, "clean, spreading too": plan.clean_rows_spreading}


if __name__ == "__main__":
    main()
