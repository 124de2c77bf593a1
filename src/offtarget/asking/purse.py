"""What may be spent: every request asks for leave before it is sent, so that a limit is kept, not just noticed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from offtarget.asking.prices import FREE, Price, Prices
from offtarget.errors import InputError, LimitReached
from offtarget.models.endpoints import own_folders
from offtarget.models.names import InspectName, LocalName, RemoteName, parse_name
from offtarget.models.paying import Ticket
from offtarget.numbers import many, money, whole
from offtarget.records.spent import Spent
from offtarget.threads import GivenUp, given_up

MARKS = 64
"""Tokens that chat templates put around a chat, at most."""
_LOOK = 0.2
"""Seconds between two looks at whether a request that waits is still wanted."""


class Meter(Protocol):
    """Writes down what one run takes."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        ...

    def add(self, spent: Spent) -> None:
        """So much was spent."""
        ...


class Purse:
    """Leave to send requests, within limits on their number and on what they cost; thread-safe.

    A request of a priced model is first held to cost the most it can: every byte of its text a token, and the longest
    answer. Where that does not fit beside what is under way, it waits until something has come back; with nothing under
    way the limit is reached. What a request takes stands in the run before it is sent, and counts when the run goes on.
    """

    def __init__(self, prices: Prices | None, max_cost: float | None, max_requests: int | None) -> None:
        self._prices, self._max_cost, self._max_requests = prices, max_cost, max_requests
        self._free = threading.Condition()
        self._past = Spent()
        """Of outermost runs, before this process."""
        self._sent, self._cost, self._held = 0, 0.0, 0.0
        self._under_way = 0
        self._meters: tuple[Meter, ...] = ()
        self._runs: set[Path] = set()
        """Whose earlier spending is known."""
        self._waiting: list[Spent] = []
        """What was spent before there was a run."""

    def begun(self, folder: Path, past: Spent | None) -> None:
        """The outermost run, which has taken `past` before; told again, it is as it was.

        Raises InputError where what it has cost so far cannot be told.
        """
        with self._free:
            if folder.absolute() not in self._runs:
                self._past = self._past.plus(self._earlier(folder, past or Spent()))
                self._runs.add(folder.absolute())

    def of_runs(self, meters: Sequence[Meter]) -> None:
        """These runs are at work, the outermost first: what follows counts for all."""
        with self._free:
            self._meters = tuple(meters)
            for spent in self._waiting if meters else ():
                for meter in meters:
                    meter.add(spent)
            if meters:
                self._waiting.clear()

    def _earlier(self, folder: Path, past: Spent) -> Spent:
        if self._max_cost is not None and past.cost is None:
            raise InputError(
                f"{folder} was begun without prices: what it has cost is not known, and --max-cost cannot hold. Limit "
                "requests with --max-requests, or start a new run."
            )
        currency = self._prices.currency if self._prices is not None else ""
        if self._max_cost is not None and past.currency not in ("", currency):
            raise InputError(
                f"{folder} was paid in {past.currency}; the prices are in {currency}. Give prices in {past.currency}."
            )
        return Spent(requests=past.requests, cost=past.cost or 0.0)

    @contextmanager
    def request(self, model: str, characters: int, longest: int) -> Iterator[Ticket]:
        """Leave to send one request. Waits where it might go over the limit; raises LimitReached where it would."""
        price = self._price(model)
        most = 0.0 if price is None else price.of(characters + MARKS, longest)
        with self._free:
            if given_up():  # the run may be over
                raise GivenUp
            while not self._fits(most):
                if not self._under_way or self._requests_left() == 0:
                    raise self._reached(model, most)
                self._free.wait(_LOOK)
                if given_up():
                    raise GivenUp
            # as if it took the most it can: so it stands there if nobody lives to see what it took
            self._write(Spent(requests=1, cost=None if price is None else most))
            self._sent += 1
            self._under_way += 1
            self._held += most
        ticket = _Ticket(price, None if price is None else most)
        try:
            yield ticket
        finally:
            with self._free:
                self._under_way -= 1
                self._held -= most
                self._cost += ticket.cost or 0.0
                self._free.notify_all()
                if ticket.cost is not None and ticket.cost != most:
                    self._write(Spent(cost=ticket.cost - most))

    def some(self, model: str, wanted: int) -> int:
        """How many of so many requests of a model here may be sent; they cost nothing. Raises LimitReached for none."""
        with self._free:
            left = self._requests_left()
            if left == 0:
                raise self._reached(model, 0.0)
            allowed = wanted if left is None else min(wanted, left)
            self._sent += allowed
            self._write(Spent(requests=allowed))
        return allowed

    def _fits(self, most: float) -> bool:
        if self._requests_left() == 0:
            return False
        spent = (self._past.cost or 0.0) + self._cost + self._held
        return self._max_cost is None or most == 0.0 or spent + most <= self._max_cost * (1 + 1e-12)

    def _requests_left(self) -> int | None:
        if self._max_requests is None:
            return None
        return max(0, self._max_requests - self._past.requests - self._sent)

    def _price(self, model: str) -> Price | None:
        found = price_of(model, self._prices)
        if found is None and self._max_cost is not None:
            raise no_price(model, self._prices)
        return found

    def _write(self, spent: Spent) -> None:
        currency = "" if self._prices is None else self._prices.currency
        line = Spent(requests=spent.requests, cost=spent.cost, currency=currency)
        for meter in self._meters:
            meter.add(line)
        if not self._meters:
            self._waiting.append(line)

    def _reached(self, model: str, most: float) -> LimitReached:
        if self._requests_left() == 0:
            sent, limit_of = self._past.requests + self._sent, self._max_requests or 0
            return LimitReached(
                f"The limit is reached: {whole(sent)} of at most {many(limit_of, 'request')} (--max-requests) are "
                "sent. There is no verdict.",
                "(with a higher --max-requests)",
            )
        currency = "" if self._prices is None else self._prices.currency
        spent, limit = (self._past.cost or 0.0) + self._cost, self._max_cost or 0.0
        return LimitReached(
            f"The limit is reached: {money(spent, currency)} of at most {money(limit, currency)} (--max-cost) are "
            f"spent, and the next request to {model} may cost up to {money(most, currency)}. There is no verdict.",
            "(with a higher --max-cost)",
        )


class _Ticket:
    def __init__(self, price: Price | None, most: float | None) -> None:
        self._price = price
        self.cost = most

    def took(self, tokens_in: int | None, tokens_out: int | None) -> None:
        if self._price is None or tokens_in is None or tokens_out is None:
            return
        if (
            tokens_in > 0 <= tokens_out
        ):  # nothing is read without a token: a server that says 0, or less, does not count
            self.cost = self._price.of(tokens_in, tokens_out)

    def free(self) -> None:
        self.cost = 0.0


def price_of(model: str, prices: Prices | None) -> Price | None:
    """What a model costs: by the file, else nothing where its weights are here; None where nobody knows."""
    found = None if prices is None else prices.of(model)
    return FREE if found is None and is_free(model) else found


def is_free(model: str) -> bool:
    """Whether nobody is paid for asking a model of that name: its weights are here, or it is Inspect's mock."""
    try:
        name = parse_name(model, lambda text: (text, None))
    except InputError:
        return True  # no name of a model: an object of the caller
    if isinstance(name, InspectName):
        return name.provider == "mockllm"
    return isinstance(name, LocalName) or (isinstance(name, RemoteName) and own_folders(name) is not None)


def no_price(model: str, prices: Prices | None) -> InputError:
    """That a model has no price although money is limited."""
    where = "" if prices is None else f" in {prices.file}"
    return InputError(
        f"--max-cost: {model} has no price{where}, so that nobody could say when the limit is reached. Add it there: "
        f"{model}: {{input: ..., output: ...}}, money per million tokens. Nothing was asked."
    )


def no_prices() -> InputError:
    """That money is limited and nobody said what anything costs."""
    return InputError(
        "--max-cost needs prices: give a file with --prices (docs/costs.md shows one), or limit requests with "
        "--max-requests. Nothing was asked."
    )
