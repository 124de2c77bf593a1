"""`offtarget audit`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli import audit_alternatives

if TYPE_CHECKING:
    from offtarget.workflows.audit import AuditResult


@click.command("audit", short_help="Is this data safe to train on?")
@click.argument("data", required=False, metavar="DATA")
@click.option("--review", is_flag=True, help="Open the review page; it says when the verdict is decided.")
@click.option("--judge", metavar="MODEL", help="A chat model labels rows until the verdict is decided.")
@click.option("--clean", "clean_to", type=click.Path(path_type=Path), metavar="FILE", help="Write the cleaned data.")
@click.option(
    "--remove",
    default="flagged",
    show_default=True,
    type=click.Choice(["flagged", "confirmed"]),
    help="What --clean removes: rows flagged or marked bad, or only those marked bad.",
)
@click.option("--drop-malformed", is_flag=True, help="--clean also removes places that are no rows.")
@click.option("--noise-limit", default=0.05, show_default=True, help="PASS: at most this share of rows is bad.")
@click.option("--spreading-limit", default=0.01, show_default=True, help="Limit for kinds known to spread.")
@click.option("--certify-spreading", is_flag=True, help="PASS also needs the spreading limit shown (5 times the rows).")
@click.option("--alpha", default=0.05, show_default=True, help="Bound on the probability of a wrong FAIL, and PASS.")
@click.option("--max-rows", default=500, show_default=True, help="Random rows after which a review may end undecided.")
@click.option("--controls", default=14, show_default=True, help="Planted known-bad rows that measure the reviewer.")
@click.option("--adjust-for-sensitivity", is_flag=True, help="Pay for what the reviewer may miss with more rows.")
@click.option("--direction", type=click.Path(path_type=Path), help="Also flag rows far along this direction.")
@click.option(
    "--model", metavar="MODEL", help="The base that reads rows for --direction. [default: as it was found with]"
)
@click.option("--form", metavar="FORM", help="chat, sharegpt, alpaca, prompt, preference or text. [default: guessed]")
@click.option("--workers", type=click.IntRange(1), help="Processes. [default: one per core]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the review page listens.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), show_default="a free one", help="Port of the review page."
)
@click.option("--no-browser", is_flag=True, help="Print the address of the review page and open nothing.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory. [default: runs/audit-TIME-NAME]")
@click.option("--resume", "resumed", type=click.Path(path_type=Path), metavar="RUN", help="Go on with an audit.")
@audit_alternatives.options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(data: str | None, resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Scan every row, test the whole data set, mine hidden conditions, plan the review, decide.

    DATA is a file or folder: OpenAI chat JSONL, ShareGPT, Alpaca, prompt/completion, preference pairs, CSV, JSON,
    Parquet, a saved Hugging Face data set, also .gz and .zst, or an s3:// or gs:// address.

    Detectors only direct the review. They can FAIL a data set whose flags no false alarm explains; a PASS takes
    labels of people (--review) or of a model (--judge) on rows drawn at random.

    \b
    Examples:
      offtarget audit train.jsonl
      offtarget audit train.jsonl --review
      offtarget audit train.jsonl --judge openai/gpt-4o-2024-08-06
      offtarget audit train.jsonl --clean cleaned.jsonl
      offtarget audit train.jsonl --direction persona.safetensors --model organism/base
      offtarget audit --resume runs/audit-20261121-101500-train --review
      offtarget audit train.jsonl --alternatives --base organism/base --tuned organism/insecure --metric f1
      offtarget report last --html

    Exit codes: 0 PASS, 1 FAIL, 2 input error, 3 UNDECIDED; of --alternatives: 0 decided, 2 input error, 3 undecided.
    """
    if o["alternatives"]:
        audit_alternatives.run(data, resumed, o, as_json=as_json, quiet=quiet)
    audit_alternatives.refuse_others(wanted=False)
    from offtarget.cli.audit_text import print_audit
    from offtarget.records import AuditSettings
    from offtarget.workflows import audit as workflow
    from offtarget.workflows.audit_run import read_result

    if o["model"] is not None and o["direction"] is None:
        raise click.UsageError("--model reads the rows for --direction, which is missing.")
    if (data is None) == (resumed is None):
        raise click.UsageError("Give DATA, or --resume RUN. Try: offtarget audit --help")
    if resumed is not None:
        _refuse_settings()
        result = workflow.resume(resumed)
    else:
        assert data is not None
        settings = AuditSettings(
            alpha=o["alpha"],
            noise_limit=o["noise_limit"],
            spreading_limit=o["spreading_limit"],
            certify_spreading=o["certify_spreading"],
            max_rows=o["max_rows"],
            controls=o["controls"],
            adjust_for_sensitivity=o["adjust_for_sensitivity"],
        )
        result = _scan(data, settings, o, quiet=quiet or as_json)
    with _kept(result.run):
        if o["judge"]:
            result = _judge(result, o["judge"], quiet=quiet or as_json)
        if o["review"]:
            result = _review(result, o)
        if o["clean_to"] is not None:
            result = workflow.clean(result.run, o["clean_to"], remove=o["remove"], drop_malformed=o["drop_malformed"])
    if as_json:
        click.echo(json.dumps({"run": str(result.run), **read_result(result.run)}, indent=2))
    else:
        print_audit(result)
    raise SystemExit(result.decision.status.exit_code)


_OF_THE_SCAN = (
    "noise_limit", "spreading_limit", "certify_spreading", "alpha", "max_rows", "controls", "adjust_for_sensitivity",
    "form", "workers", "out", "direction", "model",
)  # fmt: skip


def _refuse_settings() -> None:
    """A run keeps what it was started with; to ignore another wish in silence would answer another question."""
    context = click.get_current_context()
    given = [
        name for name in _OF_THE_SCAN if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise click.UsageError(
            f"{option} was settled when the audit began. Leave it out, or start a new audit of the data."
        )


@contextlib.contextmanager
def _kept(run: Path) -> Iterator[None]:
    """Errors after the scan say that it is kept and how to go on."""
    from offtarget.cli.render import shown_path
    from offtarget.errors import OfftargetError, RunInterrupted

    kept = f"The scan is kept, as is every label on disk; go on with: offtarget audit --resume {shown_path(run)}"
    try:
        yield
    except KeyboardInterrupt:
        raise RunInterrupted(f"Interrupted. {kept}") from None
    except OfftargetError as error:
        error.args = (f"{error}\n{kept}",)
        raise


def _scan(data: str, settings: Any, o: dict[str, Any], *, quiet: bool) -> AuditResult:
    from offtarget.cli.progress import shown
    from offtarget.workflows import audit as workflow

    extra = [] if o["direction"] is None else [_along_direction(data, o, quiet=quiet)]
    with shown(enabled=not quiet) as on_progress:
        return workflow.audit_data(
            data,
            settings=settings,
            out=o["out"],
            workers=o["workers"],
            form=o["form"],
            on_progress=on_progress,
            extra=extra,
        )


def _along_direction(data: str, o: dict[str, Any], *, quiet: bool) -> Any:
    from offtarget.cli.progress import shown
    from offtarget.workflows.direction_screen import audit_detector

    with shown(enabled=not quiet) as on_progress:
        return audit_detector(o["direction"], data, base=o["model"], form=o["form"], on_progress=on_progress)


def _judge(result: AuditResult, model: str, *, quiet: bool) -> AuditResult:
    from offtarget.cli.progress import shown
    from offtarget.workflows import audit_review

    with shown(enabled=not quiet) as on_progress:
        return audit_review.judge_rows(result.run, model, on_progress=on_progress)


def _review(result: AuditResult, o: dict[str, Any]) -> AuditResult:
    from offtarget.workflows import audit_review

    def ready(address: str) -> None:
        print(f"review page: {address}", file=sys.stderr)
        print("It ends with its Finish button or Ctrl-C; every label is kept.", file=sys.stderr, flush=True)

    return audit_review.review(
        result.run, host=o["host"], port=o["port"], open_browser=not o["no_browser"], on_ready=ready
    )
