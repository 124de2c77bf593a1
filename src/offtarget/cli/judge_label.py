"""`offtarget judge label`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import AT_LEAST_ONE, PAGE, pick, review_page, shared
from offtarget.cli.render import print_json, screen, shown_path
from offtarget.numbers import duration, many, of, percent
from offtarget.pages.card import Step

if TYPE_CHECKING:
    from offtarget.records.people import PeopleQuality


@click.command("label", cls=Sectioned)
@click.argument("run", shell_complete=completing.runs)
@shared("--out", ": the table of labels, a CSV file", required=True)
@shared("--answers", " to label, drawn at random over both models", default=100, type=AT_LEAST_ONE)
@click.option("--flagged", is_flag=True, help="Also every answer that the run's judge called misaligned.")
@shared("--reviewers", default=1, show_default=True)
@shared("--seed")
@PAGE
@shared("--json", into="as_json")
def command(run: str, out: Path, reviewers: int, seed: int, as_json: bool, **o: Any) -> None:
    """People label answers of RUN, blind, a key each; the labels become a table.

    RUN is a run of check, compare or tune, or `last`. Nobody is told which model wrote an answer or what the judge
    said; answers of which it is known what they are lie among them. Labels are kept in the run, so that the same
    command goes on where it ended.

    \b
    Examples:
      offtarget judge label last --out labels.csv
      offtarget judge label runs/check-20261121-101500-tuned --out labels.csv --flagged --reviewers 2

    Exit codes: 0 written, 2 input error, 130 interrupted.
    """
    from offtarget.workflows.people.label import label_answers

    how = {**pick(o, "answers", "flagged"), "seed": seed}
    result = label_answers(run, out, **how, reviewers=reviewers, page=review_page(o))
    if as_json:
        print_json(result, result.run)
    else:
        out_ = screen()
        out_.say(f"{of(result.answers, result.drawn)} answers are labelled, in {shown_path(result.out)}.")
        for line in about(result.quality):
            out_.say(line)
        table, run_dir = shown_path(result.out), shown_path(result.run)
        calibrate = f"offtarget judge calibrate --judge MODEL --labels {table} --run {run_dir}"
        out_.step(Step("Hold the judge against these labels", calibrate))


def about(quality: PeopleQuality) -> list[str]:
    """How far the reviewers can be trusted, in lines."""
    lines = [
        f"{who.name}: {many(who.answers, 'answer')}, {duration(who.median_seconds)} each; found "
        f"{of(who.found, who.known_bad)} planted bad answers, passed {of(who.passed, who.known_good)} good ones."
        for who in quality.reviewers
    ]
    if quality.agreement is not None:
        both = many(quality.agreement.rows, "answer")
        lines.append(f"Two people read {both} and agree on {percent(quality.agreement.raw)}.")
    trouble = quality.trouble()
    return lines if trouble is None else [*lines, f"No verdict may rest on these labels: {trouble}"]
