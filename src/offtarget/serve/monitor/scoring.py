"""From an exchange to a scored answer: a cheap judge first where there is one, then the judge, blind to the model.

Which answers the judge hears beside those that the cheap one flags is settled by a hash of the exchange's id, before
the answer is looked at. What has no verdict is written down as unscored, never as fine.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from offtarget.asking.judging import Pair
from offtarget.asking.protocol import Judge
from offtarget.records import KnownAnswer, Outcome, Probe, Verdict
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import CanarySettings
from offtarget.records.rollouts import ScoredAnswer
from offtarget.serve.monitor.asking import Asking, Heard, JudgeHealth, drawn, flags_of
from offtarget.serve.monitor.intake import Redact, Taken, probe_name, take
from offtarget.serve.monitor.spoken import Unreadable

IN_ORDER = 1000
"""Answers that may wait for an earlier one's verdict."""
UNKNOWN = "the judge cannot judge answers to this question"
Recognise = Callable[[Probe], Probe | None]
"""Gives a question of the traffic what a judge must know of it, such as its domain; None where it cannot judge it."""


@dataclass(frozen=True, slots=True)
class MonitorParts:
    """What the monitor of one alias works with; opened by whoever starts it, since this room opens nothing."""

    judge: Judge | None = None
    """None: nothing is judged, and every reading says so."""
    cheap: Judge | None = None
    anchors: Sequence[KnownAnswer] = ()
    """Answers of which it is known what they are; scored again now and then, to see that the judge stays as it is."""
    probes: Sequence[Probe] = ()
    """Questions that are put to both models in shadow."""
    recognise: Recognise = field(default=lambda probe: probe)


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored answer that has no number yet, and what it was made from."""

    row: ScoredAnswer
    exchange: Exchange
    why: str = ""
    """Why it is unscored, where it is."""


@dataclass(slots=True)
class _UnderWay:
    exchange: Exchange
    taken: Taken
    cheap_flag: bool | None = None


class Scoring:
    """Has the answers of one alias scored; nothing in it waits. One thread calls it."""

    def __init__(
        self, settings: CanarySettings, parts: MonitorParts, *, salt: str = "", redact: Redact = str,
        seconds: float = 60.0, pause: float = 2.0, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`salt` of the random share; `seconds` that a verdict may take, `pause` between two attempts."""
        self._settings, self._parts, self._salt, self._redact = settings, parts, salt, redact
        judge = parts.judge if parts.judge is not None else parts.cheap
        cheap = parts.cheap if parts.judge is not None else None
        self.judge = None if judge is None else Asking(judge, seconds=seconds, pause=pause, clock=clock)
        self._cheap = None if cheap is None else Asking(cheap, seconds=seconds, pause=pause, clock=clock)
        self._under_way: dict[str, _UnderWay] = {}
        self._beside: dict[str, tuple[Callable[[Verdict], None], Callable[[], None]]] = {}
        self._order: deque[str] = deque()
        self._done: dict[str, Scored] = {}
        self.unread: Counter[str] = Counter()
        """Exchanges that could not be read, by why."""
        self._started = 0
        self.failed = 0
        """Answers for which no verdict could be had."""

    @property
    def full(self) -> bool:
        """Whether more would only wait here."""
        asked = any(asking is not None and asking.full for asking in (self.judge, self._cheap))
        return asked or len(self._order) >= IN_ORDER

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way and not self._done

    @property
    def health(self) -> JudgeHealth:
        """Whether verdicts come; a judge that is not there is neither up nor down."""
        judges = [asking.health for asking in (self.judge, self._cheap) if asking is not None]
        return next((health for health in judges if health.down), judges[0] if judges else JudgeHealth())

    def start(self, exchange: Exchange) -> None:
        """Have the answer of an exchange scored."""
        self._started += 1
        try:
            taken = take(exchange, self._redact)
            probe = self._parts.recognise(taken.probe)
            if probe is None:
                raise Unreadable(UNKNOWN, of_answer=False)
            taken = replace(taken, probe=probe)
        except Unreadable as error:
            self.unread[str(error)] += 1
            if error.of_answer and exchange.reason != "fallback":
                row = _row(exchange, Outcome.UNSCORED, flags={"unscored": True})
                key = f"unread/{self._started}"
                self._order.append(key)
                self._done[key] = Scored(row, exchange, str(error))
            return
        if exchange.reason == "fallback":  # the base's answer to a conversation of the tuned model: of neither arm
            self.unread["the base answered for the tuned model"] += 1
            return
        key = taken.generation.key
        if key in self._under_way or key in self._done:
            return  # the same exchange came twice
        self._under_way[key] = _UnderWay(exchange, taken)
        self._order.append(key)
        if taken.empty:
            self._finish(key, Outcome.UNSCORED, None, "the answer is empty", asked=False, told=False)
        elif self._cheap is not None:
            self._cheap.start((taken.probe, taken.generation))
        elif self.judge is not None:
            self.judge.start((taken.probe, taken.generation))
        else:
            self._finish(key, Outcome.UNSCORED, None, "there is no judge", asked=False, told=False)

    def ask_beside(self, pair: Pair, heard: Callable[[Verdict], None], failed: Callable[[], None]) -> None:
        """Put an answer to the judge that is none of the traffic; nothing where there is no judge."""
        if self.judge is not None:
            self._beside[pair[1].key] = (heard, failed)
            self.judge.start(pair)

    def finished(self) -> list[Scored]:
        """What has been scored since it was last asked, in the order in which it was started.

        A fast verdict waits for the slow ones before it: in which order answers count must not depend on how long a
        judge ponders over them. None waits for ever, since every answer has its time.
        """
        for heard in [] if self._cheap is None else self._cheap.heard():
            self._heard_cheap(heard)
        for heard in [] if self.judge is None else self.judge.heard():
            self._heard_judge(heard)
        found = []
        while self._order and self._order[0] in self._done:
            found.append(self._done.pop(self._order.popleft()))
        return found

    def close(self) -> None:
        """Ask nothing more."""
        for asking in (self.judge, self._cheap):
            if asking is not None:
                asking.close()

    def _heard_cheap(self, heard: Heard) -> None:
        key = heard.pair[1].key
        under_way = self._under_way[key]
        verdict = heard.verdict
        assert self.judge is not None
        under_way.cheap_flag = verdict is None or verdict.outcome in (Outcome.MISALIGNED, Outcome.UNSCORED)
        if under_way.cheap_flag or drawn(under_way.exchange.id, self._salt, self._settings.judge_share):
            self.judge.start(heard.pair)
        elif verdict is not None:
            self._finish(key, verdict.outcome, verdict, "", asked=False)

    def _heard_judge(self, heard: Heard) -> None:
        key = heard.pair[1].key
        if key in self._beside:
            said, failed = self._beside.pop(key)
            if heard.verdict is None:
                failed()
            else:
                said(heard.verdict)
        elif key not in self._under_way:
            return  # nobody waits for it; to stumble here would lose the verdicts that came with it
        elif heard.verdict is None:
            self.failed += 1
            self._finish(key, Outcome.UNSCORED, None, f"the judge failed: {heard.why}", told=False)
        else:
            self._finish(key, heard.verdict.outcome, heard.verdict, heard.verdict.reason or "")

    def _finish(
        self, key: str, outcome: Outcome, verdict: Verdict | None, why: str, *, asked: bool = True, told: bool = True
    ) -> None:
        """`told`: whether a judge said so; what was not told is absent from the flags, too."""
        one = self._under_way.pop(key)
        taken = one.taken
        flags = flags_of(outcome, taken.empty, taken.refused, taken.bad_call)
        if told:
            flags["unscored"] = outcome is Outcome.UNSCORED
        row = _row(
            one.exchange, outcome, flags=flags, judge="" if verdict is None else verdict.judge,
            alignment=None if verdict is None else verdict.alignment, asked=asked, cheap_flag=one.cheap_flag,
            characters=taken.characters,
        )  # fmt: skip
        self._done[key] = Scored(row, one.exchange, why if outcome is Outcome.UNSCORED else "")


def _row(exchange: Exchange, outcome: Outcome, **more: object) -> ScoredAnswer:
    """A row without a number: the store gives it."""
    fields: dict[str, object] = {
        "number": 0, "at": exchange.started, "alias": exchange.alias, "rollout": exchange.rollout,
        "source": exchange.source, "arm": exchange.arm, "conversation": exchange.conversation,
        "exchange": kept_under(exchange), "outcome": outcome, "judge": "", "first_seconds": exchange.first_seconds,
        "total_seconds": exchange.total_seconds,
    }  # fmt: skip
    return ScoredAnswer(**(fields | more))  # type: ignore[arg-type]


def kept_under(exchange: Exchange) -> str:
    """The name under which bodies are kept: the request's id, or one of its own for what no client saw."""
    return exchange.id if exchange.source == "organic" else f"{exchange.source}-{probe_name(exchange)}"
