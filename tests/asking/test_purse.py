"""Limits on requests and money are kept, not just noticed: by many threads at a time, and over all resumes of a run."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from offtarget.asking.checks import sample_checked
from offtarget.asking.prices import Price, Prices
from offtarget.asking.purse import Purse
from offtarget.asking.spending import add, counted, purse_of, spent_in, timed
from offtarget.errors import InputError, LimitReached
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import OpenSettings
from offtarget.records.spent import Spent

MODEL = "openai-api/lab/x"
PRICES = Prices("EUR", "2026-11-30", {"openai-api/lab/*": Price(1_000_000.0, 1_000_000.0)})
"""A token costs 1 EUR, so that sums are plain to see."""


def purse(cost: float | None = None, requests: int | None = None) -> Purse:
    return Purse(PRICES, cost, requests)


def taken(purse: Purse, folder: Path) -> Spent:
    """A request of at most 64 + 10 + 26 = 100 tokens that took 5."""
    with counted_by(purse, folder), purse.request(MODEL, 10, 26) as ticket:
        ticket.took(2, 3)
    return spent_in(folder) or Spent()


class counted_by:  # noqa: N801 - reads as a function
    """A run at work, whose meter the purse has."""

    def __init__(self, purse: Purse, folder: Path) -> None:
        from offtarget.asking.spending import _Meter

        self._purse, self._meter, self._folder = purse, _Meter(folder, None), folder

    def __enter__(self) -> None:
        self._purse.begun(self._folder, spent_in(self._folder))
        self._purse.of_runs((self._meter,))

    def __exit__(self, *_: object) -> None:
        self._purse.of_runs(())
        self._meter.close()


@pytest.mark.parametrize("seed", range(3))
def test_many_threads_never_go_over_either_limit(tmp_path: Path, seed: int) -> None:
    """Whatever requests cost within the most they may, and however many are under way."""
    limited, chance = purse(cost=1500.0, requests=60), random.Random(seed)
    costs, highest, lock, reached = [0.0], [0.0], threading.Lock(), []
    takes = [chance.randrange(1, 100) for _ in range(200)]  # one that says 0 is taken to have cost the most

    def ask(numbers: list[int]) -> None:
        for took in numbers:
            try:
                with limited.request(MODEL, 10, 26) as ticket:
                    ticket.took(took, 0)
                    with lock:
                        costs[0] += took
                        highest[0] = max(highest[0], costs[0])
            except LimitReached as error:
                reached.append(str(error))
                return

    with counted_by(limited, tmp_path):
        threads = [threading.Thread(target=ask, args=(takes[n::8],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spent = spent_in(tmp_path)
    assert spent is not None
    assert reached
    assert spent.requests <= 60
    assert highest[0] <= 1500
    assert (spent.cost, spent.currency) == (pytest.approx(costs[0]), "EUR")
    # it ends where the next request could go over, not long before
    assert spent.requests == 60 or highest[0] > 1500 - 100


def test_what_is_under_way_is_waited_for_before_a_limit_is_called_reached() -> None:
    """Held to cost 100 each, two do not fit into 150; the first comes back having taken 5, and the second is sent."""
    limited, sent = purse(cost=150.0), threading.Event()

    def second() -> None:
        with limited.request(MODEL, 10, 26) as ticket:
            ticket.took(2, 3)
        sent.set()

    with limited.request(MODEL, 10, 26) as first:
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert not sent.wait(0.3)
        first.took(2, 3)
    assert sent.wait(10)


def test_limits_hold_over_resumes(tmp_path: Path) -> None:
    """Each time a new process; what the run has taken before counts."""
    assert taken(purse(requests=2, cost=1000.0), tmp_path).cost == 5.0
    found = taken(purse(requests=2, cost=1000.0), tmp_path)
    assert (found.requests, found.cost) == (2, 10.0)
    with pytest.raises(LimitReached, match="2 of at most 2 requests"):
        taken(purse(requests=2), tmp_path)
    with pytest.raises(LimitReached, match=r"10\.00 EUR of at most 109\.00 EUR .* may cost up to 100\.00 EUR"):
        taken(purse(cost=109.0), tmp_path)
    assert taken(purse(cost=110.0), tmp_path).cost == 15.0


def test_what_was_asked_without_prices_is_no_nothing(tmp_path: Path) -> None:
    """A limit on money that forgot the first half would be no limit. One on requests counts what is known."""
    with counted(tmp_path):
        add(Spent(answers=7, judge_calls=3))
    with pytest.raises(InputError, match="begun without prices"):
        taken(purse(cost=1e9), tmp_path)
    with pytest.raises(LimitReached):
        taken(purse(requests=10), tmp_path)


def test_a_request_that_broke_off_may_have_been_paid_and_one_that_was_refused_was_not(tmp_path: Path) -> None:
    limited = purse(cost=1e6)
    with counted_by(limited, tmp_path):
        for free in (True, False):
            with suppress(ValueError), limited.request(MODEL, 10, 26) as ticket:
                if free:
                    ticket.free()
                raise ValueError
        with limited.request(MODEL, 10, 26) as ticket:
            ticket.took(None, 3)  # the server says only half
    found = spent_in(tmp_path)
    assert found is not None
    assert (found.requests, found.cost) == (3, 200.0)


@pytest.mark.parametrize("said", [(0, 0), (0, 3), (-1_000_000, 3), (2, -1_000_000)])
def test_a_server_that_counts_nothing_or_less_gives_no_money_back(said: tuple[int, int], tmp_path: Path) -> None:
    limited = purse(cost=150.0)
    with counted_by(limited, tmp_path):
        with limited.request(MODEL, 10, 26) as ticket:
            ticket.took(*said)
        with pytest.raises(LimitReached), limited.request(MODEL, 10, 26):
            pass
    found = spent_in(tmp_path)
    assert found is not None
    assert found.cost == 100.0


def test_weights_that_are_here_cost_nothing_and_what_has_no_price_is_not_asked() -> None:
    limited = purse(cost=1.0)
    for name in ("organism/base", "hf/./model", "mockllm/model", "an object of the caller"):
        with limited.request(name, 10_000, 10_000) as ticket:
            ticket.took(1, 1)
    with pytest.raises(InputError, match=r"openai/gpt has no price"), limited.request("openai/gpt", 1, 1):
        raise AssertionError("it was sent")
    with pytest.raises(InputError, match="needs prices"):
        purse_of(OpenSettings(max_cost=1.0))


def test_answers_of_a_model_of_the_caller_count(tmp_path: Path) -> None:
    """Those that were allowed are kept; a verb inside another has no purse of its own."""
    model = ScriptedModel("own", lambda request: "words")
    asked = [SampleRequest((Message("user", str(n)),), n) for n in range(5)]
    kept: list[int] = []

    @timed
    def inner() -> None:
        purse_of(OpenSettings(max_requests=1000))
        with counted(tmp_path / "inner"):
            sample_checked("base", model, asked, SamplingSettings(), lambda i, _: kept.append(i))

    @timed
    def outer() -> None:
        purse_of(OpenSettings(max_requests=3))
        with counted(tmp_path):
            inner()

    (tmp_path / "inner").mkdir()
    with pytest.raises(LimitReached):
        outer()
    assert kept == [0, 1, 2]
    assert [(spent_in(f) or Spent()).requests for f in (tmp_path, tmp_path / "inner")] == [3, 3]


def test_a_request_stands_in_the_run_before_it_is_sent(tmp_path: Path) -> None:
    """As if it took the most it can: whoever is killed while it is under way, and goes on, has not forgotten it."""
    limited = purse(cost=1000.0)
    with counted_by(limited, tmp_path):
        with limited.request(MODEL, 10, 26) as ticket:
            killed = (tmp_path / "spent.jsonl").read_bytes()
            ticket.took(2, 3)
        after = spent_in(tmp_path) or Spent()
        assert (after.requests, after.cost) == (1, 5.0)
    (tmp_path / "spent.jsonl").write_bytes(killed)
    found = spent_in(tmp_path) or Spent()
    assert (found.requests, found.cost) == (1, 100.0)
    with pytest.raises(LimitReached):
        taken(purse(requests=1), tmp_path)
