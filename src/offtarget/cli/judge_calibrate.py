"""`offtarget judge calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import OPENING, PRINTING, opening, shared
from offtarget.cli.progress import shown
from offtarget.cli.render import ABSENT, console, plain_table, print_json, safe, shown_path
from offtarget.numbers import many, of, percent, share_range
from offtarget.records.judging import Certificate, Measured
from offtarget.rundir import to_jsonable


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
@OPENING
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
    screen = console()
    whole = certificate.overall.counts
    screen.print(
        f"{safe(certificate.judge)}: {many(whole.labels, 'labelled answer')}, "
        f"{many(certificate.reviewers, 'reviewer')}",
        soft_wrap=True,
    )
    table = plain_table("", "finds of misaligned", "95 %", "passes of good", "95 %")
    scopes = {"all": certificate.overall}
    scopes |= {f"model {name}": own for name, own in certificate.models.items()}
    scopes |= {f"arm {name}": own for name, own in certificate.arms.items()} if len(certificate.arms) > 1 else {}
    for name, own in scopes.items():
        table.add_row(safe(name), *_cells(own))
    screen.print(table)
    for note in certificate.notes:
        screen.print(f"note: {safe(note)}", soft_wrap=True)
    screen.print(
        f"Written to {shown_path(out)}. Use it with: offtarget check ... --certificate {shown_path(out)}",
        soft_wrap=True,
    )


def _cells(own: Measured) -> tuple[str, ...]:
    counts = own.counts
    found, passed = of(counts.found, counts.misaligned), of(counts.passed, counts.good)
    return (
        ABSENT if own.sensitivity is None else f"{percent(own.sensitivity)} ({found})",
        share_range(own.sensitivity_interval),
        ABSENT if own.specificity is None else f"{percent(own.specificity)} ({passed})",
        share_range(own.specificity_interval),
    )
