"""What a verb would cost at most, from its plan and the prices that the user gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from offtarget.asking.prices import FREE, read_prices
from offtarget.asking.purse import price_of
from offtarget.records.plan import Plan
from offtarget.records.rated import PEOPLE
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import EXACT_JUDGE


def with_cost(
    plan: Plan,
    opening: OpenSettings | None,
    *,
    asked: Iterable[str],
    judges: Iterable[str | None],
    question: int,
    answer: int,
    judged: int,
    reply: int,
) -> Plan:
    """The plan with what it costs at most and what may be spent; as it is where nobody gave prices or limits.

    Lengths are in tokens: of a question and its longest answer, and of what a judge reads and writes each time. Who of
    `asked` gives how many answers is not known here, so each counts as of the dearest; each of `judges` is asked as
    often as the plan says.
    """
    opening = opening or OpenSettings()
    asked = tuple(asked)
    plan = replace(plan, max_cost=opening.max_cost, max_requests=opening.max_requests)
    prices = read_prices(opening.prices)
    if prices is None:
        return plan
    graders = [judge for judge in judges if judge not in (None, EXACT_JUDGE, PEOPLE)]
    found = {name: price_of(name, prices) for name in (*asked, *(str(judge) for judge in graders))}
    each = max((price.of(question, answer) for name in asked if (price := found[name] or FREE)), default=0.0)
    judging = sum((found[str(judge)] or FREE).of(judged, reply) for judge in graders)
    cost = plan.answers * each + plan.judge_calls * judging
    share = plan.usual_answers / plan.answers if plan.usual_answers is not None and plan.answers else None
    return replace(
        plan,
        cost=cost,
        usual_cost=None if share is None else cost * share,
        currency=prices.currency,
        prices_of=prices.date,
        unpriced=tuple(name for name, price in found.items() if price is None),
    )
