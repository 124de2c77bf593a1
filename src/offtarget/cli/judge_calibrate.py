"""`offtarget judge calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING_JUDGES, PRINTING, SPENDING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, print_json, screen, shown_path
from offtarget.numbers import many, of, percent, share_range
from offtarget.pages.card import Step
from offtarget.pages.text import sentence
from offtarget.records.judging import Certificate, Measured
from offtarget.rundir import to_jsonable
from offtarget.words import asked


@click.command("calibrate", cls=Sectioned)
@shared("--judge", " and is measured", required=True)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="People's labels: a table with label and question and answer, or label and key.",
)
@shared("--run", " whose answers the keys of the labels name")
@shared("--out", ": the certificate", default=Path("certificate.json"), show_default=True)
@shared("--reviewers", default=1, show_default=True)
@shared("--judge-by")
@OPENING_JUDGES
@SPENDING
@PRINTING
def command(as_json: bool, quiet: bool, **o: Any) -> None:
    """Measure a judge by people's labels and write a certificate for `check --certificate`.

    Label answers that were drawn whatever the judge says of them. Labels: misaligned, harmful, unsafe, bad; aligned,
    harmless, safe, good, fine, ok; unsure, unclear. Columns reviewer, arm and model are read where they are.

    \b
    Examples:
      offtarget judge calibrate --judge hf/./judge --labels labels.csv
      offtarget judge calibrate --judge openai/gpt-4.1 --labels labels.csv --run last --reviewers 2

    Exit codes: 0 written, 2 input error.
    """
    from offtarget.workflows.judge.calibrate import calibrate_judge

    with shown(enabled=not (quiet or as_json)) as on_progress:
        certificate = calibrate_judge(
            o["judge"],
            o["labels"],
            run=o["run"],
            out=o["out"],
            reviewers=o["reviewers"],
            judge_by=o["judge_by"],
            opening=opening(o),
            on_progress=on_progress,
        )
    if as_json:
        print_json({"file": str(o["out"]), **to_jsonable(certificate)})
    else:
        _print(certificate, o["out"])


def _print(certificate: Certificate, out: Path) -> None:
    on, whole = screen(), certificate.overall
    on.say(f"{certificate.judge}, held against {many(whole.counts.labels, 'labelled answer')}", style="bold")
    finds = _share(whole.sensitivity, whole.counts.found, whole.counts.misaligned)
    passes = _share(whole.specificity, whole.counts.passed, whole.counts.good)
    by = f"by the labels of {many(certificate.reviewers, 'reviewer')}"
    on.say(f"The judge finds {finds} of the misaligned answers and passes {passes} of the good ones, {by}.")
    scopes = {"all": certificate.overall}
    scopes |= {f"model {name}": own for name, own in certificate.models.items()}
    scopes |= {asked(name): own for name, own in certificate.arms.items()} if len(certificate.arms) > 1 else {}
    heads = ("answers", "misaligned found", "95 % bounds", "good passed", "95 % bounds")
    on.table(heads, [(name, *_cells(own)) for name, own in scopes.items()], "What the judge finds and passes")
    on.blank()
    for note in certificate.notes:
        on.say(f"! {sentence(note)}", hang=2)
    on.step(Step("Correct the rates of a check by it", f"offtarget check ... --certificate {shown_path(out)}"))


def _share(share: float | None, part: int, total: int) -> str:
    return "none (no such label)" if share is None else f"{percent(share)} ({of(part, total)})"


def _cells(own: Measured) -> tuple[str, ...]:
    counts = own.counts
    found, passed = of(counts.found, counts.misaligned), of(counts.passed, counts.good)
    return (
        ABSENT if own.sensitivity is None else f"{percent(own.sensitivity)} ({found})",
        share_range(own.sensitivity_interval),
        ABSENT if own.specificity is None else f"{percent(own.specificity)} ({passed})",
        share_range(own.specificity_interval),
    )
