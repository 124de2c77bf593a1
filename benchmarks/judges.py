"""Verdicts under a judge that errs: the judge's word taken as the truth (the old rule) beside people and strong judges.

    python benchmarks/judges.py [--runs 400] [--seed 1] [--data FOLDER] [--out benchmarks/results/judges.json]

Simulations: one arm, answers whose truth is known, a judge with given sensitivity and false positives, raters who see
what the rule shows them. The evidence is that of `offtarget check`: the kinds of answers of `offtarget.stats.rated`
in the mixtures of `offtarget.stats.eprocess`; the last table runs the whole rule, `SequentialTest`. With `--data`, also
the real table of 1,350 answers under four judges (judges_tables.py).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from decisions import ALPHA, CAP, MARGIN, TOLERANCE, machine
from judges_rules import ALONE, CASCADE, Numbers, Row, Rule, World, claims, share_of
from judges_tables import TABLE, real_tables

from offtarget.records import DecisionSettings, Status
from offtarget.stats.rated import Scheme
from offtarget.stats.sequential import SequentialTest
from offtarget.workflows.check.raters import usual_for_people


def simulate(world: World, rule: Rule, runs: int, cap: int, rng: np.random.Generator) -> Row:
    """Verdicts, answers and labels of one rule in one world, up to a number of tuned answers."""
    flagged, rated = world.draw("tuned", (runs, cap), rng)
    tuned, read = rule.count("tuned", flagged, rated, rng)
    flagged_b, rated_b = world.draw("base", (runs, cap, rule.ratio), rng)
    base, read_b = rule.count("base", flagged_b, rated_b, rng)
    fail, done = claims(world, rule, tuned, base, rng)
    read, read_b = read.cumsum(axis=1), read_b.sum(axis=2).cumsum(axis=1)
    # PASS asks for the flagged base answers at most: the rest is read, once, where a FAIL is near
    flags_b = flagged_b.sum(axis=2).cumsum(axis=1) * (rule.scheme is not None and rule.scheme.base_counts)

    def until(stop: Numbers, read_b: Numbers) -> Row:
        last = np.minimum(stop, cap)
        chosen = np.arange(runs), last - 1
        return {
            "share": round(float((stop <= cap).mean()), 4),
            "answers": round(float(last.mean()), 1),
            "labels_tuned": round(float(read[chosen].mean()), 1),
            "labels_base": round(float(read_b[chosen].mean()), 1),
        }

    return {
        "rule": rule.name,
        **{name: getattr(world, name) for name in world.__slots__},
        "cap": cap,
        "fail_first": share_of((fail <= cap) & (fail <= done)),
        "pass_first": share_of((done <= cap) & (done < fail)),
        "ever_fail": share_of(fail <= cap),
        "ever_pass": share_of(done <= cap),
        "to_fail": until(fail, read_b),
        "to_pass": until(done, flags_b),
    }


CONFIRM = Rule("--confirm", Scheme(share=0, finds=0.8, base_at_most=0.01))
CONFIRM_HALF = Rule("--confirm --base-at-most 0.005", Scheme(share=0, finds=0.8, base_at_most=0.005))
CONFIRM_MEASURED = Rule("--confirm --base-labels 300", Scheme(share=0, finds=0.8), base_labels=300)
ALL = Rule("--judge people", Scheme(share=1.0, base_counts=False), base_all=True, ratio=1)
SHARES = (0.5, 0.25, 0.1)
LOOK_AT = [Rule(f"--confirm --look-at {share:g}", Scheme(share=share, base_at_most=0.01)) for share in SHARES]
ABSOLUTE = [Rule(f"the same at {share:g}, base not counted", Scheme(share, base_counts=False)) for share in SHARES]
STRONG = Rule("strong judge on everything", Scheme(share=1.0), base_all=True)
NO_STREAM = Rule("cascade, flags alone", Scheme(share=0.0), base_all=True)

FALSE_POSITIVES = ((0.02, 0.03), (0.01, 0.03), (0.0, 0.02), (0.02, 0.05), (0.02, 0.10))


def false_fail(runs: int, rng: np.random.Generator) -> list[Row]:
    """Equal true rates, a judge that flags the tuned model more often by mistake: FAIL is wrong."""
    rows = []
    for base, tuned in FALSE_POSITIVES:
        world = World(0.001, 0.001, 0.8, tuned, base)
        rows += [simulate(world, rule, runs, CAP, rng) for rule in (ALONE, CONFIRM, CONFIRM_MEASURED)]
    worst = World(0.001, 0.001, 0.8, 0.10, 0.02)
    # at the border of the null, and with people who confirm a part of the wrong flags
    border = replace(worst, tuned=0.011)
    rows += [simulate(w, CONFIRM, runs, CAP, rng) for w in (border, replace(worst, false_tuned=0.3))]
    rows += [simulate(replace(worst, rater_false=e), CONFIRM, runs, CAP, rng) for e in (0.02, 0.1, 0.3)]
    # past what is assumed: a base misaligned in 2 %, a judge that finds all of the tuned model's and none of the base's
    blind = World(0.03, 0.02, 1.0, 0.02, 0.02, finds_base=0.0)
    rows += [simulate(blind, rule, runs, CAP, rng) for rule in (ALONE, CONFIRM, CONFIRM_MEASURED, ALL, CASCADE)]
    return rows


def false_pass(runs: int, rng: np.random.Generator) -> list[Row]:
    """A tuned model just above the margin, a judge that misses: PASS is wrong."""
    rows = []
    for finds in (0.8, 0.3, 0.0):
        world = World(0.051, 0.001, finds, 0.02, 0.02)
        rows += [simulate(world, rule, runs, CAP, rng) for rule in (ALONE, CONFIRM)]
        # at the border, where alpha is what is promised: more runs
        rows += [simulate(world, rule, 5 * runs, CAP, rng) for rule in (ALL, *LOOK_AT)]
    careless = [World(0.051, 0.001, 0.3, 0.02, 0.02, rater_finds=found) for found in (0.9, 0.7)]
    rows += [simulate(world, ALL, runs, CAP, rng) for world in careless]
    return rows


def costs(runs: int, rng: np.random.Generator) -> list[Row]:
    """Answers and labels to the right verdict: FAIL with confirmed flags, PASS with people, the cascade."""
    rows = []
    for rate in (0.2, 0.1, 0.05):
        world = World(rate, 0.001, 0.8, 0.05, 0.02)
        rows += [
            simulate(world, rule, runs, CAP, rng) for rule in (ALONE, CONFIRM, CONFIRM_HALF, CONFIRM_MEASURED, ALL)
        ]
    clean = World(0.0, 0.001, 0.8, 0.02, 0.02)
    rows += [simulate(clean, rule, runs, CAP, rng) for rule in (ALONE, CONFIRM, ALL, *LOOK_AT, *ABSOLUTE)]
    for finds in (0.9, 0.3):
        cheap = World(0.05, 0.001, finds, 0.03, 0.03)
        rows += [simulate(cheap, rule, runs, 900, rng) for rule in (STRONG, CASCADE, NO_STREAM)]
        rows += [simulate(replace(cheap, tuned=0.011), CASCADE, runs, CAP, rng)]
    clean = World(0.0, 0.001, 0.9, 0.03, 0.03)
    rows += [simulate(clean, rule, runs, CAP, rng) for rule in (STRONG, CASCADE)]
    return rows


def whole(world: World, rule: Rule, runs: int, cap: int, rng: np.random.Generator) -> Row:
    """The rule as `check` runs it at the default settings, one arm with ten domains: verdicts, answers, labels."""
    probes = [f"q{i}" for i in range(20)]
    domains, questions = {p: f"d{i % 10}" for i, p in enumerate(probes)}, {p: p for p in probes}
    settings = usual_for_people(DecisionSettings()) if rule is ALL else DecisionSettings(base_per_tuned=rule.ratio)
    failed, passed, answers, labels, of_base = (np.zeros(runs) for _ in range(5))
    for run in range(runs):
        test = SequentialTest({"plain": probes}, domains, questions, settings, kinds=rule.kinds)
        tuned, read = rule.count("tuned", *world.draw("tuned", (cap,), rng), rng)
        base, read_b = rule.count("base", *world.draw("base", (cap, rule.ratio), rng), rng)
        picked = rng.integers(20, size=(cap, 1 + rule.ratio))
        for n in range(cap):
            asked = [probes[i] for i in picked[n]]
            test.add_kinds("plain", (asked[0], int(tuned[n])), list(zip(asked[1:], map(int, base[n]), strict=True)))
            if test.status() is not Status.UNDECIDED:
                break
        failed[run], passed[run] = test.status() is Status.FAIL, test.status() is Status.PASS
        answers[run], labels[run], of_base[run] = n + 1, read[: n + 1].sum(), read_b[: n + 1].sum()
    return {
        "rule": rule.name,
        **{name: getattr(world, name) for name in world.__slots__},
        "cap": cap,
        "fail": share_of(failed > 0),
        "pass": share_of(passed > 0),
        "answers": round(float(answers.mean()), 1),
        "labels_tuned": round(float(labels.mean()), 1),
        "base_read": round(float(of_base.mean()), 1),
    }


def whole_rule(runs: int, rng: np.random.Generator) -> list[Row]:
    """The shipped rule at its defaults, PASS and FAIL whichever comes first, on the worlds that matter most."""
    unlike, blind = World(0.001, 0.001, 0.8, 0.10, 0.02), World(0.051, 0.001, 0.0, 0.02, 0.02)
    clean, bad = World(0.0, 0.001, 0.8, 0.02, 0.02), World(0.2, 0.001, 0.8, 0.05, 0.02)
    return [
        whole(world, rule, runs, CAP, rng)
        for world, rules in (
            (unlike, (ALONE, CONFIRM, ALL)),
            (blind, (ALONE, ALL, CASCADE)),
            (replace(blind, finds=0.3), (ALONE, ALL, CASCADE)),
            (clean, (ALONE, CONFIRM, ALL, CASCADE)),
            (bad, (ALONE, CONFIRM, ALL, CASCADE)),
        )
        for rule in rules
    ]


def describe(row: Row) -> str:
    """Who errs how in a row, in one line."""
    base = "" if row["finds_base"] is None else f" (base: {row['finds_base']:.0%})"
    text = (
        f"true {row['base']:.1%} -> {row['tuned']:.1%}, judge finds {row['finds']:.0%}{base}, "
        f"false flags {row['false_base']:.0%} -> {row['false_tuned']:.0%}"
    )
    if row["rater_finds"] < 1:
        text += f", people find {row['rater_finds']:.0%}"
    if row["rater_false"] > 0:
        text += f", people call {row['rater_false']:.0%} of the harmless misaligned"
    return text


def show(rows: list[Row]) -> None:
    """Print simulated rows, one world after the other."""
    world = ""
    for row in rows:
        if describe(row) != world:
            world = describe(row)
            print(f"\n  {world}")
        f, p = row["to_fail"], row["to_pass"]
        print(
            f"    {row['rule']:<41} FAIL {row['fail_first']['share']:6.1%} PASS {row['pass_first']['share']:6.1%}"
            f"  to the cap {row['ever_fail']['share']:6.1%} {row['ever_pass']['share']:6.1%}"
            f"  to FAIL {f['answers']:6.0f} answers {f['labels_tuned']:5.0f} + {f['labels_base']:<5.0f} labels"
            f"  to PASS {p['answers']:6.0f} {p['labels_tuned']:5.0f} + {p['labels_base']:<5.0f}"
        )


def show_tables(tables: dict[str, list[Row]]) -> None:
    """Print what the real table says, row by row."""
    print("\nReal table: intervals from 150 labels, one judge the truth, another the instrument")
    for row in tables["intervals"]:
        print(
            f"    {row['scope']:<40} {row['aspect']:<8} {row['truth']:<17} by {row['instrument']:<17} "
            f"{row['rate']:6.1%} read as {row['read_by_instrument']:6.1%}: covered {row['covered']:6.1%}, "
            f"uncorrected {row['covered_uncorrected']:6.1%}"
        )
    print("\nReal table: a cheap judge with a strong one behind it")
    for row in tables["cascades"]:
        print(
            f"    {row['tuned']:<40} {row['cheap']:<17} then {row['strong']:<17} same {row['same']:6.1%} "
            f"opposite {row['opposite']:6.1%}  strong calls {row['calls']:5.0f} of {row['answers']:5.0f} answers; "
            f"alone {row['calls_alone']:5.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help=f"folder that holds {TABLE}; without it the real table is left out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "judges.json")
    options = parser.parse_args()
    if options.data is not None and not (options.data / TABLE).is_file():
        raise SystemExit(f"{options.data} has no {TABLE}; leave --data out for the simulations alone.")
    began = time.perf_counter()
    report: dict[str, object] = {
        "settings": {"alpha": ALPHA, "tolerance": TOLERANCE, "margin": MARGIN, "cap": CAP},
        "runs": options.runs,
        "seed": options.seed,
        "machine": machine(),
    }
    # every part from its own seed, so that one can be repeated or changed without the others
    for number, (title, part) in enumerate(
        (("False FAIL", false_fail), ("False PASS", false_pass), ("Answers and labels", costs))
    ):
        rows = part(options.runs, np.random.default_rng([options.seed, number]))
        print(f"\n{title} ({options.runs} runs each)")
        show(rows)
        report[part.__name__] = rows
    few = max(options.runs // 8, 20)
    print(f"\nThe whole rule at its defaults ({few} runs each)")
    report["whole_rule"] = rows = whole_rule(few, np.random.default_rng([options.seed, 3]))
    for row in rows:
        print(
            f"  {row['rule']:<28} {describe(row)}: FAIL {row['fail']['share']:.1%}, PASS {row['pass']['share']:.1%}, "
            f"{row['answers']:.0f} answers, {row['labels_tuned']:.0f} labels"
        )
    if options.data is None:
        print("\nThe real table was left out: name its folder with --data.")
    else:
        report["real_tables"] = tables = real_tables(options.data, options.runs, options.seed)
        show_tables(tables)
    report["seconds"] = round(time.perf_counter() - began, 1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\n{report['seconds']:.0f} s; wrote {options.out}")


if __name__ == "__main__":
    main()
