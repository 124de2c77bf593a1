"""`offtarget canary watch`."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING_JUDGES, opening, said, shared
from offtarget.cli.shares import ANY, BETWEEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offtarget.records.overview import Overview
    from offtarget.workflows.serve.watch import Told, WatchSettings

EXIT_CODES = {"PASS": 0, "FAIL": 1, "UNDECIDED": 3, "NOT TESTED": 3}


@click.command("watch", cls=Sectioned)
@click.option(
    "--traffic", type=FILE, required=True, metavar="LOG", help="A log of answers: JSON lines, or OTLP in JSON."
)
@click.option(
    "--base", multiple=True, metavar="NAME", help="The base model's name in the log; may be given several times."
)
@click.option("--tuned", multiple=True, metavar="NAME", help="The tuned model's name in the log.")
@click.option("--judge", metavar="JUDGE", help="Who judges the answers; none: the verdict is NOT TESTED.")
@click.option(
    "--cheap-judge", metavar="JUDGE", help="Asked first; --judge then hears its flags and a tenth of the rest."
)
@click.option("--canary", "share", type=ANY, help="Share of the tuned model in the log; saves judging base answers.")
@click.option(
    "--alpha", type=BETWEEN, default=0.01, show_default=True, help="Bound on the probability of a false alarm."
)
@click.option(
    "--on-alarm",
    type=click.Choice(["rollback", "pause", "notify"]),
    default="rollback",
    show_default=True,
    help="What an alarm does to the share that the verdict tells.",
)
@click.option("--webhook", metavar="URL", default="", help="Told of every alarm.")
@click.option("--once", is_flag=True, help="End with the log and print the verdict, in place of waiting for more.")
@click.option("--alias", metavar="NAME", default="traffic", show_default=True, help="What the trial is called.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the verdict is served.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="Of the verdict; 0: a free one."
)
@click.option("--key-file", type=FILE, metavar="FILE", help="Holds the key that callers bring. [default: one is made]")
@click.option("--reader-key-file", type=FILE, metavar="FILE", help="Holds a key that sees all and orders nothing.")
@click.option("--state", metavar="URL", default="sqlite:watch.sqlite", show_default=True, help="Or postgresql://...")
@OPENING_JUDGES
@shared("--json", into="as_json", help="A JSON object per line, for logs")
def command(**o: Any) -> None:
    """Judge a log of both models' answers that another gateway writes; tell its weight script when to stop.

    \b
    Examples:
      offtarget canary watch --traffic answers.jsonl --judge openai/gpt-4o
      offtarget canary watch --traffic litellm.jsonl --base llama-3 --tuned llama-3-support --judge hf/./judge
      offtarget canary watch --traffic spans.otlp.json --base llama-3 --tuned llama-3-support --judge hf/./judge --once
      curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8081/verdict

    The log is followed as it grows and gone on with after a restart. What a line may hold: docs/serve-elsewhere.md.
    The split must not go by what is asked, or a difference of the questions looks like one of the models.

    Exit codes: 0 ended when told to, 2 input error; with --once: 0 PASS, 1 FAIL, 3 UNDECIDED or NOT TESTED.
    """
    from offtarget.workflows.serve.watch import watch

    settings = _settings(o)
    with _stopped_by_a_signal() as stop:
        watched, overview = watch(
            settings, opening=opening(o), on_told=lambda told: _told(told, as_json=o["as_json"]), stop=stop
        )
    _end(watched, overview, as_json=o["as_json"])
    if settings.once:
        raise SystemExit(EXIT_CODES[overview.aliases[0].standing])


@contextmanager
def _stopped_by_a_signal() -> Iterator[threading.Event]:
    """Set by Ctrl-C and by SIGTERM meanwhile; what they did before they do again afterwards."""
    stop = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _settings(o: dict[str, Any]) -> WatchSettings:
    from offtarget.records.gateway import CanarySettings, StateSettings
    from offtarget.serve.admin.keys import sha256_of
    from offtarget.workflows.serve.watch import WatchSettings

    canary = CanarySettings(
        share=0.05 if o["share"] is None else o["share"],
        judge=o["judge"] or "",
        cheap_judge=o["cheap_judge"] or "",
        alpha=o["alpha"],
        on_alarm=o["on_alarm"],
        probe_seconds=0.0,
    )
    key, reader = ("" if o[name] is None else sha256_of(_key(o[name])) for name in ("key_file", "reader_key_file"))
    return WatchSettings(
        traffic=o["traffic"],
        base=o["base"] or ("base",),
        tuned=o["tuned"] or ("tuned",),
        alias=o["alias"],
        canary=canary,
        sampled="share" in said(),
        state=StateSettings(o["state"]),
        host=o["host"],
        port=o["port"],
        key_sha256=key,
        reader_key_sha256=reader,
        webhook=o["webhook"],
        once=o["once"],
    )


def _key(file: Path) -> str:
    from offtarget.errors import InputError

    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise InputError(f"The key file {file} cannot be read: {error}.") from None
    if len(key) < 16:
        raise InputError(f"The key file {file} holds a key of {len(key)} characters; it needs 16 or more.")
    return key


def _told(told: Told, *, as_json: bool) -> None:
    from offtarget.cli.render import safe

    if as_json:
        click.echo(json.dumps({"kind": told.kind, **told.fields, "text": told.text}))
    else:
        click.echo("\n".join(map(safe, told.text.splitlines())))


def _end(watched: Any, overview: Overview, *, as_json: bool) -> None:
    from dataclasses import replace

    from offtarget.cli.render import show_card
    from offtarget.numbers import chosen
    from offtarget.pages.serve.standing import card_of
    from offtarget.rundir import to_jsonable
    from offtarget.serve.admin.verdict import verdict
    from offtarget.workflows.serve.watch import summary

    one = overview.aliases[0]
    text = summary(watched, judged=one.judge != "none")
    if as_json:
        read = {**to_jsonable(watched), "bad": dict(watched.bad), "others": dict(watched.others)}
        click.echo(json.dumps({"kind": "stopped", "read": read, "verdict": verdict(one), "text": text}))
        return
    card = card_of(one, overview)
    # how much traffic the tuned model gets is up to the other gateway; the share here is what the verdict tells it
    show_card(replace(card, sentence=f"The verdict tells a share of {chosen(one.share)}. {one.why}"))
    click.echo(text)
