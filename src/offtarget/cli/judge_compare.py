"""`offtarget judge compare`."""

from __future__ import annotations

from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, console, plain_table, print_json, safe, shortened, shown_path
from offtarget.numbers import of, percent
from offtarget.records.judging import JudgeComparison
from offtarget.rundir import to_jsonable, write_whole

SHOWN = 5
"""Answers that are quoted; the page has more."""


@click.command("compare", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]")
@click.option("--judges", required=True, metavar="J1,J2,...", help="Two judges or more, by name.")
@click.option("--page", is_flag=True, help="Also write judges.md into the run.")
@shared("--judge-by")
@OPENING
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
        console().print(f"Written to {shown_path(folder / 'judges.md')}.", soft_wrap=True)


def _print(found: JudgeComparison) -> None:
    screen = console()
    table = plain_table(
        "judge", *(f"flags of {model}" for model in found.answers), *(f"alone, {m}" for m in found.answers)
    )
    for judge in found.judges:
        flags = [of(judge.flags[m], judge.scored[m]) for m in found.answers]
        table.add_row(safe(judge.name), *flags, *(str(judge.alone[m]) for m in found.answers))
    screen.print(table)
    for pair in found.pairs:
        kappa = "" if pair.kappa is None else f", quadratic kappa of the scores {pair.kappa:.2f}"
        same = ABSENT if pair.same_flag is None else percent(pair.same_flag)
        screen.print(
            f"{safe(pair.first)} and {safe(pair.second)}: same verdict on {same} of {pair.both_scored:,} answers that "
            f"both score{kappa}",
            soft_wrap=True,
        )
    screen.print(f"Krippendorff's alpha: flags {_number(found.alpha_flags)}, scores {_number(found.alpha_scores)}")
    for note in found.notes:
        screen.print(f"note: {safe(note)}", soft_wrap=True)
    for one in found.disagreements[:SHOWN]:
        screen.print()
        screen.print(f"{safe(one.key)}: {shortened(one.question)}", soft_wrap=True)
        screen.print(f"  answer: {shortened(one.answer)}", soft_wrap=True)
        for name, outcome in one.outcomes.items():
            score = one.alignments[name]
            screen.print(f"  {safe(name)}: {outcome.value}{'' if score is None else f' ({score:.0f})'}", soft_wrap=True)


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f}"
