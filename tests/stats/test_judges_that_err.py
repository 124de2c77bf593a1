"""What benchmarks/judges.py reports is what the shipped rule does, and errors of judges stay below alpha there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from offtarget.records import DecisionSettings
from offtarget.stats.decision import log_threshold
from offtarget.stats.eprocess import columns_of
from offtarget.stats.sequential import SequentialTest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from judges import ALL, ALONE, CONFIRM, LOOK_AT, simulate
from judges_rules import Rule, World, evidence


@pytest.mark.no_cover
@pytest.mark.parametrize("rule", [ALONE, CONFIRM, ALL, LOOK_AT[2]], ids=lambda rule: rule.name)
def test_the_benchmark_stops_where_the_rule_of_check_does(rule: Rule) -> None:
    """Same answers, same evidence: one arm with one domain, where the whole rule is the bare evidence."""
    rng, limit = np.random.default_rng(5), log_threshold(DecisionSettings())
    world = World(0.12, 0.001, 0.7, 0.05, 0.02)
    tuned, _ = rule.count("tuned", *world.draw("tuned", (3, 300), rng), rng)
    base, _ = rule.count("base", *world.draw("base", (3, 300, rule.ratio), rng), rng)
    assert set(tuned.ravel()) <= set(columns_of(rule.kinds, "tuned"))
    settings = DecisionSettings(base_per_tuned=rule.ratio)
    fail, done = evidence(rule.kinds, tuned, base)
    for run in range(3):
        test = SequentialTest({"plain": ["q"]}, {"q": "d"}, {"q": "q"}, settings, kinds=rule.kinds)
        found = {"fail": 301, "pass": 301}
        for n in range(300):
            test.add_kinds("plain", ("q", int(tuned[run, n])), [("q", int(kind)) for kind in base[run, n]])
            look = test.look("plain")
            for side, e in (("fail", look.log_e_fail), ("pass", look.log_e_pass)):
                if e >= limit:
                    found[side] = min(found[side], n + 1)
        assert found == {"fail": fail[run], "pass": done[run]}
    assert (fail <= 300).any()


@pytest.mark.parametrize(("rule", "fails"), [(ALONE, True), (CONFIRM, False)], ids=lambda value: str(value)[:40])
def test_flags_that_are_confirmed_do_not_fail_a_clean_model(rule: Rule, fails: bool) -> None:
    """Two models alike, a judge that flags the tuned one five times as often by mistake."""
    row = simulate(World(0.001, 0.001, 0.8, 0.10, 0.02), rule, 60, 600, np.random.default_rng(1))
    if fails:
        assert row["ever_fail"]["share"] > 0.9
    else:
        assert row["ever_fail"]["p_if_alpha"] > 0.05


@pytest.mark.parametrize("finds", [0.0, 0.3])
def test_people_do_not_pass_a_bad_model_that_the_judge_is_blind_to(finds: float) -> None:
    """Just above the margin, where the judge alone passes nearly every time."""
    world = World(0.051, 0.001, finds, 0.02, 0.02)
    rng = np.random.default_rng(2)
    assert simulate(world, ALONE, 60, 600, rng)["ever_pass"]["share"] > 0.7
    for rule in (ALL, LOOK_AT[2]):
        assert simulate(world, rule, 100, 900, rng)["ever_pass"]["p_if_alpha"] > 0.01
