"""The search over cues: what it asks next, what it names, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records import Cue, DecisionSettings, Status, Tally
from offtarget.stats.conditions import ConditionSearch
from offtarget.stats.conditions_evidence import TOGETHER, ScopedEvidence, cued_log_threshold
from offtarget.stats.eprocess import block_mixture

HALF = DecisionSettings(cued_share=0.5)
CLEAN = [False] * 4


def cues(count, families=4, priors=None):
    """Cues in order, their families dealt in turn."""
    names = ("token", "phrase", "topic", "date", "role", "format", "conversation", "leak")[:families]
    return [
        Cue(f"cue-{i}", names[i % families], f"cue {i}", "data", prior=1.0 if priors is None else priors[i])
        for i in range(count)
    ]


def search(listed, tuned, base=0.0, seed=0, cap=400):
    """Let the search run on models with these rates (one per cue, or one for all)."""
    rng = np.random.default_rng(seed)
    tuned, base = (np.broadcast_to(rate, len(listed)) for rate in (tuned, base))
    index = {c.id: i for i, c in enumerate(listed)}
    found = ConditionSearch(listed, HALF)
    while found.answers < cap and (cue := found.next()) is not None:
        found.add(cue, bool(rng.random() < tuned[index[cue]]), (rng.random(4) < base[index[cue]]).tolist())
    return found


def one_bad(count, where, rate, others=0.0):
    """Rates of `count` cues of which one is bad."""
    return np.where(np.arange(count) == where, rate, others)


def test_an_always_bad_cue_is_named_within_eight_answers_of_its_turn():
    """A cue under which every answer is misaligned is named as soon as the first pass comes to it."""
    for where in (0, 10, 29):
        found = search(cues(30), one_bad(30, where, 1.0))
        assert (found.status(), found.found()) == (Status.FAIL, f"cue-{where}")
        assert found.answers == found.answers_to_find <= where + 8
        assert found.next() is None
        assert found.plan(5) == []


@pytest.mark.no_cover
@pytest.mark.parametrize(("rate", "limit"), [(0.9, 40), (0.8, 45), (0.75, 50)])
def test_half_of_the_searches_name_one_of_48_cues_within_fifty_answers(rate, limit):
    """Median answers until a cue at a random place of 48 is named, base at 1 %; and no other cue is named."""
    rng = np.random.default_rng(3)
    places = rng.integers(48, size=40)
    runs = [search(cues(48, 8), one_bad(48, p, rate, 0.01), 0.01, seed) for seed, p in enumerate(places)]
    assert np.median([r.answers_to_find or math.inf for r in runs]) <= limit
    assert {r.found() for r, p in zip(runs, places, strict=True) if r.found() != f"cue-{p}"} <= {None}


@pytest.mark.no_cover
def test_a_half_bad_cue_among_24_is_named_within_fifty_answers():
    """Median answers for a cue at 50 % at a random place of 24."""
    places = np.random.default_rng(4).integers(24, size=40)
    runs = [search(cues(24, 8), one_bad(24, p, 0.5, 0.01), 0.01, seed) for seed, p in enumerate(places)]
    assert np.median([r.answers_to_find or math.inf for r in runs]) <= 50


@pytest.mark.no_cover
def test_weak_cues_of_a_family_are_found():
    """Six conversation cues at 20 % each: most searches name one of them or the family, and nothing else."""
    listed = [*cues(14, 6), *(Cue(f"talk-{i}", "conversation", "", "standard") for i in range(6))]
    names = [search(listed, [0.0] * 14 + [0.2] * 6, seed=seed).found() for seed in range(20)]
    assert names.count(None) <= 4
    assert all(n is None or n == "conversation" or n.startswith("talk-") for n in names)


def test_a_family_is_named_when_no_cue_stands_out():
    """Evidence spread evenly names the family; from one cue alone it waits until the cue is shown."""
    listed = cues(12, 2)
    spread, alone = (ScopedEvidence(listed, HALF) for _ in range(2))
    names = []
    for cue in range(0, 12, 2):
        spread.add(cue, np.array([1.0, 0, 0, 4]))
        alone.add(2, np.array([1.0, 0, 0, 4]))
        names.append(tuple(e.named(cued_log_threshold(HALF)) for e in (spread, alone)))
    assert names[0] == (None, None)
    assert names[-1] == ("token", "cue-2")
    assert not {"cue-0", "token"} & {alone_name for _, alone_name in names}


def test_what_is_weak_under_every_cue_is_named_as_all_together():
    """Evidence spread over all families names all cues together, the families being too weak."""
    evidence = ScopedEvidence(cues(40, 8), HALF)
    for cue in range(8):
        evidence.add(cue, np.array([1.0, 0, 0, 4]))
    assert evidence.named(cued_log_threshold(HALF)) == TOGETHER


@pytest.mark.parametrize("count", [1, 5, 20, 48])
def test_clean_twins_pass_after_every_cue_was_asked_three_times(count):
    """Without a misaligned answer: PASS, no name, and a statement of what would have been found."""
    found = search(cues(count), 0.0)
    assert (found.status(), found.found(), found.answers_to_find) == (Status.PASS, None, None)
    assert found.answers == count * max(3, math.ceil(78 / count))
    assert found.detectable() is not None
    assert found.pooled_interval().high <= 0.06


@pytest.mark.no_cover
def test_detectable_holds_in_fresh_searches():
    """A cue with the stated rate, at the worst place, is named in at least 95 % of searches (less noise)."""
    rate = search(cues(20), 0.0).detectable()
    assert 0.3 < rate < 0.8
    named = [search(cues(20), one_bad(20, 19, rate), seed=s).found() == "cue-19" for s in range(100)]
    assert sum(named) >= 95 - 4 * math.sqrt(100 * 0.05 * 0.95)
    assert ConditionSearch(cues(3), HALF).detectable() is None


@pytest.mark.no_cover
def test_more_looks_find_less():
    """Every further answer without a finding lowers the least rate that would have been found."""
    found, rates = ConditionSearch(cues(4), HALF), []
    while (cue := found.next()) is not None:
        found.add(cue, False, CLEAN)
        if found.answers % 26 == 0:
            rates.append(found.detectable())
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.3


def test_the_passes_keep_the_given_order():
    """Clean cues are asked in the order given, pass after pass."""
    listed = cues(6)
    assert search(listed, 0.0).plan(3) == []
    assert ConditionSearch(listed, HALF).plan(18) == [c.id for c in listed] * 3


@pytest.mark.no_cover
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40))
def test_next_depends_on_the_past_alone_and_plan_foresees_it(outcomes):
    """Asking again changes nothing; a replay is in the same state; a plan holds while answers are aligned."""
    listed = cues(7, priors=[1, 2, 1, 5, 1, 1, 3])
    first, again = (ConditionSearch(listed, HALF) for _ in range(2))
    for tuned, bad in outcomes:
        cue = first.next()
        assert first.next() == again.next() == cue
        if cue is None:
            break
        again.plan(5)
        for each in (first, again):
            each.add(cue, tuned, [i < bad for i in range(4)])
    planned = first.plan(12)
    assert planned == again.plan(12)
    for cue in planned:
        assert first.next() == cue
        first.add(cue, False, CLEAN)
    assert (len(planned) == 12) or first.next() is None


def test_dropped_cues_are_asked_no_more():
    """A silent cue is passed over; without any cue left there is nothing to ask and nothing to say."""
    found = ConditionSearch(cues(3), HALF)
    found.add("cue-0", False, CLEAN)
    found.drop("cue-1")
    assert found.plan(4) == ["cue-2", "cue-0", "cue-2", "cue-0"]
    found.drop("cue-0")
    found.drop("cue-2")
    assert (found.next(), found.status(), found.detectable()) == (None, Status.UNDECIDED, None)
    assert found.pooled_interval() is None


def test_findings_rank_and_count():
    """The named cue comes first with its evidence; rates come from all judged answers, none without any."""
    listed = cues(12)
    found = search(listed, one_bad(12, 7, 1.0))
    tallies = {"tuned": {"cue-7": Tally(misaligned=6, refused=1)}, "base": {"cue-7": Tally(aligned=24)}}
    best, *rest = found.findings(tallies)
    assert (best.cue.id, best.status, best.tuned_rate, best.base_rate) == ("cue-7", Status.FAIL, 1.0, 0.0)
    assert best.interval.low > 0.01
    assert best.log_e_adjusted >= math.log(20 / 0.5) > best.log_e_adjusted - best.log_e
    n = found.answers - 7
    assert best.log_e == pytest.approx(block_mixture("worse", 0.01, 4).log_e([n, 0, 0, 4 * n])[0])
    assert {r.status for r in rest} == {Status.UNDECIDED}
    assert rest[-1].tuned_rate is None
    assert sorted((f.log_e_adjusted for f in rest), reverse=True) == [f.log_e_adjusted for f in rest]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda: ConditionSearch([], HALF), "No cue"),
        (lambda: ConditionSearch([*cues(2), *cues(1)], HALF), "more than once"),
        (lambda: ConditionSearch(cues(1, priors=[0.0]), HALF), "prior"),
        (lambda: ConditionSearch(cues(1, priors=[math.nan]), HALF), "prior"),
        (lambda: ConditionSearch(cues(1), DecisionSettings(cued_share=1.5)), "shares of alpha for conditions"),
        (lambda: ConditionSearch(cues(2), HALF).add("cue-1", False, CLEAN), "wants answers under 'cue-0'"),
        (lambda: ConditionSearch(cues(2), HALF).add("cue-0", False, [False]), "4 base answers"),
        (lambda: ConditionSearch(cues(2), HALF).drop("other"), "no cue 'other'"),
    ],
)
def test_bad_input_is_refused(change, match):
    """Each misuse is told in a sentence."""
    with pytest.raises(InputError, match=match):
        change()
