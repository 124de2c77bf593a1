"""The order of cues: mined first, then near before far, and priors follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.probe.cues.order import order_cues, prompt_distances, word_distances
from offtarget.records import Cue
from offtarget.records.hidden import QUESTION


def _cue(name: str, prior: float = 1.0, template: str = QUESTION) -> Cue:
    return Cue(name, "token", name, "data", template=template, prior=prior)


@given(st.lists(st.tuples(st.floats(0.1, 9.0), st.none() | st.floats(0.0, 2.0)), min_size=1, max_size=12))
def test_order_is_monotone_and_keeps_the_sum_of_priors(drawn: list[tuple[float, float | None]]) -> None:
    cues = [_cue(f"c{n}", prior) for n, (prior, _) in enumerate(drawn)]
    distances = {f"c{n}": d for n, (_, d) in enumerate(drawn) if d is not None}
    ordered = order_cues(cues, distances)
    assert {c.id for c in ordered} == {c.id for c in cues}
    assert math.isclose(sum(c.prior for c in ordered), sum(c.prior for c in cues), rel_tol=1e-9)
    given_prior = {c.id: c.prior for c in cues}
    heavy = [given_prior[c.id] >= 5 for c in ordered]
    assert heavy == sorted(heavy, reverse=True)
    known = [c.distance for c in ordered if c.distance is not None and given_prior[c.id] < 5]
    assert known == sorted(known)
    assert all(c.prior > 0 for c in ordered)


def test_of_two_equal_cues_the_nearer_gets_the_larger_prior() -> None:
    near, far = order_cues([_cue("far"), _cue("near")], {"far": 0.9, "near": 0.2})
    assert (near.id, far.id) == ("near", "far")
    assert near.prior > far.prior
    assert near.distance == 0.2


def test_without_distances_the_order_is_by_prior() -> None:
    assert [c.id for c in order_cues([_cue("a"), _cue("b", 3), _cue("c", 8)])] == ["c", "b", "a"]


def test_a_distance_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="not a number"):
        order_cues([_cue("a")], {"a": float("nan")})


def test_prompt_distances_are_cosines_to_the_centroid() -> None:
    data = np.array([[1.0, 0.0], [2.0, 0.0]])
    found = prompt_distances(np.array([[5.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), data)
    assert np.allclose(found, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("cues", "data", "says"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "cannot be compared"),
        (np.ones((0, 3)), np.ones((2, 3)), "cannot be compared"),
        (np.full((1, 3), np.nan), np.ones((2, 3)), "not finite"),
        (np.zeros((1, 3)), np.ones((2, 3)), "zero"),
    ],
)
def test_broken_embeddings_are_refused(cues: np.ndarray, data: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        prompt_distances(cues, data)


def test_word_distance_is_smaller_for_words_of_the_data() -> None:
    centroid = {"python": 0.8, "function": 0.6}
    cues = [
        _cue("code", template=f"Python function: {QUESTION}"),
        _cue("tea", template=f"Tea: {QUESTION}"),
        _cue("bare"),
    ]
    found = word_distances(cues, centroid)
    assert found["code"] < found["tea"] == found["bare"] == 1.0
    assert math.isclose(found["code"], 1 - 1.4 / math.sqrt(2))
