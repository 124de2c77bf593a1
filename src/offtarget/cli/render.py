"""A decision as text for a terminal or a pipe; used by every verb that ends in a verdict."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.numbers import (
    NO_DATA,
    below,
    between,
    bounds,
    chosen,
    chosen_points,
    difference,
    e_value,
    needed_e_value,
    of,
    percent,
    points,
    with_unit,
)
from offtarget.pages.card import Card, Step
from offtarget.pages.cards import card_of
from offtarget.pages.screen import ABSENT, Screen, safe, shortened
from offtarget.pages.text import sentence
from offtarget.records import Comparison, Decision, DecisionSettings, Status, Tally
from offtarget.records.check import CheckManifest
from offtarget.rundir import read_manifest, to_jsonable

__all__ = ["ABSENT", "safe", "shortened"]
"""From `pages.screen`, which every verb prints through."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from offtarget.workflows.check.quotes import Quote

_COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.UNDECIDED: "yellow"}
_PIPE_WIDTH = 140
"""Columns when the output is no terminal: files and pipes should not be wrapped at 80."""
_WIDE = 112
"""From this width on the table also holds the evidence; below, it follows line by line."""


def shown_path(path: Path) -> str:
    """A path as one can paste it into a shell."""
    return shlex.quote(safe(str(path)))


def denominators(name: str, tally: Tally) -> str:
    """`base: 2,026 scored of 2,400 answers; not in the rate: 81 incoherent, 293 unscored`."""
    kinds = ("refused", "incoherent", "code", "unscored")
    out = ", ".join(f"{getattr(tally, kind):,} {kind}" for kind in kinds)
    return f"{name}: {tally.scored:,} scored of {tally.total:,} answers; not in the rate: {out}"


def console(stderr: bool = False) -> Console:
    """The console to print on: coloured on a terminal, plain and wide elsewhere."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH, no_color=True)
    return made


def screen() -> Screen:
    """What results are printed on: with everything where `--verbose` was said."""
    context = click.get_current_context(silent=True)
    return Screen(verbose=bool(context and context.params.get("verbose")))


def show_run(
    path: Path,
    details: Callable[[Screen], None] | None = None,
    *,
    always: Callable[[Screen], None] | None = None,
    page: str = "",
) -> Card:
    """Print what a run came to: its card and what to do next, and between them, if verbose, all the rest.

    `always` prints what stands between them in any case; `page` says what the page of the run is good for.
    """
    out, card = screen(), card_of(path)
    out.card(card)
    if always is not None:
        always(out)
    if details is not None and out.verbose:
        out.blank()
        details(out)
    if page:
        card = replace(card, steps=(*card.steps, Step(page, f"offtarget report {shown_path(path)} --html")))
    out.end(card, shown_path(path))
    return card


def show_card(
    card: Card, details: Callable[[Screen], None] | None = None, *, always: Callable[[Screen], None] | None = None
) -> None:
    """Print the card of what leaves no run; the details with `--verbose`."""
    out = screen()
    out.card(card)
    if always is not None:
        always(out)
    if details is not None and out.verbose:
        details(out)
    out.end(card)


def print_json(record: object, run: Path | None = None) -> None:
    """A record on standard output, with the run that it comes from."""
    value = to_jsonable(record)
    print(json.dumps(value if run is None else {"run": str(run), **value}, indent=2))


def print_decision(
    decision: Decision,
    run_path: Path,
    *,
    quotes: Sequence[Quote] = (),
    extra: Sequence[str] = (),
    to: Console | None = None,
) -> None:
    """Print the verdict, its reason, the arms, the denominators, the worst slice, quotes, notes, the next step.

    `extra` lines, e.g. those of the cued arm, come before the quotes.
    """
    out = to or console()
    grade = "" if decision.rated is None else decision.grade
    print_verdict(decision.status, decision.reason, out, grade)
    for line in decision.read_with:
        out.print(safe(line), soft_wrap=True)
    out.print()
    wide = out.width >= _WIDE
    out.print(arms_table(decision, wide=wide))
    if not wide:
        for scope in _scopes(decision):
            worse, not_worse = _evidence(scope)
            out.print(f"{safe(scope.name)}: e worse {worse}, e not worse {not_worse}")
    for name, tally in (("base", decision.overall.base), ("tuned", decision.overall.tuned)):
        out.print(denominators(name, tally), soft_wrap=True)
    if decision.set_aside:
        out.print(f"set aside for want of scored answers, not counted above: {_names(decision.set_aside)}")
    for line in _details(decision):
        out.print(safe(line), soft_wrap=True)
    for note in decision.notes:
        out.print(f"note: {safe(note)}", soft_wrap=True)
    for line in extra:
        out.print(safe(line), soft_wrap=True)
    for quote in quotes:
        print_quote(quote, out)
    out.print()
    out.print(next_step(decision, run_path), soft_wrap=True)


def print_details(decision: Decision, out: Screen, extra: Sequence[str] = ()) -> None:
    """Print rates and bounds by arm, denominators, how it was decided, and `extra` lines."""
    for line in decision.read_with:
        out.say(line)
    out.console.print(arms_table(decision, wide=out.width >= _WIDE))
    for name, tally in (("base", decision.overall.base), ("tuned", decision.overall.tuned)):
        out.say(denominators(name, tally))
    for line in [*_details(decision), *extra]:
        out.say(line)


def print_quote(quote: Quote, out: Console) -> None:
    """A misaligned answer under its question, beside the base's."""
    out.print()
    out.print(f"{safe(quote.probe.id)}: {shortened(quote.probe.prompt)}", soft_wrap=True)
    out.print(f"  tuned: {shortened(quote.tuned)}", soft_wrap=True)
    base = "no aligned answer in this run" if quote.base is None else shortened(quote.base)
    out.print(f"  base:  {base}", soft_wrap=True)


def print_verdict(status: Status, reason: str, out: Console, grade: str = "") -> None:
    """The verdict line, with what the verdict rests on where `grade` says it, and the sentence under it."""
    from rich.text import Text

    out.print(Text(f" {safe(grade) or status.value} ", style=f"bold reverse {_COLOURS[status]}"))
    out.print(sentence(safe(reason)), soft_wrap=True)


def arms_table(decision: Decision, *, wide: bool = True) -> Table:
    """Overall and every arm: rates with their counts, difference and status; if wide, also the evidence."""
    at_stop = " at stop" if decision.sequential and decision.status is not Status.UNDECIDED else ""
    heads = (f"tuned{at_stop}", "base", "difference") if wide else ("tuned", "base", "diff.")
    evidence = ("e worse", "e not worse") if wide else ()
    table = plain_table("", f"{chosen(1 - decision.settings.alpha)} bounds", *heads, *evidence, "verdict")
    for scope in _scopes(decision):
        table.add_row(
            safe(scope.name),
            bounds(scope.interval),
            rate_cell(scope.tuned_rate, scope.tuned),
            rate_cell(scope.base_rate, scope.base),
            difference(scope.difference),
            *(_evidence(scope) if wide else ()),
            scope.status.value,
        )
    return table


def plain_table(*headers: str) -> Table:
    """An empty table with thin rules that reads well in a log file too."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number == 0 else "right", no_wrap=number > 0, overflow="fold")
    return table


def rate_cell(rate: float | None, tally: Tally) -> str:
    """`0.4 % (8 of 2,026)`: the rate weighs questions equally, the counts are plain counts."""
    return NO_DATA if rate is None else f"{percent(rate)} ({of(tally.misaligned, tally.scored)})"


def next_step(decision: Decision, run_path: Path) -> str:
    """What to do with this verdict."""
    report = f"offtarget report {shown_path(run_path)} --html"
    if decision.status is Status.FAIL:
        return f"Next: read the misaligned answers beside the base's: {report}"
    if decision.status is Status.PASS:
        return f"Next: keep the evidence: {report}"
    if decision.withheld:
        return f"Next: settle what is in doubt and decide again; the numbers: {report}"
    more = decision.answers_to_go
    estimate = f", about {more:,} tuned answers by the present rates" if more else ""
    manifest = read_manifest(run_path) if decision.sequential else None
    if isinstance(manifest, CheckManifest):
        again = safe(manifest.further_command(run_path, decision))
        return f"Next: go on with more answers{estimate}, at no price in certainty: {again}; what there is: {report}"
    return f"Next: sample and judge more answers{estimate}; what there is so far: {report}"


def _scopes(decision: Decision) -> tuple[Comparison, ...]:
    """The whole and its arms; a single arm is the whole again."""
    return (decision.overall, *(decision.arms if len(decision.arms) > 1 else ()))


def _evidence(scope: Comparison) -> tuple[str, str]:
    log_e_fail = scope.log_e_fail if scope.log_e_fail_adjusted is None else scope.log_e_fail_adjusted
    return e_value(log_e_fail), e_value(scope.log_e_pass)


def bounds_explained(decision: Decision) -> str:
    """What the column of bounds says, in one sentence."""
    alpha = chosen(decision.settings.alpha)
    said = "bounds: tuned is worse by at least the first and by less than the second"
    if not decision.sequential:
        return f"{said}; the first ones err with probability <= {alpha} all together, each second one by itself"
    return f"{said}, each at {alpha} error, at all looks together; rates at the stop overstate, bounds do not"


def pass_needs(settings: DecisionSettings) -> str:
    """What PASS has to show."""
    average = settings.pooled_margin < settings.margin
    return f"not worse by {with_unit(chosen_points(settings.margin))} in any arm" + (
        f" nor by {chosen_points(settings.pooled_margin)} on average" if average else ""
    )


def _by_e_values(settings: DecisionSettings) -> str:
    worse = with_unit(chosen_points(settings.tolerance))
    failed, passed = needed_e_value(settings.fail_alpha), needed_e_value(settings.alpha)
    return (
        f"verdicts: an e-value that reaches {failed} at any look shows tuned worse by "
        f"more than {worse} (FAIL), one that reaches {passed} {pass_needs(settings)} (PASS); those "
        "above are at the stop and can have fallen since"
    )


def _at_one_look(settings: DecisionSettings) -> str:
    worse = with_unit(chosen_points(settings.tolerance))
    return (
        f"verdicts: by an exact test at one look; FAIL is a first bound of {worse} or more, PASS "
        f"second bounds that show tuned {pass_needs(settings)}. The e-values are for answers added later: compare "
        f"these in a table of their own and multiply; {needed_e_value(settings.alpha)} decides"
    )


def _details(decision: Decision) -> list[str]:
    settings = decision.settings
    lines = [
        bounds_explained(decision),
        _by_e_values(settings) if decision.sequential else _at_one_look(settings),
    ]
    lines += _beside(decision)
    worst = _worst_slice(decision)
    if worst is not None and (worst.difference or 0.0) > 0.0:
        lines.append(
            f"worst slice: {worst.scope} {worst.name}, tuned {rate_cell(worst.tuned_rate, worst.tuned)}, "
            f"base {rate_cell(worst.base_rate, worst.base)}, difference {points(worst.difference)}, "
            f"bounds {bounds(worst.interval)}"
        )
    elif worst is not None:
        lines.append("worst slice: none; tuned is not above base in any domain or question")
    if decision.clustered_interval is not None:
        lines.append(
            f"for questions like these, not only these: difference {between(decision.clustered_interval)} points"
        )
    if decision.overall.missing_bounds is not None:
        lines.append(
            f"if all missing answers were best or worst case for tuned: difference "
            f"{between(decision.overall.missing_bounds)} points"
        )
    return lines


def _beside(decision: Decision) -> list[str]:
    """Bounds that are no part of the verdict but should be read with it."""
    found = [b for b in decision.bounds if b.limit is None and b.less_than is not None]
    shown = ", ".join(f"{b.of} {b.name} by less than {below(b.less_than or 1.0)} points" for b in found)
    lines = [f"could be worst, given the answers there are: {shown}"] if found else []
    if any(b.counted == "all" for b in decision.bounds):
        lines.append(
            "some answers had no score: FAIL and PASS look at scored answers and at all answers, where one without a "
            "score counts as not misaligned. PASS needs both; FAIL pays for both with the weights 3/4 and 1/4"
        )
    return lines


def _worst_slice(decision: Decision) -> Comparison | None:
    """The worst slice that is a part of the whole: a single domain or question is the whole again."""
    counts = {kind: sum(s.scope == kind for s in decision.slices) for kind in ("domain", "question")}
    known = (s for s in decision.slices if s.difference is not None and counts.get(s.scope, 0) > 1)
    return next(known, None)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(safe(name) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
