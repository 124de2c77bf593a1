"""Fixed benchmarks: what drop is found at the same number of items, paired (ours) and unpaired, and how often wrongly.

    python benchmarks/paired_items.py [--runs 2000] [--seed 1] [--samples NAME=BASE,TUNED ...]
                                      [--simulated FILE]
                                      [--out benchmarks/results/paired_items.json]

The unpaired test is the z-test of two independent means that lm-eval's script for comparing two models makes of their
scores and standard errors; here one-sided at the same alpha as ours, which favours it. Ours is what `compare` and
`check --benchmarks` do: the exact McNemar test for `worse`, and the bounds of `stats/paired_binary.py` for the margin.

`--samples` takes folders of lm_eval samples, e.g. those of `benchmarks/paired_samples.py`: how often their two models
disagree is taken from them, and the same question asked of it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from offtarget.data.lm_eval_pairs import pair_folders
from offtarget.data.lm_eval_samples import read_samples
from offtarget.stats.paired_binary import lost_at_most, mcnemar_worse

ALPHA, MARGIN, POWER = 0.01, 0.05, 0.8
BETA = ALPHA / 20
Z = 2.3263478740408408
Array = np.ndarray
ITEMS = (541, 817, 1319, 14042)
"""As many as IFEval, TruthfulQA, GSM8K and MMLU have."""
CHURN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Share of items that change between two models of the same mean score."""
MORE = 10
"""Times the items of a sample set, at which the same is asked of models that disagree as often."""
RATE = 0.6
"""Of the base."""


def cells(rate: float, churn: float, drop: float) -> tuple[float, float, float, float]:
    """Shares of items right for both, lost, gained, wrong for both; the churn stays and the drop is added to it."""
    lost, gained = churn / 2 + drop, churn / 2
    return rate - lost, lost, gained, 1 - rate - gained


def independent(rate: float) -> float:
    """The share of items that change where two models of one rate answer independently."""
    return 2 * rate * (1 - rate)


def correlation(rate: float, churn: float) -> float:
    """Of right answers of two models of one rate that disagree on this share of the items."""
    return 1 - churn / independent(rate)


@lru_cache(maxsize=100_000)
def fewest_lost(changed: int, alpha: float = ALPHA) -> int:
    """Of so many changed items, the fewest lost ones that are shown to be worse."""
    low, high = changed // 2, changed + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mcnemar_worse(middle, changed - middle) <= alpha else (middle, high)
    return high


def ours(counts: Array) -> Array:
    """Whether `worse` is shown, by run; counts are (runs, 4)."""
    changed = counts[:, 1] + counts[:, 2]
    need = {int(m): fewest_lost(int(m)) for m in np.unique(changed)}
    return counts[:, 1] >= np.array([need[int(m)] for m in changed])


def unpaired_z(counts: Array, limit: float = 0.0) -> Array:
    """z of `base - tuned - limit` with the standard errors of two independent means."""
    n = counts.sum(axis=1)
    base, tuned = (counts[:, 0] + counts[:, 1]) / n, (counts[:, 0] + counts[:, 2]) / n
    error = np.sqrt((base * (1 - base) + tuned * (1 - tuned)) / (n - 1))
    return (base - tuned - limit) / np.where(error > 0, error, np.inf)


def drawn(shares: tuple[float, ...], n: int, runs: int, seed: int) -> Array:
    return np.random.default_rng(seed).multinomial(n, np.clip(shares, 0, 1) / sum(np.clip(shares, 0, 1)), size=runs)


def detected(rate: float, churn: float, n: int, runs: int, seed: int) -> tuple[float | None, float | None]:
    """The smallest drops that ours and the unpaired test find with probability `POWER`."""
    found = []
    for test in (ours, lambda counts: unpaired_z(counts) > Z):
        low, high = 0.0, rate - churn / 2
        if test(drawn(cells(rate, churn, high), n, runs, seed)).mean() < POWER:
            found.append(None)
            continue
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (low, middle) if test(drawn(cells(rate, churn, middle), n, runs, seed)).mean() >= POWER else (
                middle, high)  # fmt: skip
        found.append(high)
    return found[0], found[1]


def not_worse(rate: float, churn: float, n: int, drop: float, runs: int, seed: int) -> tuple[float, float]:
    """How often ours and the unpaired test show that less than the margin was lost."""
    counts = drawn(cells(rate, churn, drop), n, runs, seed)
    shown = [within_margin(int(c[1]), int(c[2]), n) for c in counts]
    return float(np.mean(shown)), float((unpaired_z(counts, MARGIN) < -Z).mean())


@cache
def within_margin(lost: int, gained: int, n: int) -> bool:
    return lost_at_most(gained, lost, n, -MARGIN, BETA) <= ALPHA


def row(rate: float, churn: float, n: int, runs: int, seed: int) -> dict[str, object]:
    few = max(100, runs // (10 if n > 5000 else 2))
    paired, unpaired = detected(rate, churn, n, runs, seed)
    wrong = drawn(cells(rate, churn, 0.0), n, runs, seed + 1)
    kept, kept_unpaired = not_worse(rate, churn, n, 0.0, few, seed + 2)
    at_margin, at_margin_unpaired = not_worse(rate, churn, n, MARGIN, few, seed + 3)
    return {
        "items": n,
        "rate": rate,
        "changed": round(churn, 4),
        "correlation": round(correlation(rate, churn), 3),
        "drop_found": None if paired is None else round(paired, 5),
        "drop_found_unpaired": None if unpaired is None else round(unpaired, 5),
        "ratio": None if paired is None or unpaired is None else round(paired / unpaired, 3),
        "wrongly_worse": float(ours(wrong).mean()),
        "wrongly_worse_unpaired": float((unpaired_z(wrong) > Z).mean()),
        "shown_not_worse": kept,
        "shown_not_worse_unpaired": kept_unpaired,
        "wrongly_not_worse": at_margin,
        "wrongly_not_worse_unpaired": at_margin_unpaired,
        "runs": runs,
        "runs_not_worse": few,
    }


def measured(name: str, base: Path, tuned: Path, runs: int, seed: int) -> list[dict[str, object]]:
    """The same for the models of two folders: their rate and how often they disagree are taken from the samples."""
    rows = []
    for one in pair_folders(read_samples(base), read_samples(tuned)).benchmarks:
        pairs = [(pair.base, pair.tuned) for pair in one.pairs if {pair.base, pair.tuned} <= {0.0, 1.0}]
        n = len(pairs)
        lost, gained = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        rate, churn = sum(a for a, _ in pairs) / n, 2 * min(lost, gained) / n
        counts = np.array([[sum(a == b == 1 for a, b in pairs), lost, gained, sum(a == b == 0 for a, b in pairs)]])
        if not 0 < rate < 1:
            print(f"{one.name}: the base has all items right, or none; nothing to ask about a drop")
            continue
        many = MORE * n
        paired, unpaired = detected(rate, churn, many, runs, seed)
        rows.append(
            {
                "set": name,
                "task": one.name,
                "metric": one.metric,
                "counts": {"both": int(counts[0, 0]), "lost": lost, "gained": gained, "neither": int(counts[0, 3])},
                "p_ours": mcnemar_worse(lost, gained),
                "p_unpaired": 0.5 * math.erfc(float(unpaired_z(counts)[0]) / math.sqrt(2)),
                **row(rate, churn, n, runs, seed),
                "with_more_items": {"items": many, "drop_found": paired, "drop_found_unpaired": unpaired},
            }
        )
    return rows


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


def show(rows: list[dict[str, object]]) -> None:
    heads = ("items", "changed", "correlation", "drop found", "unpaired", "ratio", "not worse shown", "unpaired")
    keys = ("items", "changed", "correlation", "drop_found", "drop_found_unpaired", "ratio", "shown_not_worse",
            "shown_not_worse_unpaired")  # fmt: skip
    print(" | ".join(("set", *heads)))
    for one in rows:
        cells = (f"{v:.4g}" if isinstance(v := one[key], int | float) else "-" for key in keys)
        print(" | ".join((str(one.get("task", "simulated")), *cells)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", action="append", default=[], metavar="NAME=BASE,TUNED")
    parser.add_argument("--simulated", type=Path, metavar="FILE", help="take the simulated rows of an earlier result")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "paired_items.json")
    o = parser.parse_args()
    began = time.perf_counter()
    earlier = json.loads(o.simulated.read_text(encoding="utf-8")) if o.simulated else None
    simulated = (
        earlier["simulated"]
        if earlier
        else [row(RATE, churn, n, o.runs, o.seed) for n in ITEMS for churn in (*CHURN, independent(RATE))]
    )
    show(simulated)
    sets = []
    for given in o.samples:
        name, _, folders = given.partition("=")
        base, _, tuned = folders.partition(",")
        sets += measured(name, Path(base), Path(tuned), o.runs, o.seed)
    show(sets)
    report = {
        "settings": {"alpha": ALPHA, "margin": MARGIN, "power": POWER, "rate": RATE},
        "seed": o.seed,
        "seconds": round(time.perf_counter() - began + (earlier["seconds"] if earlier else 0), 1),
        "machine": machine(),
        "simulated": simulated,
        "sample_sets": sets,
    }
    o.out.parent.mkdir(parents=True, exist_ok=True)
    o.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {o.out} after {report['seconds']} s")


if __name__ == "__main__":
    main()
