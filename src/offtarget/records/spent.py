"""What a run took: time, answers, calls of the judge, tokens."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.numbers import duration, many, money


@dataclass(frozen=True, slots=True)
class Spent:
    """Summed over all times a run went on; what nobody counted is None, never 0."""

    seconds: float = 0.0
    answers: int = 0
    """Asked for in this run, of any model; those that were kept from an earlier run are not among them."""
    judge_calls: int = 0
    """Requests to a judge that is a model: one rubric, one request."""
    tokens_in: int | None = 0
    """Read by models and judges; None where one of them does not say."""
    tokens_out: int | None = 0
    """Written by them; None likewise."""
    requests: int = 0
    """Sent to models, those included that failed where prices or limits were given; else answers and judge calls."""
    cost: float | None = 0.0
    """Of these, by the prices that were given; None where one of them had no price."""
    currency: str = ""
    """Of the cost; empty where no prices were given."""

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.seconds + other.seconds,
            self.answers + other.answers,
            self.judge_calls + other.judge_calls,
            _sum(self.tokens_in, other.tokens_in),
            _sum(self.tokens_out, other.tokens_out),
            self.requests + other.requests,
            None if self.cost is None or other.cost is None else self.cost + other.cost,
            self.currency or other.currency,
        )

    def since(self, earlier: Spent) -> Spent:
        """What came since an earlier reading of the same meter, without time."""
        return Spent(
            0.0,
            self.answers - earlier.answers,
            self.judge_calls - earlier.judge_calls,
            None if self.tokens_in is None or earlier.tokens_in is None else self.tokens_in - earlier.tokens_in,
            None if self.tokens_out is None or earlier.tokens_out is None else self.tokens_out - earlier.tokens_out,
        )

    @property
    def tokens(self) -> int | None:
        """Read and written together; None where either is not known."""
        return _sum(self.tokens_in, self.tokens_out)

    @property
    def in_words(self) -> str:
        """`60 new answers, 12 judge calls, 8,400 tokens, 15 s`: what was nothing or is not known is left out."""
        parts = [many(self.answers, "new answer")] if self.answers else []
        parts += [many(self.judge_calls, "judge call")] if self.judge_calls else []
        parts += [many(self.tokens, "token")] if self.tokens else []
        parts += [money(self.cost, self.currency)] if self.currency and self.cost is not None else []
        return ", ".join([*parts, duration(self.seconds)])


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
