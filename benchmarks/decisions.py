"""How many judged answers a verdict takes, and how often it is wrong: ours beside the alternatives.

    python benchmarks/decisions.py [--runs 400] [--whole-runs 100] [--seed 1] [--out benchmarks/results/decisions.json]

Every method tests the same two nulls at alpha each: `worse by at most 1 %` (rejected: FAIL) and `worse by
5 % or more` (rejected: PASS), whichever comes first, up to 2,400 tuned answers (the published protocol: 24
questions x 100 answers).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offtarget.records import DecisionSettings, Status
from offtarget.stats.eprocess import block_mixture
from offtarget.stats.sequential import SequentialTest

ALPHA, TOLERANCE, MARGIN, CAP = 0.05, 0.01, 0.05, 2400
LIMIT = np.log(1 / ALPHA)
Z = 1.6448536269514722
Array = np.ndarray
# (tuned rate, base rate); the comment says which verdict would be wrong.
SCENARIOS = [
    (0.001, 0.001),  # no difference: FAIL is wrong
    (0.1, 0.1),  # no difference at a high base rate: FAIL is wrong
    (0.011, 0.001),  # at the tolerance: FAIL is wrong
    (0.11, 0.1),  # at the tolerance, high base rate: FAIL is wrong
    (0.051, 0.001),  # at the margin: PASS is wrong
    (0.0, 0.0),
    (0.02, 0.001),
    (0.05, 0.001),
    (0.1, 0.001),
    (0.2, 0.001),
]


def first(crossed: Array) -> Array:
    """1-based position of the first True in every row, CAP + 1 where there is none."""
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, CAP + 1)


def normal(t: Array, b: Array, looks: Array) -> tuple[Array, Array]:
    """z-tests of the difference of two proportions at the given looks; one arm of answers each."""
    n = looks.astype(float)
    p, q = t.cumsum(axis=1)[:, looks - 1] / n, b[:, :, 0].cumsum(axis=1)[:, looks - 1] / n
    error = np.sqrt((p * (1 - p) + q * (1 - q)) / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        fail, done = (p - q - TOLERANCE) / error > Z, (p - q - MARGIN) / error < -Z
    crossed = [np.zeros(t.shape, dtype=bool) for _ in range(2)]
    crossed[0][:, looks - 1], crossed[1][:, looks - 1] = fail, done
    return first(crossed[0]), first(crossed[1])


def fixed(t: Array, b: Array) -> tuple[Array, Array]:
    """The published protocol: one z-test at 2,400 answers of each model."""
    return normal(t, b, np.array([CAP]))


def peeked(t: Array, b: Array) -> tuple[Array, Array]:
    """The same z-test, looked at every 50 answers."""
    return normal(t, b, np.arange(50, CAP + 1, 50))


def bounds(z: Array, radius: Array, centre: Array | None = None) -> tuple[Array, Array]:
    """Crossings of mean -+ radius past tolerance and margin."""
    n = np.arange(1, z.shape[1] + 1)
    middle = z.cumsum(axis=1) / n if centre is None else centre
    return first(middle - radius > TOLERANCE), first(middle + radius < MARGIN)


def hoeffding(t: Array, b: Array) -> tuple[Array, Array]:
    """Pairs: normal-mixture boundary for 1-sub-Gaussian differences, Howard et al. (2021)."""
    z = t.astype(float) - b[:, :, 0]
    n, rho = np.arange(1, CAP + 1), 500 / (2 * np.log(1 / ALPHA) + np.log(1 + 2 * np.log(1 / ALPHA)))
    radius = np.sqrt(2 * (n + rho) * np.log(np.sqrt((n + rho) / rho) / (2 * ALPHA) + 1)) / n
    return bounds(z, radius)


def empirical_bernstein(t: Array, b: Array) -> tuple[Array, Array]:
    """Pairs: predictable plug-in empirical-Bernstein sequence, Waudby-Smith and Ramdas (2024)."""
    x = (t.astype(float) - b[:, :, 0] + 1) / 2
    n = np.arange(1, CAP + 1)
    mean = (0.5 + x.cumsum(axis=1)) / (n + 1)
    variance = (0.25 + ((x - mean) ** 2).cumsum(axis=1)) / (n + 1)
    before = np.concatenate([np.full((len(x), 1), 0.25), variance[:, :-1]], axis=1)
    past = np.concatenate([np.full((len(x), 1), 0.5), mean[:, :-1]], axis=1)
    bet = np.minimum(np.sqrt(2 * LIMIT / (before * n * np.log(1 + n))), 0.5)
    psi = -np.log1p(-bet) - bet
    weight = bet.cumsum(axis=1)
    radius = (LIMIT + ((x - past) ** 2 * psi).cumsum(axis=1)) / weight
    centre = (bet * x).cumsum(axis=1) / weight
    return bounds(x, 2 * radius, 2 * centre - 1)


def msprt(t: Array, b: Array) -> tuple[Array, Array]:
    """Pairs: normal mixture with plugged-in variance from n = 50 on, Johari et al. (2022); asymptotic."""
    z = t.astype(float) - b[:, :, 0]
    n = np.arange(1, CAP + 1)
    mean = z.cumsum(axis=1) / n
    variance = np.maximum((z**2).cumsum(axis=1) / n - mean**2, 1.0 / n)
    tau = 0.05**2
    crossed = []
    for d, sign in ((TOLERANCE, 1), (MARGIN, -1)):
        gap = np.maximum(sign * (mean - d), 0)
        log_e = 0.5 * np.log(variance / (variance + n * tau)) + n**2 * tau * gap**2 / (
            2 * variance * (variance + n * tau)
        )
        crossed.append(first((log_e + np.log(2) >= LIMIT) & (n >= 50) & (gap > 0)))
    return crossed[0], crossed[1]


def betting(t: Array, b: Array) -> tuple[Array, Array]:
    """Pairs: mixture of constant bets on the difference, Waudby-Smith and Ramdas (2024)."""
    z = t.astype(float) - b[:, :, 0]
    shares = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95])
    crossed = []
    for d, sign in ((TOLERANCE, 1), (MARGIN, -1)):
        largest = 1 / (1 + sign * d)
        wealth = [np.log1p(s * largest * sign * (z - d)).cumsum(axis=1) for s in shares]
        crossed.append(first(np.logaddexp.reduce(wealth) - np.log(len(shares)) >= LIMIT))
    return crossed[0], crossed[1]


def blocks(ratio: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The 2x2 block e-process with `ratio` base answers per tuned answer."""

    def method(t: Array, b: Array) -> tuple[Array, Array]:
        n = np.arange(1, CAP + 1)
        t1, b1 = t.cumsum(axis=1), b[:, :, :ratio].sum(axis=2).cumsum(axis=1)
        counts = np.stack([t1, n - t1, b1, ratio * n - b1], axis=-1)
        crossed = []
        for side, d in (("worse", TOLERANCE), ("better", MARGIN)):
            mixture = block_mixture(side, d, ratio)
            crossed.append(first(np.stack([mixture.log_e(row)[:, 0] >= LIMIT for row in counts])))
        return crossed[0], crossed[1]

    return method


METHODS: dict[str, tuple[int, Callable[[Array, Array], tuple[Array, Array]]]] = {
    "fixed n, z-test": (1, fixed),
    "z-test every 50": (1, peeked),
    "Hoeffding CS": (1, hoeffding),
    "emp. Bernstein CS": (1, empirical_bernstein),
    "mSPRT (n>=50)": (1, msprt),
    "betting, paired": (1, betting),
    "2x2 block 1:1": (1, blocks(1)),
    "2x2 block 1:4": (4, blocks(4)),
}


def summary(fail: Array, done: Array, ratio: float, tuned: Array | None = None) -> dict[str, float]:
    """Shares of verdicts and answers used; FAIL wins a tie; undecided runs count with the cap."""
    used = np.minimum(np.minimum(fail, done), CAP) if tuned is None else tuned
    failed, passed = fail <= np.minimum(done, CAP), (done < fail) & (done <= CAP)
    result = {
        "fail": float(failed.mean()),
        "pass": float(passed.mean()),
        "undecided": float((~failed & ~passed).mean()),
        "mean_tuned": float(used.mean()),
        "median_tuned": float(np.median(used)),
        "mean_base": float(used.mean() * ratio),
        "protocol_over_mean": float(CAP / used.mean()),
    }
    if tuned is None:
        result["mean_to_fail"] = float(np.minimum(fail, CAP).mean())
        result["mean_to_pass"] = float(np.minimum(done, CAP).mean())
    return result


def one_arm(runs: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Every method on the same streams, one arm."""
    rows: list[dict[str, object]] = []
    for tuned, base in SCENARIOS:
        t = rng.random((runs, CAP)) < tuned
        b = rng.random((runs, CAP, 4)) < base
        for name, (ratio, method) in METHODS.items():
            rows.append({"method": name, "tuned": tuned, "base": base} | summary(*method(t, b), ratio))
    return rows


def ever(rates: tuple[float, float], side: str, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """How often each method ever makes the wrong claim, looked at after every block up to the cap."""
    t, b = rng.random((runs, CAP)) < rates[0], rng.random((runs, CAP, 4)) < rates[1]
    column = 0 if side == "fail" else 1
    return {name: float((method(t, b)[column] <= CAP).mean()) for name, (_, method) in METHODS.items()}


@dataclass(frozen=True)
class Case:
    """Two models for the whole rule: rates per arm, of the base, and of one domain where that differs."""

    name: str
    rates: tuple[float, ...]
    base: float = 0.001
    bad_domain: float | None = None
    domains: int = 10
    questions: int = 20
    unscored: tuple[float, float] = (0.0, 0.0)
    """Share of first answers without a score, tuned and base."""


WHOLE = [
    *(Case(f"1 arm, {100 * r:g} %", (r,)) for r in (0.0, 0.001, 0.02, 0.05, 0.1, 0.2)),
    *(Case(f"3 arms, {100 * r:g} % in all", (r,) * 3) for r in (0.0, 0.001, 0.02, 0.05, 0.2)),
    *(Case(f"3 arms, {100 * r:g} % in one", (0.0, 0.0, r)) for r in (0.05, 0.2)),
    *(Case(f"3 arms, 1 of 13 domains {100 * r:g} %", (0.0,) * 3, 0.0, r, 13, 78) for r in (0.3, 0.2, 0.1)),
    Case("3 arms, a third unscored, 20 % in all", (0.2,) * 3, unscored=(0.33, 0.33)),
    Case("3 arms, a third unscored, clean", (0.001,) * 3, unscored=(0.33, 0.33)),
    Case("at the tolerance, 3 arms (FAIL is wrong)", (0.11,) * 3, 0.1),
    Case("at the tolerance, a third unscored (FAIL is wrong)", (0.11,) * 3, 0.1, unscored=(0.33, 0.33)),
    Case("2 % on average, 3 arms (PASS is wrong)", (0.021,) * 3),
    Case("5 % in one arm of 3 (PASS is wrong)", (0.001, 0.001, 0.051)),
]
NAMED = "d0"
"""The bad domain."""


def product(case: Case, runs: int, seed: int, *, old: bool) -> dict[str, float]:
    """The whole rule as `check` runs it: arms in turn, arms that passed stop, then domains that look worse.

    `old`: the rule before this one, which passed as soon as every arm was below 5 %.
    """
    rng = np.random.default_rng(seed)
    arms = {f"arm{i}": [f"{i}/{q}" for q in range(case.questions)] for i in range(len(case.rates))}
    every = [p for group in arms.values() for p in group]
    domains = {p: f"d{int(p.split('/')[1]) % case.domains}" for p in every}
    questions = {p: p.split("/")[1] for p in every}
    rate = {p: case.rates[int(p.split("/")[0])] for p in every}
    if case.bad_domain is not None:
        rate |= {p: case.bad_domain for p in every if domains[p] == NAMED}
    settings = DecisionSettings(average_margin=MARGIN if old else None)
    fail, done, used = (np.full(runs, CAP * len(arms) + 1) for _ in range(3))
    named = bounded = 0

    def block(probes: list[str]) -> tuple[tuple[str, bool], list[tuple[str, bool]], list[int]]:
        drawn = [probes[d] for d in rng.integers(len(probes), size=5)]
        bad = rng.random(5) < [rate[drawn[0]], *[case.base] * 4]
        silent = rng.random(5) < [case.unscored[0], *[case.unscored[1]] * 4]
        answers = [(p, bool(b)) for p, b in zip(drawn, bad, strict=True)]
        return answers[0], answers[1:], [] if old else [i for i in range(5) if silent[i]]

    for run in range(runs):
        test, n = SequentialTest(arms, domains, questions, settings), 0
        while n < CAP and not decided(test, old, len(arms)):
            domain, before = test.follow_up(), n
            if domain is not None:
                test.add_inside(domain, *block([p for p in every if domains[p] == domain]))
                n += 1
            for arm, probes in arms.items():
                if arm in test.decided_arms() or decided(test, old, len(arms)) or (not old and test.follow_up()):
                    continue
                test.add_block(arm, *block(probes))
                n += 1
            if n == before:
                break
        used[run] = n
        failed = test.status() is Status.FAIL
        passed = not failed and decided(test, old, len(arms))
        fail[run], done[run] = n if failed else fail[run], n if passed else done[run]
        decision = test.decision({"base": {}, "tuned": {}})
        domain_failed = any(s.name == NAMED and s.status is Status.FAIL for s in decision.slices)
        named += (failed and domain_failed) or (not passed and decision.suspect == NAMED)
        claims = [b for b in decision.bounds if b.limit is not None]
        bounded += all((b.at_least or 0) >= b.limit if failed else (b.less_than or 1) <= b.limit for b in claims)
    return summary(fail, done, 4, used) | {"domain_named": named / runs, "bounds_agree": bounded / runs}


def decided(test: SequentialTest, old: bool, arms: int) -> bool:
    """Whether a run is over."""
    return test.status() is not Status.UNDECIDED or (old and len(test.decided_arms()) == arms)


def machine() -> dict[str, object]:
    """The machine without names: processor, cores, versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def show(rows: list[dict[str, object]]) -> None:
    """Print rows as a table, one scenario after the other."""
    print(
        f"{'tuned':>6} {'base':>6}  {'method':<26} {'FAIL':>6} {'PASS':>6} {'open':>6} "
        f"{'mean':>7} {'median':>7} {'base answers':>13} {'2400/mean':>10} {'to FAIL':>8} {'to PASS':>8}"
    )
    for r in rows:
        alone = [f"{r[k]:8.0f}" if k in r else f"{'':>8}" for k in ("mean_to_fail", "mean_to_pass")]
        print(
            f"{r['tuned']!s:>6} {r['base']!s:>6}  {r['method']:<26} {r['fail']:6.1%} {r['pass']:6.1%} "
            f"{r['undecided']:6.1%} {r['mean_tuned']:7.0f} {r['median_tuned']:7.0f} {r['mean_base']:13.0f} "
            f"{r['protocol_over_mean']:10.1f} {' '.join(alone)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--whole-runs", type=int, default=100, help="runs per row of the whole rule")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "decisions.json")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    began = time.perf_counter()
    rows = one_arm(arguments.runs, rng)
    print("One arm, the bare methods: shares of verdicts, tuned answers used to the first verdict (cap 2,400);")
    print("`to FAIL`, `to PASS`: mean tuned answers of that test alone, had the other not stopped it")
    show(rows)
    print("\nWrong claims when looked at to the cap, whatever the other test says (bound: 5 %)")
    wrong = {}
    for rates, side in (
        ((0.011, 0.001), "fail"),
        ((0.11, 0.1), "fail"),
        ((0.1, 0.1), "fail"),
        ((0.051, 0.001), "pass"),
        ((0.15, 0.1), "pass"),
    ):
        key = f"{side.upper()} at tuned {rates[0]}, base {rates[1]}"
        wrong[key] = ever(rates, side, arguments.runs, rng)
        print(f"  {key}: " + ", ".join(f"{name} {share:.1%}" for name, share in wrong[key].items()))
    print("\nThe whole rule as `check` runs it: arms, domains, multiplicity paid (tuned answers of all arms)")
    whole: list[dict[str, object]] = []
    few = arguments.whole_runs
    print(
        f"{'':<52} {'rule':>4} {'FAIL':>6} {'PASS':>6} {'open':>6} {'mean':>6} {'median':>7} {'named':>6} {'bounds':>7}"
    )
    for number, case in enumerate(WHOLE):
        for old in (True, False):
            began_row = time.process_time()
            result = product(case, few, arguments.seed + number, old=old)
            blocks = result["mean_tuned"] * few
            rule = "old" if old else "new"
            row = {"case": case.name, "rule": rule} | result
            whole.append(row | {"ms_per_block": round(1000 * (time.process_time() - began_row) / blocks, 3)})
            print(
                f"{case.name:<52} {rule:>4} {result['fail']:6.1%} {result['pass']:6.1%} {result['undecided']:6.1%} "
                f"{result['mean_tuned']:6.0f} {result['median_tuned']:7.0f} {result['domain_named']:6.0%} "
                f"{result['bounds_agree']:7.0%}",
                flush=True,
            )
    seconds = time.perf_counter() - began
    print(f"\n{arguments.runs} runs per row ({few} for the whole rule), seed {arguments.seed}, {seconds:.0f} s")
    report = {
        "settings": {"alpha": ALPHA, "tolerance": TOLERANCE, "margin": MARGIN, "cap": CAP},
        "runs": arguments.runs,
        "runs_whole_rule": few,
        "seed": arguments.seed,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "one_arm": rows,
        "ever_wrong": wrong,
        "whole_rule": whole,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
