"""What runs take, counted where all asking passes and written down at once: a killed run has lost nothing of it.

A run inside another (a check inside a repair) counts for both.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from offtarget.asking.prices import read_prices
from offtarget.asking.purse import Purse, no_prices
from offtarget.records.from_json import from_json
from offtarget.records.runs import OpenSettings
from offtarget.records.spent import Spent
from offtarget.rundir import to_jsonable

P = ParamSpec("P")
R = TypeVar("R")

FILE = "spent.jsonl"
"""In a run directory: a line for every request, with the time since the line before it."""


class _Meter:
    """Appends what is spent to the file of one run."""

    def __init__(self, folder: Path, since: float | None) -> None:
        """`since`: when the time began; None for a process whose time is that of another one."""
        self.folder, self._last = folder, since
        self._file: int | None = None
        self._settled = False
        self._writing = threading.Lock()

    def add(self, spent: Spent, *, last: bool = False) -> None:
        """A line for it, and for the time that went by; for time alone only at the end."""
        with self._writing:  # requests are counted in the threads that send them
            self._add(spent, last)

    def _add(self, spent: Spent, last: bool) -> None:
        if self._settled or (spent == Spent() and not last):
            return
        seconds = 0.0
        if self._last is not None:
            now = time.monotonic()
            seconds, self._last = now - self._last, now
        line = json.dumps(to_jsonable(spent.plus(Spent(seconds=round(seconds, 6))))) + "\n"
        with contextlib.suppress(OSError):  # on a full disk the run itself will say so
            if self._file is None:
                self._file = os.open(self.folder / FILE, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
            os.write(self._file, line.encode("ascii"))

    def settle(self) -> None:
        """What comes after the result was written is no part of it."""
        self.add(Spent(), last=True)
        self._settled = True

    def close(self) -> None:
        """Write what time is left, unless it is settled."""
        self.add(Spent(), last=True)
        if self._file is not None:
            os.close(self._file)


_open: ContextVar[tuple[_Meter, ...]] = ContextVar("meters", default=())
_began: ContextVar[float | None] = ContextVar("began", default=None)
_ahead: ContextVar[list[Spent] | None] = ContextVar("ahead", default=None)
"""What a verb has spent that has no run yet: a judge is tried as soon as it is opened."""


@dataclass(slots=True)
class _Holder:
    """Of the outermost verb at work: the purse that all of its models ask, and the run that it goes on with."""

    purse: Purse | None = None
    folder: Path | None = None


_holder: ContextVar[_Holder | None] = ContextVar("holder", default=None)


def _purse_at_work() -> Purse | None:
    holder = _holder.get()
    return None if holder is None else holder.purse


def going_on(folder: Path) -> None:
    """The verb at work goes on with the run in that folder: what it took counts before its first request as well."""
    holder = _holder.get()
    if holder is not None and holder.folder is None:
        holder.folder = folder
        if holder.purse is not None:
            holder.purse.begun(folder, spent_in(folder))


def purse_of(opening: OpenSettings | None) -> Purse | None:
    """Whom the models of the verb at work ask before every request; None where nobody gave prices or limits.

    Raises InputError for a file of prices that cannot be read, and for --max-cost without one.
    """
    opening = opening or OpenSettings()
    holder = _holder.get()
    if holder is not None and holder.purse is not None:
        return holder.purse
    prices = read_prices(opening.prices)
    if opening.max_cost is not None and prices is None:
        raise no_prices()
    if prices is None and opening.max_requests is None:
        return None
    purse = Purse(prices, opening.max_cost, opening.max_requests)
    if holder is not None:
        holder.purse = purse
        folder = _open.get()[0].folder if _open.get() else holder.folder
        if folder is not None:
            purse.begun(folder, spent_in(folder))
        purse.of_runs(_open.get())
    return purse


def leave(asked: object, name: str, wanted: int) -> int:
    """How many of so many requests to an object may be sent: all, where nobody counts or it asks for leave itself.

    Raises LimitReached for none.
    """
    purse = _purse_at_work()
    itself = getattr(asked, "payer", None) is not None
    return wanted if purse is None or not wanted or itself else purse.some(name, wanted)


def add(spent: Spent) -> None:
    """So much was spent, by every run that is open here.

    Where no purse counts requests, answers and calls of judges stand for them, and nobody knows what they cost.
    """
    if _purse_at_work() is None and (calls := spent.answers + spent.judge_calls):
        spent = replace(spent, requests=calls, cost=None)
    ahead = _ahead.get()
    if ahead is not None and spent != Spent():
        ahead.append(spent)
    for meter in _open.get():
        meter.add(spent)


def timed(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb whose runs took all the time since it was called: the opening of models as well."""

    @functools.wraps(verb)
    def called(*arguments: P.args, **named: P.kwargs) -> R:
        token, before = _began.set(time.monotonic()), _ahead.set([])
        holder = _holder.set(_holder.get() or _Holder())  # a verb inside another has the purse of that one
        try:
            return verb(*arguments, **named)
        finally:
            _holder.reset(holder)
            _ahead.reset(before)
            _began.reset(token)

    return called


@contextlib.contextmanager
def counted(folder: Path, *, clock: bool = True) -> Iterator[None]:
    """What is asked in here counts for the run in that folder; `clock` is False where another process has the time."""
    since = _began.get() or time.monotonic() if clock else None
    meter = _Meter(folder, since)
    meters = (*_open.get(), meter)
    if purse := _purse_at_work():
        purse.begun(meters[0].folder, spent_in(meters[0].folder))
        purse.of_runs(meters)
    waiting = _ahead.get() or []
    for spent in waiting:
        meter.add(spent)
    waiting.clear()
    began, ahead, opened = _began.set(None), _ahead.set(None), _open.set(meters)
    try:
        yield
    finally:
        _ahead.reset(ahead)
        _open.reset(opened)
        if purse := _purse_at_work():
            purse.of_runs(_open.get())
        _began.reset(began)
        meter.close()


def settled(folder: Path) -> Spent | None:
    """What the run in that folder took, as its result says: later lines are no part of it."""
    for meter in _open.get():
        if meter.folder == folder:
            meter.settle()
    return spent_in(folder)


def spent_in(folder: Path) -> Spent | None:
    """What the run in that folder has taken so far; None where nobody counted."""
    lines = _lines(folder)
    if lines is None:
        return None
    total = Spent()
    for spent in lines:
        total = total.plus(spent)
    cost = None if total.cost is None else round(total.cost, 9)  # what was held and given back leaves dust
    return replace(total, seconds=round(total.seconds, 3), cost=cost)


def before_first(folder: Path) -> float:
    """Seconds that the run in that folder took before the first answer or verdict was there."""
    lines = _lines(folder)
    return lines[0].seconds if lines else 0.0


def _lines(folder: Path) -> list[Spent] | None:
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, AttributeError, LookupError):  # torn by a crash
            value = json.loads(line)
            if calls := value["answers"] + value["judge_calls"]:  # of earlier versions, which knew no cost
                value.setdefault("requests", calls)
                value.setdefault("cost", None)
            found.append(from_json(Spent, value))
    return found
