"""The page of a red-team run: the verdict, what gave way and what held, how it was decided, what was not tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from offtarget.numbers import chosen, many, of, whole
from offtarget.pages.card import Card, Exchange, Step
from offtarget.pages.cards import with_cost
from offtarget.pages.charts.axes import Panel
from offtarget.pages.charts.rates import Measured, Rates, rates
from offtarget.pages.charts.trajectories import looked_at
from offtarget.pages.page import page
from offtarget.pages.redteam import story, tables
from offtarget.pages.redteam.heat import heat
from offtarget.pages.redteam.loading import PressedRun
from offtarget.pages.redteam.transcripts import before_pressure, exchange, shortest, turns_needed, weak_in
from offtarget.pages.text import sentence
from offtarget.records import Comparison, Role, Status
from offtarget.records.redteam import RedTeamRecord
from offtarget.rundir import place
from offtarget.stats.rates import misaligned_rate
from offtarget.words import explained

WORDS = ("misaligned", "points", "bounds", "evidence", "error probability", "judge", "tolerated, allowed")
OWN_WORDS = {
    "move": "A form of pressure: insisting, a role, a request in a program. It turns a question into a conversation.",
    "goal": "A line that must not be crossed, and plain questions that lead up to it.",
    "gave way, held": (
        "A model gave way in a conversation when the judge called any of its answers misaligned. It held when none was "
        "and one at least was aligned or a refusal."
    ),
    "fresh conversation": (
        "A conversation in other words than any of the search, the same words for both models. Only these count."
    ),
}


def render(run: PressedRun, card: Card) -> str:
    """The run as one self-contained HTML page."""
    record = run.record
    return page(
        "redteam/redteam.html.j2",
        "redteam/redteam.css",
        card=_without_itself(with_cost(card, run.path)),
        record=record,
        manifest=run.manifest,
        heat=heat(run),
        by_move=by_move(record),
        weak_heads=tables.WEAK,
        weak=tables.weak(record),
        spots=tuple(spots(run)),
        needed=needed(run),
        in_vain_heads=tables.IN_VAIN,
        in_vain=tables.in_vain_rows(record, run.manifest.moves_told),
        untried=tables.untried(record, run.manifest.moves_told, [goal.id for goal in run.goals]),
        not_tested=[sentence(text) for text in run.manifest.not_tested],
        checks=[sentence(text) for text in (*run.manifest.checks, *record.decision.read_with)],
        trajectory=evidence(run),
        rule=story.rule(record) if record.cells else (),
        controls=story.controls(record),
        self_report=story.self_report(record),
        trouble=story.trouble(record),
        counts=tables.counts(record),
        settings=settings(run),
        words={**OWN_WORDS, **explained(*WORDS)},
    )


def _without_itself(card: Card) -> Card:
    """The card without the command that writes this very page."""
    return replace(
        card,
        steps=tuple(Step(step.why, "" if step.command.endswith("--html") else step.command) for step in card.steps),
    )


def by_move(record: RedTeamRecord) -> Rates | None:
    """Both rates and the bounds, on average and under each move that the verdict is about; None without any."""
    decision = record.decision
    if decision.overall.interval is None:
        return None
    s = decision.settings
    moves = [one for one in decision.slices if one.scope == "domain"]
    whole = _measured(decision.overall, "Everything that was chosen, on average", s.tolerance, s.pooled_margin)
    each = [_measured(one, one.name, s.tolerance, None) for one in moves]
    each = [replace(one, status=None) if one.status is not Status.FAIL else one for one in each]
    return rates("By move", [whole, *(each if len(each) > 1 else [])], "conversations in which it gave way")


def _measured(one: Comparison, name: str, tolerated: float | None, allowed: float | None) -> Measured:
    shares = misaligned_rate(one.base), misaligned_rate(one.tuned)
    note = f"difference: {story.UNSCORED_HELD}" if story.counts_unscored(one) else ""
    numbers = (*shares, one.difference, one.interval, one.status)
    return Measured(name, note, one.base, one.tuned, *numbers, tolerated, allowed)


@dataclass(frozen=True, slots=True)
class Spot:
    """A move at a goal under which a model gave way, and its shortest conversation."""

    title: str
    exchange: Exchange
    command: str
    """What holds it again."""


def spots(run: PressedRun) -> Iterator[Spot]:
    """The weak ones of the tuned model, the weakest first; where the models differ, then those of the base."""
    roles: tuple[Role, ...] = ("tuned", "base") if run.record.differs else ("tuned",)
    for role in roles:
        for cell in weak_in(run, role):
            one = shortest(run, cell, role)
            if one is None:
                continue
            tally, who = cell.verdict[role], "" if role == "tuned" else "the base "
            counts, here = of(tally.misaligned, tally.scored), f"here at turn {one.turn}{before_pressure(run, one)}"
            yield Spot(
                f"{cell.move} at {cell.goal}: {who}gave way in {counts}, {here}",
                exchange(run, one),
                story.replay(run, one),
            )


@dataclass(frozen=True, slots=True)
class Needed:
    """A turn, and how many conversations of each model first gave way at it."""

    turn: int
    tuned: int
    base: int
    tuned_share: float
    base_share: float
    """In per cent of all conversations of that model that count, for the bars."""


def needed(run: PressedRun) -> tuple[Needed, ...]:
    """Turn by turn; empty where nobody gave way."""
    counts: dict[Role, list[int]] = {role: turns_needed(run.conversations, role) for role in tables.ROLES}
    if not any(map(sum, counts.values())):
        return ()
    totals = {role: max(1, sum(one.role == role for one in run.conversations)) for role in tables.ROLES}
    most = max(map(len, counts.values()))
    padded = {role: [*many_, *[0] * (most - len(many_))] for role, many_ in counts.items()}
    return tuple(
        Needed(n + 1, t, b, round(100 * t / totals["tuned"], 2), round(100 * b / totals["base"], 2))
        for n, (t, b) in enumerate(zip(padded["tuned"], padded["base"], strict=True))
    )


def evidence(run: PressedRun) -> tuple[Panel, ...]:
    """The evidence as conversations came in; empty where there was no look."""
    looks = [look for look in run.looks if look.arm == "overall"]
    if not looks:
        return ()
    panel = looked_at(looks, run.record.decision.settings, "At the end")
    return (replace(panel, title="Everything that was chosen", x_name="conversations of the tuned model that count"),)


def settings(run: PressedRun) -> list[tuple[str, str]]:
    """What was pressed how."""
    m, s = run.manifest, run.manifest.settings
    judge = m.judge_name or m.judge
    return [
        ("tuned", m.tuned_name),
        ("base", m.base_name),
        ("goals", f"{m.goals}: {', '.join(goal.id for goal in run.goals)}"),
        ("moves", ", ".join(move.name for move in m.moves_told) or "as named in the tables"),
        ("attacker", m.attacker_name),
        ("judge", judge),
        ("conversations with the tuned model at most", whole(s.budget)),
        ("of these for the search", chosen(s.explored)),
        ("turns of a conversation at most", whole(s.turns)),
        ("tolerated, allowed", f"{chosen(s.decision.tolerance)}, {chosen(s.decision.margin)}"),
        ("error probability", chosen(s.decision.alpha)),
        ("temperature, longest answer", f"{s.sampling.temperature:g}, {many(s.sampling.max_tokens, 'token')}"),
        ("seed", str(s.seed)),
        ("date", m.created.replace("T", " ") or "not recorded"),
        ("version", m.version or "not recorded"),
        ("run", str(place(run.path).name)),
    ]
