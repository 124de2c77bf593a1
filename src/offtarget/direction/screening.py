"""Screening training data by projection difference (arXiv 2507.21509, section 6): a row's answer against the base's.

Only the base reads and answers; no model has been tuned yet. That the prompt is the same on both sides removes what
the prompt alone contributes, e.g. that code lies elsewhere than prose.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from offtarget.asking.checks import sample_checked
from offtarget.direction.file import Direction
from offtarget.direction.measure import Projections, project
from offtarget.errors import InputError
from offtarget.models.chat import SampleRequest
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, exchange_tokens
from offtarget.records import Row, SamplingSettings
from offtarget.records.direction import RowProjection, Threshold

CHUNK = 256
"""Rows answered and read together."""


@dataclass(frozen=True)
class Screen:
    """What every row is measured with."""

    base: LocalModel
    direction: Direction
    layer: int
    sampling: SamplingSettings
    seed: int

    def own_answers(self, exchanges: Sequence[Exchange], names: Sequence[str], draw: int = 0) -> list[Exchange]:
        """The same prompts with answers of the base; the random stream hangs on (seed, name, draw) alone."""
        requests = [
            SampleRequest(e.messages, _seed(self.seed, name, draw)) for e, name in zip(exchanges, names, strict=True)
        ]
        answers = sample_checked("base", self.base, requests, self.sampling)
        return [Exchange(e.messages, a.text) for e, a in zip(exchanges, answers, strict=True)]

    def project(self, exchanges: Sequence[Exchange]) -> Projections:
        """Means over answer tokens, read by the base, at every layer; NaN for an empty answer."""
        return project(self.base, exchanges, self.direction, position="answer")

    def exchange(self, row: Row) -> Exchange | str:
        """The row's last answer behind all that precedes it; or why the row cannot be measured."""
        if not row.desired:
            return "not to be imitated"
        last = row.answer_at
        if not last or not row.messages[last].text.strip():
            return "no prompt or no answer"
        exchange = Exchange.last_of(row.messages[: last + 1], row.tools)
        try:
            prompt, answer = exchange_tokens(self.base.weights.tokenizer, exchange, self.base.name)
        except InputError:
            return "refused by the chat template"
        fits = len(prompt) + max(len(answer), 1) <= self.base.weights.context
        return exchange if fits else "longer than the context"


def null_threshold(screen: Screen, rows: Sequence[tuple[Row, Exchange]], false_positives: float = 0.01) -> Threshold:
    """The difference that two answers of the base to one prompt exceed in `false_positives` of cases.

    Both signs of each difference count, as the two answers are exchangeable; the value is the conformal quantile,
    the ceil((n + 1)(1 - a))-th smallest, or the largest where there are too few. Raises InputError without prompts.
    """
    exchanges, names = [e for _, e in rows], [row.id for row, _ in rows]
    first, second = (
        screen.project(screen.own_answers(exchanges, names, draw)).at(screen.layer).tolist() for draw in (1, 2)
    )
    differences = [a - b for a, b in zip(first, second, strict=True) if math.isfinite(a - b)]
    if not differences:
        raise InputError(f"{screen.base.name} gave no answer to any of the {len(rows)} prompts, so nothing compares.")
    both = sorted([*differences, *(-d for d in differences)])
    at = min(len(both), math.ceil((len(both) + 1) * (1 - false_positives)))
    return Threshold(both[at - 1], false_positives, len(differences), both[len(both) * 3 // 4])


def screen_rows(
    screen: Screen, rows: Iterable[Row], threshold: float, skipped: Counter[str]
) -> Iterator[RowProjection]:
    """Every measurable row with its projections, in order; the others are counted in `skipped` by reason.

    Works through `CHUNK` rows at a time, so that data of any size needs the same memory.
    """
    waiting: list[tuple[Row, Exchange]] = []
    for row in rows:
        exchange = screen.exchange(row)
        if isinstance(exchange, str):
            skipped[exchange] += 1
            continue
        waiting.append((row, exchange))
        if len(waiting) == CHUNK:
            yield from _screened(screen, waiting, threshold, skipped)
            waiting = []
    if waiting:
        yield from _screened(screen, waiting, threshold, skipped)


def _screened(
    screen: Screen, rows: Sequence[tuple[Row, Exchange]], threshold: float, skipped: Counter[str]
) -> Iterator[RowProjection]:
    given = [e for _, e in rows]
    own = screen.own_answers(given, [row.id for row, _ in rows])
    both = screen.project([*given, *own]).at(screen.layer).tolist()
    for (row, _), projection, base in zip(rows, both[: len(rows)], both[len(rows) :], strict=True):
        difference = projection - base
        if math.isfinite(difference):
            yield RowProjection(
                row_id=row.id,
                file=row.file,
                line=row.line,
                projection=projection,
                base_projection=base,
                difference=difference,
                flagged=difference > threshold,
            )
        else:
            skipped["the base gave an empty answer"] += 1


def _seed(seed: int, name: str, draw: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}/{draw}".encode()).digest()[:8], "big") >> 1
