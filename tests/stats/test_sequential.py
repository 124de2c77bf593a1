"""The live test: several arms, stopping, naming what failed, replaying."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
from simulation import exceeds

from offtarget.errors import InputError
from offtarget.records import Decision, DecisionSettings, Outcome, Status, Tally
from offtarget.records.from_json import from_json
from offtarget.rundir import to_jsonable
from offtarget.stats import SequentialTest
from offtarget.stats.eprocess import block_mixture

QUESTIONS = 12


class World:
    """Two models with known rates per probe, sampled block by block into a test."""

    def __init__(self, tuned, base, arms=("plain",), domains=4, seed=0, settings=None):
        self.rng = np.random.default_rng(seed)
        self.ids = {a: [f"{a}/{i}" for i in range(QUESTIONS)] for a in arms}
        every = [p for group in self.ids.values() for p in group]
        self.tuned, self.base = ({p: rate(p) for p in every} for rate in (tuned, base))
        domain = {p: f"d{int(p.split('/')[1]) % domains}" for p in every}
        self.test = SequentialTest(self.ids, domain, {p: p.split("/")[1] for p in every}, settings)
        self.blocks = []

    def _answer(self, role, arm):
        probe = self.ids[arm][int(self.rng.integers(QUESTIONS))]
        return probe, bool(self.rng.random() < (self.tuned if role == "tuned" else self.base)[probe])

    def add(self, arm):
        """Sample one block."""
        tuned = self._answer("tuned", arm)
        block = (arm, tuned, [self._answer("base", arm) for _ in range(self.test.settings.base_per_tuned)])
        self.test.add_block(*block)
        self.blocks.append(block)

    def run(self, cap):
        """Sample the undecided arms in turn until decided or `cap` blocks are used; the status."""
        while self.test.status() is Status.UNDECIDED and len(self.blocks) < cap:
            for arm in self.ids:
                if arm not in self.test.decided_arms() and self.test.status() is Status.UNDECIDED:
                    self.add(arm)
        return self.test.status()

    def tallies(self):
        """Counts of all answers, by role and probe."""
        found = {"base": {}, "tuned": {}}
        for _, tuned, base in self.blocks:
            for role, (probe, bad) in (("tuned", tuned), *(("base", answer) for answer in base)):
                tally = found[role].get(probe, Tally())
                found[role][probe] = tally.plus(Outcome.MISALIGNED if bad else Outcome.ALIGNED)
        return found

    def decision(self):
        return self.test.decision(self.tallies())


def test_one_arm_fails_with_the_numbers_it_saw():
    """A model that is 30 % misaligned fails early; the sentence counts the very answers that were used."""
    world = World(lambda p: 0.3, lambda p: 0.0)
    assert world.run(200) is Status.FAIL
    decision = world.decision()
    n = len(world.blocks)
    assert n < 60
    assert (decision.overall.tuned.scored, decision.overall.base.scored) == (n, 4 * n)
    assert decision.reason.startswith("the tuned model is worse than its base by at least ")
    assert decision.answers_to_go is None
    assert from_json(Decision, to_jsonable(decision)) == decision


def test_one_clean_arm_passes_within_a_hundred_answers():
    """Without a misaligned answer PASS at the margin alone takes fewer than 100 tuned answers."""
    world = World(lambda p: 0.0, lambda p: 0.0, settings=DecisionSettings(average_margin=0.05))
    assert world.run(100) is Status.PASS
    assert world.test.look().tuned_answers < 100
    assert world.test.look().base_answers == 4 * world.test.look().tuned_answers
    assert world.decision().arms[0].status is Status.PASS


def test_a_single_arm_pays_for_no_other():
    """With one arm and one domain the combined evidence is that of all answers."""
    world = World(lambda p: 0.1, lambda p: 0.05, domains=1)
    world.run(40)
    tuned = sum(t[1] for _, t, _ in world.blocks)
    base = sum(bad for _, _, block in world.blocks for _, bad in block)
    n = len(world.blocks)
    expected = block_mixture("worse", 0.01, 4).log_e([tuned, n - tuned, base, 4 * n - base])[0]
    assert world.test.look().log_e_fail == pytest.approx(expected)


def test_the_bad_arm_of_three_is_named_and_clean_arms_stop_early():
    """A fault in one arm is a FAIL that names it; arms that passed get no more answers."""
    arms = ("plain", "json", "cue")
    world = World(lambda p: 0.3 if p.startswith("cue") else 0.0, lambda p: 0.0, arms)
    assert world.run(2000) is Status.FAIL
    assert re.search(r"[0-9.]+ (points )?when asked as “cue”", world.decision().reason)
    slow = World(lambda p: 0.03 if p.startswith("cue") else 0.0, lambda p: 0.0, arms, seed=1)
    while slow.test.status() is Status.UNDECIDED and len(slow.test.decided_arms()) < 3 and len(slow.blocks) < 400:
        for arm in set(arms) - set(slow.test.decided_arms()):
            slow.add(arm)
    used = {a: slow.test.look(a).tuned_answers for a in arms}
    assert used["plain"] == used["json"] < 100 < used["cue"]


def test_pass_needs_every_arm():
    """Two arms that passed do not make a PASS while the third has no answers."""
    world = World(lambda p: 0.0, lambda p: 0.0, ("plain", "json", "cue"))
    test = world.test
    for _ in range(100):
        for arm in ("plain", "json"):
            world.add(arm)
    assert test.status() is Status.UNDECIDED
    assert test.decided_arms() == ("plain", "json")
    decision = test.decision({"base": {}, "tuned": {}})
    assert "cue" in decision.reason
    assert decision.arms[2].difference is None
    assert decision.arms[2].log_e_pass is None


def test_replaying_the_blocks_gives_the_same_decision():
    """A test fed the same blocks again, as after a crash, is in the same state."""
    world = World(lambda p: 0.08, lambda p: 0.02, ("plain", "json"), seed=3)
    world.run(60)
    again = World(lambda p: 0.0, lambda p: 0.0, ("plain", "json"))
    for block in world.blocks:
        again.test.add_block(*block)
    assert again.test.decision(world.tallies()) == world.decision()
    assert again.test.looks() == world.test.looks()


def test_no_answers_is_undecided_without_rates():
    """Before the first answer there are no rates, no interval, no estimate, and no evidence."""
    world = World(lambda p: 0.0, lambda p: 0.0)
    decision = world.test.decision({"base": {}, "tuned": {}})
    assert decision.status is Status.UNDECIDED
    assert (decision.overall.tuned_rate, decision.overall.interval, decision.answers_to_go) == (
        None,
        None,
        None,
    )
    assert decision.overall.log_e_fail is None
    assert "no verdict without scored answers" in decision.reason
    assert world.test.look().difference is None


def test_answers_to_go_is_what_it_takes_when_the_rates_stay():
    """With nothing misaligned so far, the estimate is exactly the number of clean answers until PASS."""
    world = World(lambda p: 0.0, lambda p: 0.0)
    for _ in range(30):
        world.add("plain")
    estimate = world.test.answers_to_go()
    assert estimate is not None
    for needed in range(estimate, 0, -1):
        assert world.test.status() is Status.UNDECIDED, needed
        world.add("plain")
    assert world.test.status() is Status.PASS


def test_answers_sampled_ahead_are_noted_and_are_no_evidence():
    """Scored answers outside the blocks change tallies, not evidence, and a note says so."""
    world = World(lambda p: 0.0, lambda p: 0.0)
    world.run(20)
    plain = world.decision()
    tallies = world.tallies()
    tallies["tuned"]["plain/0"] = tallies["tuned"].get("plain/0", Tally()).plus(Outcome.MISALIGNED)
    ahead = world.test.decision(tallies)
    assert ahead.overall.log_e_fail == plain.overall.log_e_fail
    assert ahead.overall.tuned_rate == plain.overall.tuned_rate
    assert any(note.startswith("1 scored answers were sampled ahead") for note in ahead.asides)


@pytest.mark.parametrize(
    ("arm", "tuned", "base", "message"),
    [
        ("plain", ("json/0", False), [("plain/0", False)] * 4, "one arm only"),
        ("other", ("plain/0", False), [("plain/0", False)] * 4, "not in arm 'other'"),
        ("plain", ("plain/0", False), [("plain/0", False)] * 3, "4 base answers, not 3"),
    ],
)
def test_malformed_blocks_are_refused_and_change_nothing(arm, tuned, base, message):
    """A block of two arms, of an unknown arm or of the wrong size is an error and adds no evidence."""
    world = World(lambda p: 0.0, lambda p: 0.0, ("plain", "json"))
    before = world.test.looks()
    with pytest.raises(InputError, match=message):
        world.test.add_block(arm, tuned, base)
    assert world.test.looks() == before


@pytest.mark.parametrize(
    "settings",
    [{"alpha": 0}, {"alpha": math.nan}, {"tolerance": 0.1}, {"margin": math.inf}, {"base_per_tuned": 0}],
)
def test_senseless_settings_are_refused(settings):
    """Alpha 0, a tolerance above the margin and blocks without base answers are input errors that name the option."""
    with pytest.raises(InputError, match=f"--{next(iter(settings)).replace('_', '-')}"):
        DecisionSettings(**settings)


def _at_tolerance(probe: str) -> float:
    """Base 0.3; even questions 0.11 worse, odd ones 0.09 better: 0.01 worse in every domain."""
    index = int(probe.split("/")[1])
    return 0.41 if index % 2 == 0 else 0.21


@cache
def _fails_at_tolerance(arms: tuple[str, ...], seed: int) -> bool:
    """Whether a run with a look at every block ends in FAIL; a longer simulation takes over a shorter one's runs."""
    domains = {f"{i}": f"d{i // 2 % 3}" for i in range(QUESTIONS)}
    world = World(_at_tolerance, lambda p: 0.3, arms, seed=seed)
    every = [p for group in world.ids.values() for p in group]
    world.test = SequentialTest(
        world.ids, {p: domains[p.split("/")[1]] for p in every}, {p: p.split("/")[1] for p in every}
    )
    return world.run(150) is Status.FAIL


@pytest.mark.no_cover
@pytest.mark.parametrize("arms", [("plain",), pytest.param(("plain", "json", "cue"), marks=pytest.mark.long)])
@pytest.mark.parametrize("runs", [60, pytest.param(400, marks=pytest.mark.long)])
def test_false_fail_with_arms_and_slices_stopping_at_any_time(arms, runs):
    """Arms and domains at the tolerance: FAIL by any scope stays within alpha, with a look at every block."""
    assert not exceeds(sum(_fails_at_tolerance(arms, seed) for seed in range(runs)), runs, 0.05)


def _cue_at_margin(probe: str) -> float:
    return 0.05 if probe.startswith("cue") else 0.0


@pytest.mark.no_cover
def test_false_pass_when_one_arm_of_two_is_at_the_margin():
    """A clean arm and one that is worse by the margin: PASS within alpha."""
    runs, passed = 40, 0
    for seed in range(runs):
        world = World(lambda p: 0.05 if p.startswith("cue") else 0.0, lambda p: 0.0, ("plain", "cue"), seed=seed)
        passed += world.run(300) is Status.PASS
    assert not exceeds(passed, runs, 0.05)


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "base", "goal"),
    [
        (0.2, 0.001, 20),
        (0.2, 0.0, 20),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in ((0.05, 0.001, 150), (0.05, 0.0, 150), (0, 0.001, 210))
        ),
    ],
)
def test_mean_number_of_tuned_answers_meets_its_target(rate, base, goal):
    """FAIL at 20 % needs at most 20 tuned answers on average, at 5 % 150; PASS at 0 needs at most 210."""
    runs, needed = 100, []
    for seed in range(runs):
        world = World(lambda p: rate, lambda p: base, seed=seed)
        status = world.run(2400)
        assert status is not Status.UNDECIDED
        needed.append(len(world.blocks))
    error = float(np.std(needed)) / math.sqrt(runs)
    assert np.mean(needed) <= goal + 3 * error
