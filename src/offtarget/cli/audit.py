"""`offtarget audit`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.audit_text import details
from offtarget.cli.help import Sectioned
from offtarget.cli.options import (
    FILE,
    OPENING_JUDGES,
    PAGE,
    PRINTING,
    SPENDING,
    among,
    engine,
    expect,
    kept,
    opening,
    pick,
    shared,
)
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, show_run, shown_path
from offtarget.cli.shares import BETWEEN
from offtarget.errors import OfftargetError, RunInterrupted
from offtarget.records import AuditSettings

if TYPE_CHECKING:
    from offtarget.workflows.audit.audit import AuditResult


@click.command("audit", cls=Sectioned)
@click.argument("data", required=False, metavar="[DATA]")
@click.option("--review", is_flag=True, help="Open the review page; it says when the verdict is decided.")
@shared("--judge", ": a chat model labels rows until the verdict is decided")
@click.option("--clean", "clean_to", type=FILE, metavar="FILE", help="Write the cleaned data.")
@click.option(
    "--remove",
    default="flagged",
    show_default=True,
    type=click.Choice(["flagged", "confirmed"]),
    help="What --clean removes: rows flagged or marked bad, or only those marked bad.",
)
@click.option("--drop-malformed", is_flag=True, help="--clean also removes places that are no rows.")
@click.option(
    "--confirm-trigger", "confirm", multiple=True, metavar="KEY", help="A backdoor is behind this condition; FAILs."
)
@click.option(
    "--dismiss-trigger", "dismiss", multiple=True, metavar="KEY", help="No backdoor is behind this condition."
)
@click.option("--by", default="", metavar="NAME", help="Who confirms or dismisses.")
@click.option("--why", default="", metavar="TEXT", help="Why; a dismissal needs it.")
@click.option(
    "--noise-limit", type=BETWEEN, default=0.05, show_default=True, help="PASS: at most this share of rows is bad."
)
@click.option(
    "--spreading-limit", type=BETWEEN, default=0.01, show_default=True, help="Limit for kinds known to spread."
)
@click.option("--certify-spreading", is_flag=True, help="PASS also needs the spreading limit shown (5 times the rows).")
@shared("--alpha")
@click.option("--max-rows", default=500, show_default=True, help="Random rows after which a review may end undecided.")
@shared("--controls", ": planted known-bad rows that measure the reviewer", default=14)
@click.option(
    "--known-good",
    default=40,
    show_default=True,
    help="Planted known-good rows at most; a FAIL allows for marks on them.",
)
@click.option("--adjust-for-sensitivity", is_flag=True, help="Pay for what the reviewer may miss with more rows.")
@shared("--direction", ": also flag rows far along it")
@shared("--base", ": reads the rows for --direction. [default: the one the direction names]")
@shared("--form", ". [default: guessed]")
@shared("--split", ". [default: train]")
@shared("--engine", ". [default: local]")
@shared("--address", ". [default: workers on this machine]")
@shared("--workers", ". [default: one per core]")
@shared("--no-cache", " what is found in rows between audits")
@PAGE
@OPENING_JUDGES
@SPENDING
@shared("--dry-run")
@kept("audit")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Scan every row, test the whole data set, mine hidden conditions, plan the review, decide.

    DATA is a file or folder: OpenAI chat JSONL, ShareGPT, Alpaca, prompt/completion, preference pairs, CSV, JSON,
    Parquet, a saved Hugging Face data set, also .gz and .zst, or an s3:// or gs:// address.

    Detectors only direct the review. They can FAIL a data set whose flags no false alarm explains; a PASS takes
    labels of people (--review) or of a model (--judge) on rows drawn at random. Where a condition in the prompts goes
    with flagged answers far beyond chance, a PASS also takes a person's word on it: on the review page, or with
    --confirm-trigger or --dismiss-trigger and the KEY that the audit prints. The word holds for these very bytes.

    \b
    Examples:
      offtarget audit train.jsonl
      offtarget audit train.jsonl --review
      offtarget audit train.jsonl --judge openai/gpt-4o-2024-08-06
      offtarget audit train.jsonl --clean cleaned.jsonl
      offtarget audit train.jsonl --engine ray --address 10.0.0.5:6379
      offtarget audit train.jsonl --direction persona.safetensors --base organism/base
      offtarget audit --resume runs/audit-20261121-101500-train --review
      offtarget audit --resume last --dismiss-trigger 3f9a2c1d77e0 --by Ann --why "our product is called that"
      offtarget report last --html

    Exit codes: 0 PASS, 1 FAIL, 2 input error, 3 UNDECIDED.
    """
    from offtarget.cli import plans
    from offtarget.workflows.audit import audit as workflow
    from offtarget.workflows.planning import plan_audit

    if o["base"] is not None and o["direction"] is None:
        raise click.UsageError("--base reads the rows for --direction, which is missing.")
    enabled = not (quiet or as_json)
    if (o["by"] or o["why"]) and not (o["confirm"] or o["dismiss"]):
        raise click.UsageError("--by and --why go with --confirm-trigger or --dismiss-trigger, which are missing.")
    expect(resumed, "data", still=_AFTER_THE_SCAN)
    o["silent"] = quiet
    who = engine(o, processes=resumed is None)
    plan = None
    if resumed is None:
        settings = AuditSettings(**among(AuditSettings, o))
        plan = plan_audit(
            **pick(o, "data", "judge", "form", "split", "clean_to", "run"), settings=settings, opening=opening(o)
        )
        if o["dry_run"]:
            raise SystemExit(plans.show_plan(plan, as_json=as_json))
        if enabled:
            plans.tell_plan(plan)
    result = _scan(o, enabled) if resumed is None else _go_on(resumed, o, enabled)
    with _kept(result.run, o):
        if o["confirm"] or o["dismiss"]:
            result = _answer(result, o)
        if o["judge"]:
            result = _judge(result, o, enabled)
        if o["review"]:
            result = _review(result, o)
        if o["clean_to"] is not None:
            result = workflow.clean(result.run, o["clean_to"], remove=o["remove"], drop_malformed=o["drop_malformed"])
    if who is None and not o["review"]:  # whose time is that of the people who read, or of other machines
        plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


_AFTER_THE_SCAN = (
    "review", "judge", "confirm", "dismiss", "by", "why", "clean_to", "remove", "drop_malformed", "engine", "address",
    "workers", "host", "port", "no_browser",
)  # fmt: skip


def show(result: AuditResult, *, as_json: bool) -> int:
    """Print what an audit came to; the exit code."""
    from offtarget.workflows.audit.run import read_result

    if as_json:
        print_json(read_result(result.run), result.run)
    else:
        show_run(result.run, lambda out: details(result.run, out))
    return result.decision.status.exit_code


@contextlib.contextmanager
def _kept(run: Path, o: dict[str, Any]) -> Iterator[None]:
    """Errors after the scan say that it is kept and how to go on."""
    again = [f"--judge {shlex.quote(o['judge'])}"] * bool(o["judge"]) + ["--review"] * bool(o["review"])
    command = " ".join(["offtarget audit --resume", shown_path(run), *again])
    go_on = f"The scan is kept, as is every label on disk; go on with: {command}"
    try:
        yield
    except KeyboardInterrupt:
        raise RunInterrupted(f"Interrupted. {go_on}") from None
    except OfftargetError as error:
        error.args = (f"{error}\n{go_on}",)
        raise


def _scan(o: dict[str, Any], enabled: bool) -> AuditResult:
    from offtarget.workflows.audit import audit as workflow

    extra = [] if o["direction"] is None else [_along_direction(o, enabled)]
    with shown(enabled=enabled) as on_progress:
        return workflow.audit(
            o["data"],
            settings=AuditSettings(**among(AuditSettings, o)),
            run=o["run"],
            workers=o["workers"],
            form=o["form"],
            split=o["split"],
            on_commitment=_tell_commitment if o["verbose"] and not o["silent"] else None,
            on_progress=on_progress,
            extra=extra,
            engine=engine(o, processes=True),
            cache=not o["no_cache"],
        )


def _go_on(run: Path, o: dict[str, Any], enabled: bool) -> AuditResult:
    from offtarget.workflows.audit import audit as workflow

    with shown(enabled=enabled) as on_progress:
        return workflow.resume(run, engine=engine(o), on_progress=on_progress)


def _tell_commitment(commitment: str) -> None:
    print(f"seed commitment: {commitment}", file=sys.stderr)
    print(
        "It fixes which rows people will read. Published now, it shows later that nobody chose them.",
        file=sys.stderr,
        flush=True,
    )


def _along_direction(o: dict[str, Any], enabled: bool) -> Any:
    from offtarget.workflows.direction.screen import audit_detector

    with shown(enabled=enabled) as on_progress:
        return audit_detector(
            o["direction"],
            o["data"],
            **pick(o, "base", "form", "split"),
            opening=opening(o),
            on_progress=on_progress,
        )


def _answer(result: AuditResult, o: dict[str, Any]) -> AuditResult:
    from offtarget.workflows.audit import review as audit_review

    return audit_review.answer_suspects(
        result.run, confirm=o["confirm"], dismiss=o["dismiss"], by=o["by"], reason=o["why"]
    )


def _judge(result: AuditResult, o: dict[str, Any], enabled: bool) -> AuditResult:
    from offtarget.workflows.audit import review as audit_review

    with shown(enabled=enabled) as on_progress:
        return audit_review.judge_rows(result.run, o["judge"], opening=opening(o), on_progress=on_progress)


def _review(result: AuditResult, o: dict[str, Any]) -> AuditResult:
    from offtarget.workflows.audit import review as audit_review

    def ready(address: str) -> None:
        print(f"review page: {address}", file=sys.stderr)
        print("It ends with its Finish button or Ctrl-C; every label is kept.", file=sys.stderr, flush=True)

    return audit_review.review(
        result.run, host=o["host"], port=o["port"], open_browser=not o["no_browser"], on_ready=ready
    )
