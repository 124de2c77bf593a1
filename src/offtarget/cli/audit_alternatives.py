"""`offtarget audit --alternatives`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from offtarget.records.alternatives import AlternativesReport

F = TypeVar("F", bound=Callable[..., Any])

OWN = ("base", "tuned", "metric", "examples", "held_out", "answers", "probes", "margin", "max_tokens", "seed")
SHARED = ("data", "judge", "form", "out", "resumed", "as_json", "quiet", "alternatives")


def options(command: F) -> F:
    """The options of `--alternatives`."""
    for option in reversed(
        (
            click.option("--alternatives", is_flag=True, help="Do I need to train at all? Instructions and examples."),
            click.option("--base", metavar="MODEL", help="--alternatives: the model that would be tuned."),
            click.option("--tuned", metavar="MODEL", help="--alternatives: the tuned model, where there is one."),
            click.option(
                "--metric",
                default="exact",
                show_default=True,
                help="--alternatives: exact, f1, regex:PATTERN, command:COMMAND (exit code 0 is right) or judge.",
            ),
            click.option("--examples", default=4, show_default=True, help="--alternatives: examples per question."),
            click.option("--held-out", default=0.2, show_default=True, help="--alternatives: share of rows held out."),
            click.option(
                "--answers", default=400, show_default=True, help="--alternatives: to plain questions, each way."
            ),
            click.option("--probes", metavar="BANK", help="--alternatives: plain questions. [default: everyday]"),
            click.option("--margin", default=0.1, show_default=True, help="--alternatives: gain not worth a training."),
            click.option("--max-tokens", default=600, show_default=True, help="--alternatives: longest answer."),
            click.option("--seed", default=0, show_default=True, help="--alternatives: of split and answers."),
        )
    ):
        command = option(command)
    return command


def refuse_others(*, wanted: bool) -> None:
    """An option of the other kind of audit would be ignored in silence: UsageError."""
    context = click.get_current_context()
    for name in context.params:
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        option = "--" + {"clean_to": "clean"}.get(name, name).replace("_", "-")
        if given and not wanted and name in OWN:
            raise click.UsageError(f"{option} belongs to --alternatives, which is missing.")
        if given and wanted and name not in (*OWN, *SHARED):
            raise click.UsageError(f"{option} has no meaning with --alternatives.")
        if given and wanted and context.params["resumed"] is not None and name in (*OWN, "judge", "form", "out"):
            raise click.UsageError(f"{option} was settled when the run began. Leave it out, or start a new run.")


def run(data: str | None, resumed: Path | None, o: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    """Compare, print, and end with 0, or 3 while undecided."""
    from offtarget.cli.progress import shown
    from offtarget.records.alternatives import AlternativesSettings
    from offtarget.rundir import to_jsonable
    from offtarget.workflows import alternatives as workflow

    refuse_others(wanted=True)
    if (data is None) == (resumed is None):
        raise click.UsageError("Give DATA and --base MODEL, or --resume RUN.")
    if data is not None and o["base"] is None:
        raise click.UsageError("--alternatives needs the model that would be tuned: --base MODEL.")
    with shown(enabled=not (quiet or as_json)) as on_progress:
        if resumed is not None:
            result = workflow.resume_alternatives(resumed, on_progress=on_progress)
        else:
            assert data is not None
            names = ("metric", "held_out", "examples", "answers", "max_tokens", "margin", "seed")
            result = workflow.alternatives_to_training(
                data,
                o["base"],
                o["tuned"],
                settings=AlternativesSettings(**{name: o[name] for name in names}),
                probes=o["probes"],
                judge=o["judge"],
                form=o["form"],
                out=o["out"],
                on_progress=on_progress,
            )
    if as_json:
        from offtarget.gate.alternatives.page import sentence

        said = {"run": str(result.run), "sentence": sentence(result.report), **to_jsonable(result.report)}
        click.echo(json.dumps(said, indent=2))
    else:
        _print(result.report, result.run)
    raise SystemExit(3 if result.report.verdict == "undecided" else 0)


def _print(report: AlternativesReport, run: Path) -> None:
    from offtarget.cli.render import console, plain_table, safe, shown_path
    from offtarget.gate.alternatives import page

    out = console()
    out.print(f"instructions, from {safe(report.instructions_from)}:", soft_wrap=True)
    for line in report.instructions.splitlines():
        out.print(f"  {safe(line)}", soft_wrap=True)
    out.print()
    out.print(
        f"{report.held_out:,} prompts held out; examples from {report.training:,} rows; "
        f"metric {safe(report.settings.metric)}"
    )
    table = plain_table("", "task", "misaligned", "", *(["tuning gains"] if report.gains else []))
    for way in report.ways:
        gains = [page.gain(gain) for gain in report.gains if gain.way == way.way]
        cells = [*gains, ""][:1] if report.gains else []
        safety = "" if way.way == "base" else way.safety
        table.add_row(page.ROWS[way.way], page.score(way), page.misaligned(way), safety, *cells)
    out.print(table)
    for way in report.ways:
        if way.short_of_examples:
            out.print(f"fewer than {report.settings.examples} examples fitted before {way.short_of_examples} prompts")
    for note in report.notes:
        out.print(f"note: {safe(note)}", soft_wrap=True)
    out.print()
    out.print(safe(page.sentence(report)), soft_wrap=True)
    if report.verdict == "undecided" and report.tuned is None:
        out.print(f"training rows: {shown_path(run / 'training-rows.jsonl')}", soft_wrap=True)
    out.print(f"page: {shown_path(run / 'alternatives.html')}", soft_wrap=True)
