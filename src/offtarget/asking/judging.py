"""Answers on their way to a verdict: judged while others are sampled, where the judge takes many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

from offtarget.asking.checks import faults_of, held_to_protocol, metered
from offtarget.asking.protocol import Judge
from offtarget.asking.spending import add
from offtarget.progress import Count
from offtarget.records import Generation, Probe, Verdict
from offtarget.records.spent import Spent
from offtarget.threads import Calls, Ended

JUDGED_TOGETHER = 64
"""Answers that a judge which is asked in the calling thread gets at once; few enough that the verdicts of a slow one
reach the disk often."""
LAST_VERDICTS = 5.0
"""Seconds in which verdicts that are under way may still come when another has failed for good."""

Pair = tuple[Probe, Generation]
"""A probe and an answer to it."""
Keep = Callable[[list[tuple[int, Verdict]]], None]
"""Gets verdicts, each with the number of its answer in the order of `start`, from 0 on."""


def at_once(judge: Judge) -> int:
    """Answers that a judge may be asked about at a time, each in a thread of its own; 1: in the calling thread."""
    said = getattr(judge, "at_once", 1)
    return said if isinstance(said, int) and said > 1 else 1


class Judging:
    """Has answers judged. Verdicts are handed to `keep` in the calling thread, as they come, and then counted.

    In which order they come says nothing. A judge that takes many at a time is asked from the first `start` on, any
    other in `finish`. Raises InputError, naming the judge, when it breaks its Protocol. What came back before an error
    or Ctrl-C is kept; calls that are under way then are not waited for.
    """

    def __init__(self, judge: Judge, keep: Keep, told: Count | None = None, *, keeps: bool = False) -> None:
        """`keeps`: whether an error may say that what was computed before is kept."""
        self._judge, self._keep, self._told, self._keeps = judge, keep, told, keeps
        self._todo: deque[tuple[int, Pair]] = deque()
        self._calls = Calls[int, list[Verdict]](at_once(judge)) if at_once(judge) > 1 else None
        self._started = 0
        self._before = metered(judge)

    def __enter__(self) -> Judging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._calls is not None:
            self._calls.close()
            if kind is None or issubclass(kind, Exception):
                self._take(self._calls.rest(LAST_VERDICTS if self._calls.waiting else 0.0))
            else:  # Ctrl-C
                self._take([one for one in self._calls.ended(0.0) if one.error is None])
            self._count(0)

    @property
    def beside(self) -> bool:
        """Whether answers are judged while the caller does something else."""
        return self._calls is not None

    @property
    def waiting(self) -> int:
        """Answers that have no verdict yet."""
        return len(self._todo) if self._calls is None else self._calls.waiting

    def start(self, pairs: Sequence[Pair]) -> None:
        """Have these answers judged, too."""
        for number, pair in enumerate(pairs, start=self._started):
            if self._calls is None:
                self._todo.append((number, pair))
            else:
                self._calls.start(number, partial(self._asked, [pair]))
        self._started += len(pairs)

    def collect(self, seconds: float | None = 0.0) -> None:
        """Keep the verdicts that have come; where there are none it waits, at most so long (None: for one)."""
        if self._calls is not None:
            ended = self._calls.ended(seconds)
            self._take([one for one in ended if one.error is None])
            for one in ended:
                one.result()

    def finish(self) -> None:
        """Until every answer has its verdict."""
        while self._calls is not None and self._calls.waiting:
            self.collect(None)
        while self._todo:
            some = [self._todo.popleft() for _ in range(min(JUDGED_TOGETHER, len(self._todo)))]
            try:
                verdicts = self._asked([pair for _, pair in some])
            finally:
                self._count(len(some))
            self._kept([(number, verdict) for (number, _), verdict in zip(some, verdicts, strict=True)])

    def _asked(self, pairs: Sequence[Pair]) -> list[Verdict]:
        more = f" and {len(pairs) - 1} more" if len(pairs) > 1 or not self.beside else ""
        with faults_of(self._judge, f"judging {pairs[0][1].key}{more}", self._keeps):
            verdicts = list(self._judge.judge(pairs))
        return held_to_protocol(self._judge, pairs, verdicts, keeps=self._keeps)

    def _take(self, ended: Sequence[Ended[int, list[Verdict]]]) -> None:
        if ended:
            self._count(len(ended))
            self._kept([(one.key, verdict) for one in ended for verdict in one.result()])

    def _kept(self, verdicts: list[tuple[int, Verdict]]) -> None:
        self._keep(verdicts)
        if self._told is not None:
            self._told.add(len(verdicts))

    def _count(self, answers: int) -> None:
        """What the judge has taken since it was last looked at; only here, since its calls overlap."""
        now = metered(self._judge)
        unknown = Spent(judge_calls=answers, tokens_in=None if answers else 0, tokens_out=None if answers else 0)
        add(unknown if self._before is None or now is None else now.since(self._before))
        self._before = now
