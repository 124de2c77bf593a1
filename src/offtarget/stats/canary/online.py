"""The test behind a canary: is the tuned model flagged more often than its base, looked at after every answer?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from offtarget.errors import InputError
from offtarget.records import Role
from offtarget.records.canary import (
    ORGANIC,
    CanaryAlarm,
    CanaryArm,
    CanaryReading,
    CanaryTestSettings,
    CanaryVerdict,
)
from offtarget.records.from_json import from_json
from offtarget.stats.canary.bets import kinds_of, scheme_of
from offtarget.stats.canary.evidence import LEAST, StreamEvidence
from offtarget.stats.canary.planning import answers_to_detect
from offtarget.stats.closed import log_mean
from offtarget.stats.eprocess import JUDGED, columns_of
from offtarget.stats.rated import Rating

STATE_VERSION = 1


class CanaryTest:
    """One metric of a canary, fed one scored conversation at a time; the same answers in the same order lead to the
    same state.

    Two alarms, the first of which stays. `rollout`: the average e-value of the streams has come to 1 / alpha, which
    happens with probability <= alpha, ever, where tuned is in no stream worse by more than the tolerance. `late
    change`: the e-SR statistic has come to `run_length`; where nothing is worse that takes `run_length` tuned answers
    on average, at least, and happens within the first n of them with probability <= n / run_length.

    What the caller owes for this to hold: one answer per conversation, or per user where one user has many; whether an
    answer is scored is settled before it is seen; answers are added in the order in which they were asked for and not
    in that in which a judge was done with them; within a few minutes both models see the same kind of traffic. Rates
    may change from block to block, as long as they change for both. An answer that got no score is not added; count
    those in a metric of their own.
    """

    def __init__(self, settings: CanaryTestSettings | None = None) -> None:
        self.settings = settings or CanaryTestSettings()
        self._kinds = kinds_of(self.settings)
        self._columns: dict[Role, list[int]] = {r: columns_of(self._kinds, r) for r in ("tuned", "base")}
        self._streams = {name: StreamEvidence(self.settings, name) for name in self.settings.streams}
        self._alarm: CanaryAlarm | None = None
        self._alarm_at: int | None = None

    def kind_of(self, role: Role, flagged: bool, rating: Rating | None = None) -> int:
        """What a scored answer is called in `add`.

        `rating`: what the rater says of it, for every flagged answer, and for those unflagged ones that were picked
        for a look before anybody had seen them. Flags alone count too little on tuned and too much on the base, on the
        side that holds alarms back; with a share of the rest looked at, tuned counts what it is, on average. Raises
        InputError where a rating is missing or nobody is to rate.
        """
        if not self.settings.confirm:
            if rating is not None:
                raise InputError("An answer came with a rating, but this canary takes the judge's word. Set confirm.")
            return JUDGED_KIND[role][flagged]
        if flagged and rating is None:
            raise InputError("A flagged answer came without a rating. Add it once somebody has rated it.")
        if role == "tuned" and not flagged and rating is not None and not self.settings.look_at:
            raise InputError("An unflagged answer came with a rating, but look_at is 0: its rating would be one-sided.")
        return scheme_of(self.settings).kind_of(role, flagged, rating)

    def add(self, role: Role, kind: int, stream: str = ORGANIC) -> bool:
        """One more scored answer, `kind` as `kind_of` calls it. Whether the evidence changed: a block became whole.

        Raises InputError for a kind of the other model or a stream that the settings do not name.
        """
        evidence = self._streams.get(stream)
        if evidence is None:
            raise InputError(f"The canary has no stream {stream!r}; its settings name {', '.join(self._streams)}.")
        if kind not in self._columns.get(role, ()):
            raise InputError(f"{kind} is no kind of a {role} answer; take what kind_of returns.")
        if not evidence.add(role, kind):
            return False
        if self._alarm is None:
            self._look()
        return True

    def _look(self) -> None:
        if self.log_e_rollout >= -math.log(self.settings.alpha):
            self._alarm = "rollout"
        elif self.log_e_change >= math.log(self.settings.run_length):
            self._alarm = "late change"
        if self._alarm is not None:
            self._alarm_at = self.tuned

    @property
    def log_e_rollout(self) -> float:
        """Natural log of the weighted average of the streams' e-values: an e-value whatever the streams share."""
        return log_average([(s.weight, s.log_e_rollout) for s in self._streams.values()])

    @property
    def log_e_change(self) -> float:
        """Natural log of the weighted average of the streams' e-SR statistics."""
        return log_average([(s.weight, s.log_e_change) for s in self._streams.values()])

    @property
    def tuned(self) -> int:
        """Tuned answers in the evidence."""
        return sum(s.tuned for s in self._streams.values())

    @property
    def alarm(self) -> CanaryAlarm | None:
        """The first alarm, if there was one."""
        return self._alarm

    def reading(self) -> CanaryReading:
        """What is known now."""
        streams = tuple(s.reading() for s in self._streams.values())
        at_least = max(s.at_least for s in streams)
        if self._alarm == "rollout":
            at_least = max(at_least, self.settings.tolerance)
        less_than = max(s.less_than for s in streams)
        tuned, base = _together([s.tuned for s in streams]), _together([s.base for s in streams])
        gaps = [(s.tuned.answers, s.difference) for s in streams if s.difference is not None]
        weight = sum(n for n, _ in gaps)
        return CanaryReading(
            alarm=self._alarm,
            alarm_at=self._alarm_at,
            verdict="worse" if self._alarm else self.promotion(),
            log_e_rollout=self.log_e_rollout,
            rollout_threshold=1 / self.settings.alpha,
            log_e_change=max(self.log_e_change, LEAST),
            change_threshold=self.settings.run_length,
            tuned=tuned,
            base=base,
            difference=sum(n * gap for n, gap in gaps) / weight if weight else None,
            at_least=at_least,
            less_than=less_than,
            streams=streams,
        )

    def promotion(self) -> CanaryVerdict:
        """Whether tuned is shown not to be worse, alarms aside, in every stream: one left out might hide something."""
        shown = all(
            s.less_than <= self.settings.margin and s.tuned >= self.settings.fewest for s in self._streams.values()
        )
        return "not worse" if shown else "no verdict yet"

    def answers_to_go(self, rate: float, base_rate: float | None = None, stream: str = ORGANIC) -> int | None:
        """Tuned answers from now until an alarm, about, if tuned is flagged in `rate` of the answers of this stream.

        `base_rate`: that of the base; by default what its answers look like so far. With several streams that of the
        one stream alone counts, so it errs on the long side. None where an alarm would not come.
        """
        evidence = self._streams[stream]
        return answers_to_detect(
            self.settings,
            rate,
            evidence.base_rate if base_rate is None else base_rate,
            ratio=evidence.waiting.size.ratio,
            log_wealth=evidence.log_wealth + math.log(evidence.weight),
            log_change=evidence.log_change + math.log(evidence.weight),
        )

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` makes the same test, to the last bit."""
        return {
            "version": STATE_VERSION,
            "settings": dataclasses.asdict(self.settings),
            "streams": {name: s.state() for name, s in self._streams.items()},
            "alarm": self._alarm,
            "alarm_at": self._alarm_at,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CanaryTest:
        """The test whose `state` this was. Raises InputError where it cannot be read."""
        try:
            if state["version"] != STATE_VERSION:
                raise ValueError(f"it is of version {state['version']}, and this program reads {STATE_VERSION}")
            test = cls(from_json(CanaryTestSettings, state["settings"]))
            for name, evidence in test._streams.items():
                evidence.restore(state["streams"][name])
            test._alarm, test._alarm_at = state["alarm"], state["alarm_at"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The saved state of the canary's test cannot be read ({error!r}). Rebuild it from the scored answers: "
                "the same answers in the same order lead to the same state."
            ) from None
        return test


JUDGED_KIND: dict[Role, tuple[int, int]] = {
    role: (columns_of(JUDGED, role)[1], columns_of(JUDGED, role)[0]) for role in ("tuned", "base")
}
"""Role -> (not flagged, flagged): positions among the kinds where the judge's word is taken."""


def log_average(parts: list[tuple[float, float]]) -> float:
    """Log of a weighted mean of values given by their logs, of which some or all may be 0."""
    if len(parts) == 1:
        return math.log(parts[0][0]) + parts[0][1]
    told = [value for _, value in parts if not math.isinf(value)]
    return log_mean([value for _, value in parts], [weight for weight, _ in parts]) if told else -math.inf


def _together(arms: list[CanaryArm]) -> CanaryArm:
    """Answers of all streams added up, with the outermost bounds of any."""
    answers = sum(a.answers for a in arms)
    flagged = sum(a.flagged for a in arms)
    told = [(a.answers, a.rate) for a in arms if a.rate is not None]
    weight = sum(n for n, _ in told)
    return CanaryArm(
        answers=answers,
        flagged=flagged,
        rate=sum(n * rate for n, rate in told) / weight if weight else None,
        low=min(a.low for a in arms),
        high=max(a.high for a in arms),
        waiting=sum(a.waiting for a in arms),
        unused=sum(a.unused for a in arms),
    )
