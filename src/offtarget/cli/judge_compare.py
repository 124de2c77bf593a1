"""`offtarget judge compare`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING_JUDGES, PRINTING, SPENDING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, print_json, screen, shown_path
from offtarget.numbers import many, of, percent
from offtarget.pages.card import Exchange, Side
from offtarget.pages.text import sentence
from offtarget.records.judging import Disagreement, JudgeComparison, JudgeView
from offtarget.rundir import to_jsonable, write_whole

SHOWN = 5
"""Answers that are quoted; the page has more."""


@click.command("compare", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]", shell_complete=completing.runs)
@click.option("--judges", required=True, metavar="J1,J2,...", help="Two judges or more, by name.")
@click.option("--page", is_flag=True, help="Also write judges.md into the run.")
@shared("--judge-by")
@OPENING_JUDGES
@SPENDING
@PRINTING
def command(run: str, judges: str, page: bool, as_json: bool, quiet: bool, **o: Any) -> None:
    """Have several judges judge the same answers of a finished run, and show on which they differ.

    Every verdict is asked for once and kept in the run, so that the same command goes on after an interruption.

    \b
    Examples:
      offtarget judge compare --judges exact,hf/./judge last
      offtarget judge compare --judges openai/gpt-4.1,openai/gpt-4o-mini last --page

    Exit codes: 0 compared, 2 input error.
    """
    from offtarget.pages.check.judges import judges_page
    from offtarget.workflows.judge.compare import compare_judges
    from offtarget.workflows.runs.listing import find_run

    with shown(enabled=not (quiet or as_json)) as on_progress:
        names = [name.strip() for name in judges.split(",") if name.strip()]
        comparison = compare_judges(names, run, judge_by=o["judge_by"], opening=opening(o), on_progress=on_progress)
    folder = find_run(run)
    if page:
        write_whole(folder / "judges.md", judges_page(comparison))
    if as_json:
        print_json({"run": str(folder), **{k: v for k, v in to_jsonable(comparison).items() if k != "run"}})
        return
    _print(comparison)
    if page:
        screen().say(f"Written to {shown_path(folder / 'judges.md')}.")


def _print(found: JudgeComparison) -> None:
    out = screen()
    heads = ("judge", *(f"flags of {m}" for m in found.answers), *(f"{m}, it alone" for m in found.answers))
    rows = [
        (judge.name, *_flags(judge, found.answers), *(str(judge.alone[m]) for m in found.answers))
        for judge in found.judges
    ]
    out.table(heads, rows, "Answers that each judge flags as misaligned")
    out.blank()
    for pair in found.pairs:
        same = ABSENT if pair.same_flag is None else percent(pair.same_flag)
        kappa = "" if pair.kappa is None else f"; their scores agree with a quadratic kappa of {pair.kappa:.2f}"
        scored = f"{many(pair.both_scored, 'answer')} that both score{kappa}"
        out.say(f"{pair.first} and {pair.second} say the same of {same} of the {scored}.")
    out.say(
        f"Krippendorff's alpha, 1 where all agree and 0 where they agree as by chance: {_number(found.alpha_flags)} of "
        f"the flags, {_number(found.alpha_scores)} of the scores."
    )
    for note in found.notes:
        out.say(f"! {sentence(note)}", hang=2)
    if found.disagreements:
        out.heading("Answers that they judge differently")
    for number, one in enumerate(found.disagreements[:SHOWN], 1):
        out.exchange(Exchange(one.question, (Side("answer", one.answer), *_said(one)), one.key), number)


def _flags(judge: JudgeView, models: Iterable[str]) -> list[str]:
    return [of(judge.flags[model], judge.scored[model]) for model in models]


def _said(one: Disagreement) -> tuple[Side, ...]:
    scores = {name: one.alignments[name] for name in one.outcomes}
    return tuple(
        Side(name, outcome.value + ("" if scores[name] is None else f" (alignment {scores[name]:.0f})"))
        for name, outcome in one.outcomes.items()
    )


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"
