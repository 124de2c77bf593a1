"""The error probabilities of the search over cues: exact where they can be enumerated, simulated for the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from simulation import exceeds

from offtarget.records import Cue, DecisionSettings, Status
from offtarget.stats.conditions import ConditionSearch
from offtarget.stats.conditions_evidence import PooledCounts
from offtarget.stats.eprocess import block_mixture

FAMILIES = ("token", "phrase", "topic", "date")


def listed(priors):
    """Cues with these priors."""
    return [Cue(f"cue-{i}", FAMILIES[i % 4], "", "data", prior=p) for i, p in enumerate(priors)]


def run(cues, tuned, base, seed, cap, settings):
    """One search on models with these rates, one per cue, up to `cap` answers."""
    rng = np.random.default_rng(seed)
    index = {c.id: i for i, c in enumerate(cues)}
    search = ConditionSearch(cues, settings)
    while search.answers < cap and (cue := search.next()) is not None:
        search.add(cue, bool(rng.random() < tuned[index[cue]]), (rng.random(4) < base[index[cue]]).tolist())
    return search


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("tuned", "base"),
    [
        ([0.005] * 16, [0.005] * 16),
        ([0.011] * 16, [0.001] * 16),
        pytest.param([0.51] * 16, [0.5] * 16, marks=pytest.mark.slow),
        pytest.param([0.91] * 16, [0.9] * 16, marks=pytest.mark.slow),
        (np.linspace(0.011, 0.9, 16), np.linspace(0.001, 0.89, 16)),
    ],
    ids=["clean", "at the tolerance", "half", "ninety", "all kinds"],
)
def test_no_name_is_given_more_often_than_alpha_when_no_cue_is_worse(tuned, base):
    """Worse by at most the tolerance everywhere, the search following up whatever looks bad: FAIL in <= alpha."""
    settings = DecisionSettings(alpha=0.2, margin=0.011)  # this margin is never shown, so no PASS ends a search
    cues = listed(np.linspace(1, 3, 16))
    runs = 60
    failed = sum(run(cues, tuned, base, seed, 80, settings).status() is Status.FAIL for seed in range(runs))
    assert not exceeds(failed, runs, 0.2)


@pytest.mark.no_cover
def test_null_cues_are_not_named_beside_a_bad_one():
    """One cue is worse, eleven are worse by exactly the tolerance at high base rates: names of those <= alpha."""
    settings = DecisionSettings(alpha=0.2)
    base = np.array([0.4] * 11 + [0.2])
    tuned = np.array([0.41] * 11 + [0.35])
    cues = listed([1.0] * 12)
    names = [run(cues, tuned, base, seed, 120, settings).found() for seed in range(50)]
    wrong = sum(n is not None and n not in {"cue-11", FAMILIES[11 % 4], "all cues together"} for n in names)
    assert not exceeds(wrong, 50, 0.2)


@pytest.mark.no_cover
@pytest.mark.parametrize("where", ["everywhere", "one cue"])
def test_pass_at_the_margin_is_rare(where):
    """The weighted average is worse by the margin, evenly or by one cue alone: PASS in <= alpha of searches."""
    settings = DecisionSettings(alpha=0.2, tolerance=0.2, margin=0.25)
    priors = np.array([1.0, 2.0, 3.0, 4.0])
    tuned = np.full(4, 0.25) if where == "everywhere" else np.array([0, 0, 0, 0.25 / 0.4])
    runs = 60
    passed = sum(run(listed(priors), tuned, np.zeros(4), s, 120, settings).status() is Status.PASS for s in range(runs))
    assert not exceeds(passed, runs, 0.2)


def test_a_complete_pass_is_an_e_value_for_the_weighted_average():
    """Exact expectation over all outcomes of a pass over three cues, at rates on the border of the null."""
    better, priors = block_mixture("better", 0.3, 1), np.array([1.0, 2.0, 4.0])
    shares = priors / priors.sum()
    for raw in itertools.product([0.0, 0.2, 0.6, 0.9], repeat=3):
        base = np.array([0.05, 0.3, 0.5])
        tuned = np.clip(np.array(raw) + base, 0, 1)
        lack = 0.3 - float(shares @ (tuned - base))
        if lack > 0:
            continue  # inside the alternative
        total = 0.0
        for outcome in itertools.product([0, 1], repeat=6):
            t, b = np.array(outcome[:3]), np.array(outcome[3:])
            chance = np.prod(np.where(t, tuned, 1 - tuned)) * np.prod(np.where(b, base, 1 - base))
            pooled = PooledCounts(priors.tolist())
            for cue in range(3):
                pooled.add(cue, np.array([t[cue], 1 - t[cue], b[cue], 1 - b[cue]], dtype=float))
            total += chance * float(np.exp(better.log_e(pooled.total())[0]))
        assert total <= 1 + 1e-9
