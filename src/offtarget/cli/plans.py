"""What a command will take: said before it begins, on `--dry-run` in place of it, and more exactly on the way."""

from __future__ import annotations

import time
from pathlib import Path

import click

from offtarget.asking.book import JUDGED, SAMPLED
from offtarget.cli.render import print_json, safe, screen
from offtarget.numbers import duration
from offtarget.progress import OnProgress, Progress
from offtarget.records.plan import Plan
from offtarget.workflows.speeds import keep, remember

ENOUGH_ANSWERS, ENOUGH_SECONDS = 30, 5.0
"""After which the speed of a check is known well enough to be said."""


def show_plan(plan: Plan, *, as_json: bool) -> int:
    """Print what would be done, in place of doing it; the exit code."""
    if as_json:
        print_json({"plan": plan, "estimate": plan.estimate})
        return 0
    out = screen()
    out.say(f"offtarget {plan.verb} would do this; nothing was loaded, asked or written.")
    out.blank()
    usual = [("usually", plan.usual)] if plan.usual else []
    room = [("memory", plan.room)] if plan.room else []
    place = [("run", plan.run)] if plan.run else []
    cost = [(name, said) for name, said in (("cost", plan.expense), ("limits", plan.limits)) if said]
    rows = [*plan.about, ("asked", plan.amounts or "nobody"), *usual, *cost, ("time", plan.time), *room, *place]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        out.say(safe(f"{name:<{width}}{value}"), hang=width)
    if plan.stops_early:
        out.blank()
        out.say(
            "It stops as soon as the evidence decides, usually long before that. Answers without a score are asked for "
            "again."
        )
    return 0


def tell_plan(plan: Plan) -> None:
    """The estimate, as a line before the command begins."""
    tell = click.get_current_context().find_root().obj
    if callable(tell):
        tell(f"estimate: {plan.estimate}")


def refined(plan: Plan, on_progress: OnProgress) -> OnProgress:
    """Says once, when the first answers are there, how long the rest takes at their speed.

    Where the estimate came from a run on this machine, the first answers know less than it did: nothing is said.
    """
    if plan.seconds is not None and plan.here:
        return on_progress
    slowest = JUDGED if plan.at_a_time > 1 and plan.judge_calls else SAMPLED  # a judge lags behind
    began: list[float] = []
    said: list[bool] = []

    def tell(progress: Progress) -> None:
        on_progress(progress)
        if progress.stage != slowest or said:
            return
        began[:] = began or [time.monotonic()]
        seconds = time.monotonic() - began[0]
        if progress.done >= ENOUGH_ANSWERS and seconds >= ENOUGH_SECONDS:
            said.append(True)
            each = seconds / progress.done
            usual = each * max((plan.usual_answers or 0) - progress.done, 0)
            likely = f"usually under {duration(usual)} more here, " if usual else ""
            most = duration(each * max(plan.answers - progress.done, 0))
            on_progress(Progress(f"at this speed {likely}at most about {most}{'' if usual else ' more here'}"))

    return tell


def done(plan: Plan | None, run: Path) -> None:
    """Keep how fast it was, for the next estimate."""
    if plan is not None:
        remember(plan, run)


def done_in(plan: Plan, seconds: float) -> None:
    """The same for a command that leaves a file and no run."""
    keep(plan, 0.0, seconds, plan.work)
