"""What a command would do and take, said before it does anything."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.numbers import duration, file_size, many, money, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """From settings alone: nothing is loaded or asked to make it."""

    verb: str
    about: tuple[tuple[str, str], ...]
    """What it is about, a name and a value each: models, questions, judge, data."""
    answers: int = 0
    """That models are asked for."""
    judge_calls: int = 0
    """Requests to a judge that is a model."""
    at_a_time: int = 1
    """Of these, as many as a remote judge gets at a time."""
    tokens: int | None = 0
    """Read and written; None where nobody can say."""
    most: bool = True
    """Whether those are upper bounds; else they are about right."""
    stops_early: bool = False
    """Whether it ends as soon as the evidence decides, which is usually long before."""
    usual_answers: int | None = None
    """Within so many answers it usually ends, where that is known and clearly less than all that could be asked."""
    work: float
    """How much there is to do, in the unit of the verb, for comparing with earlier runs."""
    key: str
    """Of runs that go at the same speed."""
    seconds: float | None = None
    """By the speed of an earlier run; None without one."""
    here: bool = True
    """Whether that run was on this machine."""
    guessed: str = ""
    """Where no run was like it: what the time goes by instead, as the end of a sentence."""
    memory: int | None = None
    """Bytes at the worst moment, more or less; None where nobody knows."""
    cost: float | None = None
    """Money at most, with the longest answers there may be; None where nobody gave prices."""
    usual_cost: float | None = None
    """The same within `usual_answers`."""
    currency: str = ""
    prices_of: str = ""
    """When the prices were looked up."""
    unpriced: tuple[str, ...] = ()
    """Models that have none; what they cost is not in `cost`."""
    max_cost: float | None = None
    """It stops before it costs more."""
    max_requests: int | None = None
    """It stops after so many requests."""
    run: str
    """Where the run would be; empty for a command that leaves none."""

    @property
    def time(self) -> str:
        """`about 3 min here`, `usually under 1 min here, at most about 3 min`; says so where nobody knows yet."""
        if self.seconds is None:
            return "; ".join(filter(None, ["how long it takes is said once the first part is done", self._judging]))
        if self.guessed:
            return "; ".join(filter(None, [f"about {duration(self.seconds)} here, {self.guessed}", self._judging]))
        where = "here" if self.here else "on two cores"
        if not self.stops_early:
            return f"about {duration(self.seconds)} {where}"
        if self.usual_answers is None:
            return f"at most about {duration(self.seconds)} {where}"
        usual = self.seconds * self.usual_answers / self.answers
        return f"usually under {duration(usual)} {where}, at most about {duration(self.seconds)}"

    @property
    def _judging(self) -> str:
        """What a remote judge takes, whose latency nobody knows: it answers many requests in the time of one."""
        if self.at_a_time == 1 or not self.judge_calls:
            return ""
        most = self.judge_calls / self.at_a_time
        share = 1.0 if self.usual_answers is None else self.usual_answers / self.answers
        usual = "" if share == 1.0 else f"usually under {duration(most * share)} and "
        bound = "at most " if self.most else ""
        return (
            f"if a judge call takes 1 s, judging alone, {self.at_a_time} calls at a time, takes {usual}{bound}about "
            f"{duration(most)}"
        )

    @property
    def amounts(self) -> str:
        """`at most about 10,000 answers, 20,080 judge calls and 6.6 M tokens`; empty where nothing is asked."""
        parts = [many(self.answers, "answer")] if self.answers else []
        parts += [many(self.judge_calls, "judge call")] if self.judge_calls else []
        parts += [f"{_rounded(self.tokens)} tokens"] if self.tokens else []
        bound = "at most about" if self.most else "about"
        return f"{bound} {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}" if parts else ""

    @property
    def expense(self) -> str:
        """`usually under 2.10 USD, at most about 12.30 USD, by prices of 2026-11-30`; empty without prices."""
        if self.cost is None:
            return ""
        bound = "at most about" if self.most else "about"
        usual = "" if self.usual_cost is None else f"usually under {money(self.usual_cost, self.currency)}, "
        said = f"{usual}{bound} {money(self.cost, self.currency)}, by prices of {self.prices_of}"
        return said if not self.unpriced else f"{said}; without {' and '.join(self.unpriced)}, of which none is given"

    @property
    def limits(self) -> str:
        """What may be spent; empty where nothing was said."""
        parts = [] if self.max_cost is None else [money(self.max_cost, self.currency).strip()]
        parts += [] if self.max_requests is None else [many(self.max_requests, "request")]
        return f"stops before it takes more than {' or '.join(parts)}" if parts else ""

    @property
    def usual(self) -> str:
        """`under 2,000 answers`; empty where that is not known."""
        return "" if self.usual_answers is None else f"under {many(self.usual_answers, 'answer')}"

    @property
    def estimate(self) -> str:
        """Time, amounts and memory in a line."""
        early = "; it stops as soon as the evidence decides, usually long before" if self.stops_early else ""
        room = self.room and f"{self.room} of memory"
        return (
            "; ".join(
                filter(None, [self.time, self.usual and f"usually {self.usual}", self.amounts, self.expense, room])
            )
            + early
        )

    @property
    def room(self) -> str:
        """`about 2.1 GB`; empty where nobody knows."""
        return "" if self.memory is None else f"about {file_size(self.memory)}"


def _rounded(tokens: int) -> str:
    for size, unit in ((1_000_000, " M"), (1_000, ",000")):
        if tokens >= 10 * size or (size > 1000 and tokens >= size):
            value = tokens / size
            return f"{value:.1f}{unit}" if size > 1000 and value < 10 else f"{value:,.0f}{unit}"
    return whole(tokens)
