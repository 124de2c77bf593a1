"""Bounds and verdict say the same, whatever the answers: by every way of counting, for the average, arms, domains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import exceeds

from offtarget.errors import InputError
from offtarget.numbers import above, below, bounds
from offtarget.records import DecisionSettings, Interval, Status, Tally
from offtarget.stats import SequentialTest
from offtarget.stats.eprocess import block_mixture
from offtarget.stats.wording import stands_beside

DOMAINS = 3
QUESTIONS = 6


class Run:
    """Blocks of known rates in one to three arms, as `check` adds them."""

    def __init__(self, tuned, base, arms=1, seed=0, unscored=(0.0, 0.0), chosen=None, domains=DOMAINS):
        self.rng = np.random.default_rng(seed)
        self.arms = {f"a{i}": [f"a{i}/{q}" for q in range(max(QUESTIONS, domains))] for i in range(arms)}
        every = [p for group in self.arms.values() for p in group]
        self.domain = {p: f"d{int(p.split('/')[1]) % domains}" for p in every}
        self.test = SequentialTest(self.arms, self.domain, {p: p.split("/")[1] for p in every}, chosen)
        self.tuned, self.base, self.unscored = tuned, base, unscored
        self.blocks = 0

    def _add(self, probes, add, name):
        drawn = [probes[int(i)] for i in self.rng.integers(len(probes), size=5)]
        rates = [self.tuned(drawn[0]), *(self.base(p) for p in drawn[1:])]
        bad = self.rng.random(5) < rates
        silent = self.rng.random(5) < [self.unscored[0], *[self.unscored[1]] * 4]
        redrawn = [i for i in range(5) if silent[i]]
        answers = [(p, bool(b)) for p, b in zip(drawn, bad, strict=True)]
        add(name, answers[0], answers[1:], redrawn)
        self.blocks += 1

    def step(self):
        """One round over the arms that need answers, or one block inside a domain that looks worse."""
        domain = self.test.follow_up()
        if domain is not None:
            self._add([p for p in self.domain if self.domain[p] == domain], self.test.add_inside, domain)
        for arm in () if domain else set(self.arms) - set(self.test.decided_arms()):
            self._add(self.arms[arm], self.test.add_block, arm)

    def until(self, cap):
        while self.test.status() is Status.UNDECIDED and self.blocks < cap:
            before = self.blocks
            self.step()
            if self.blocks == before:
                break
        return self.test.status()

    def decision(self):
        return self.test.decision({"base": {}, "tuned": {}})


def agrees(decision, chosen):
    """Every bound that the verdict rests on lies on its side of the limit, and so do the rows beside it."""
    claims = [b for b in decision.bounds if b.limit is not None]
    if decision.status is Status.FAIL:
        assert claims
        assert all(b.at_least is not None and b.at_least >= b.limit for b in claims)
        named = [s for s in (*decision.arms, *decision.slices) if s.status is Status.FAIL]
        assert all(
            s.interval.low >= chosen.tolerance for s in named if s.scope != "question" and len(decision.arms) > 1
        )
    elif decision.status is Status.PASS:
        assert {b.of for b in claims} >= {"arm"}
        assert all(b.less_than is not None and b.less_than <= b.limit for b in claims)
        assert all(a.interval.high <= chosen.margin for a in decision.arms)
        assert decision.overall.interval.high <= chosen.pooled_margin
    else:
        assert not claims


RATES = st.sampled_from([0.0, 0.001, 0.02, 0.05, 0.3, 0.9])


@pytest.mark.no_cover
@settings(max_examples=25, deadline=None)
@given(
    RATES, RATES, RATES, st.integers(1, 3), st.sampled_from([0.0, 0.4]), st.sampled_from([0.0, 0.4]), st.integers(0, 99)
)
def test_no_bound_contradicts_the_verdict(tuned, other, base, arms, silent, base_silent, seed):
    """Whatever rates arms have and whatever is unscored: PASS shows bounds below its margins, FAIL above."""
    run = Run(
        lambda p: tuned if p.startswith("a0") else other, lambda p: base, arms, seed, unscored=(silent, base_silent)
    )
    run.until(150)
    agrees(run.decision(), run.test.settings)


@pytest.mark.parametrize(
    "chosen", [DecisionSettings(0.2, 0.033, 0.071), DecisionSettings(0.2, 0.01, 0.03, average_margin=0.011)]
)
def test_margins_between_the_points_of_the_grid_are_met_exactly(chosen):
    """Margins that nobody foresaw are among the bounds, so that a PASS is never printed above its margin."""
    run = Run(lambda p: 0.0, lambda p: 0.0, 2, chosen=chosen)
    assert run.until(900) is Status.PASS
    agrees(run.decision(), chosen)


def test_what_was_shown_once_stays_shown():
    """Bounds only tighten, also when later answers speak against them, and so does the verdict."""
    run = Run(lambda p: 0.0, lambda p: 0.0, chosen=DecisionSettings(average_margin=0.05))
    run.until(200)
    before = run.decision().arms[0].interval.high
    run.tuned = lambda p: 0.1
    for _ in range(15):
        run._add(run.arms["a0"], run.test.add_block, "a0")
        assert run.decision().arms[0].interval.high <= before
    assert run.test.status() in (Status.PASS, Status.FAIL)


def _block_of_arms(side, null, tuned, base):
    """Expected value of a pass: one block of each arm, whose answers are added up."""
    mixture = block_mixture(side, null, 4)
    weights, factors = np.exp(mixture.log_weights[0]), np.exp(mixture.log_factors[:, 0])
    each = 1.0
    for t, b in zip(tuned, base, strict=True):
        each = each * (t * factors[0] + (1 - t) * factors[1]) * (b * factors[2] + (1 - b) * factors[3]) ** 4
    return float((weights * each).sum())


@pytest.mark.parametrize(("side", "null", "sign"), [("worse", 0.01, 1), ("better", 0.02, -1), ("better", 0.05, -1)])
def test_a_pass_over_unlike_arms_is_worth_at_most_one(side, null, sign):
    """Theorem 6 without randomness: arms of very unlike rates whose average is at the border of the null."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        base = rng.random(3) ** 3
        gaps = rng.uniform(-1, 1, 3)
        tuned = np.clip(base + gaps, 0, 1)
        excess = sign * ((tuned - base).mean() - null)
        if excess <= 0:
            assert _block_of_arms(side, null, tuned, base) <= 1 + 1e-9


def test_passes_count_the_first_blocks_of_each_arm():
    """Blocks of an arm that is ahead wait until the others have as many."""
    run = Run(lambda p: 0.0, lambda p: 0.0, 2)
    for _ in range(30):
        run._add(run.arms["a0"], run.test.add_block, "a0")
    assert run.test._scored.passes.number == 0
    for _ in range(10):
        run._add(run.arms["a1"], run.test.add_block, "a1")
    assert run.test._scored.passes.number == 10
    assert run.test._scored.passes.total.sum() == 10 * 2 * 5


@pytest.mark.no_cover
def test_the_average_never_passes_too_often():
    """Two arms, one clean and one 4 % worse, average at its margin of 2 %: PASS within alpha."""
    passed = sum(
        Run(lambda p: 0.04 if p.startswith("a1") else 0.0, lambda p: 0.0, 2, seed).until(300) is Status.PASS
        for seed in range(25)
    )
    assert not exceeds(passed, 25, 0.05)


def test_all_answers_are_looked_at_besides_scored_ones():
    """A base that mostly gives no answer hides what the tuned model does: FAIL names the count that showed it."""
    run = Run(lambda p: 0.3, lambda p: 0.3, unscored=(0.0, 0.9), seed=3)
    assert run.until(600) is Status.FAIL
    decision = run.decision()
    assert {b.counted for b in decision.bounds} == {"all"}
    assert "among all answers, scored or not" in decision.reason
    agrees(decision, run.test.settings)


@pytest.mark.long
@pytest.mark.no_cover
def test_unscored_answers_cannot_fail_equal_models_too_often():
    """Both counts at the tolerance, a third of first answers unscored in both: FAIL within alpha."""
    failed = sum(
        Run(lambda p: 0.11, lambda p: 0.1, seed=seed, unscored=(0.3, 0.3)).until(150) is Status.FAIL
        for seed in range(40)
    )
    assert not exceeds(failed, 40, 0.05)


def test_a_pass_waits_where_far_fewer_tuned_answers_have_a_score():
    """A PASS is kept back when 30 points fewer of the tuned model's answers are scored, and says what to do."""
    run = Run(lambda p: 0.0, lambda p: 0.0, chosen=DecisionSettings(average_margin=0.05))
    assert run.until(200) is Status.PASS
    tallies = {"tuned": {"a0/0": Tally(aligned=70, refused=30)}, "base": {"a0/0": Tally(aligned=300)}}
    decision = run.test.decision(tallies)
    assert decision.status is Status.UNDECIDED
    assert "70 % of the tuned answers got a score, 100 % of the base's" in decision.reason
    fine = {"tuned": {"a0/0": Tally(aligned=85, refused=15)}, "base": {"a0/0": Tally(aligned=300)}}
    assert run.test.decision(fine).status is Status.PASS


def test_a_domain_that_looks_worse_is_followed_up_and_named():
    """One domain of several at 30 %, the rest clean: never a plain PASS, and the FAIL names the domain."""
    for seed in range(4):
        run = Run(lambda p: 0.3 if p.endswith("/1") else 0.0, lambda p: 0.0, 2, seed, domains=13)
        assert run.until(900) is Status.FAIL
        assert "in the domain d1" in run.decision().reason
        agrees(run.decision(), run.test.settings)


def test_a_pass_says_how_bad_a_single_domain_may_still_be():
    """Beside every PASS stands the largest bound of a domain and of a question."""
    run = Run(lambda p: 0.0, lambda p: 0.0)
    run.until(400)
    decision = run.decision()
    beside = {b.of: b.less_than for b in decision.bounds if b.limit is None}
    domains = [s.interval.high for s in decision.slices if s.scope == "domain"]
    assert beside["domain"] == max(domains)
    assert beside["question"] >= beside["domain"] > 0
    assert stands_beside(decision)[0].startswith(
        f"A single domain may still be worse by up to {below(max(domains))} points: "
    )


def test_blocks_inside_a_domain_are_refused_from_elsewhere():
    """A question of another domain inside a domain's block is an error and adds nothing."""
    run = Run(lambda p: 0.0, lambda p: 0.0)
    with pytest.raises(InputError, match="not in domain 'd0'"):
        run.test.add_inside("d0", ("a0/1", False), [("a0/0", False)] * 4)
    assert run.test.look().tuned_answers == 0


def test_bounds_are_printed_outwards():
    """Rounding never makes a bound tighter than it is."""
    assert (below(0.0475), above(0.0475), below(0.05), above(-0.0125)) == ("4.8", "4.7", "5", "-1.3")
    assert bounds(Interval(-1.0, 0.0475)) == "-100 to +4.8"
    assert bounds(Interval(0.47, 1.0)) == "+47 to +100"
