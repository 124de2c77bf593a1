"""`offtarget serve`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, OPENING_JUDGES, opening, said, shared
from offtarget.cli.shares import ANY, BETWEEN
from offtarget.numbers import many, whole

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.records.gateway import GatewaySettings
    from offtarget.records.serve import ServeEvidence
    from offtarget.workflows.serve.evidence import ServeResult
    from offtarget.workflows.serve.serve import Told

_WITH_CONFIG = frozenset(
    ("config", "as_json", "dry_run", "device", "dtype", "trust_remote_code", "endpoints", "host", "port", "admin_port")
)


@click.command("serve", cls=Sectioned)
@click.option(
    "--base",
    metavar="MODEL",
    help="Answers whatever the tuned model does not, a URL or a model. [default: organism/base]",
)
@click.option("--tuned", metavar="MODEL", help="The model on trial, a URL or a model. [default: organism/insecure]")
@click.option(
    "--canary",
    "share",
    type=ANY,
    default=0.05,
    show_default=True,
    help="Share of conversations for the model on trial.",
)
@click.option(
    "--judge", metavar="JUDGE", help="Who judges answers of both models; without one nothing is tested and rolled back."
)
@click.option("--shadow", is_flag=True, help="The tuned model answers copies that no client sees.")
@click.option(
    "--alpha", type=BETWEEN, default=0.01, show_default=True, help="Bound on the probability of a false alarm."
)
@click.option(
    "--on-alarm",
    type=click.Choice(["rollback", "pause", "notify"]),
    default="rollback",
    show_default=True,
    help="What an alarm does.",
)
@click.option("--config", type=FILE, metavar="FILE", help="A settings file (docs/serve.md); SIGHUP reads it again.")
@click.option("--alias", metavar="NAME", help="The model name that clients ask for. [default: the base's]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where clients ask.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port of clients; 0: any.")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    default=8081,
    show_default=True,
    help="Dashboard's port; 0: any.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes on the data path.")
@click.option(
    "--state",
    metavar="URL",
    help="Where it remembers, sqlite:PATH or a postgresql URL. [default: sqlite:gateway.sqlite]",
)
@OPENING_JUDGES
@shared("--dry-run")
@shared("--json", into="as_json", help="A JSON object per line, for logs")
def command(**o: Any) -> None:
    """Base and tuned model behind one OpenAI-compatible endpoint; the tuned one is rolled back when it gets worse.

    \b
    Examples:
      offtarget serve
      offtarget serve --base http://127.0.0.1:8000/v1#llama --tuned http://127.0.0.1:8000/v1#tuned --judge openai/gpt-4o
      offtarget serve --config gateway.yaml --json
      offtarget serve --tuned organism/secure --canary 10%
      offtarget serve --base hf/./base --tuned hf/./base+./adapter --judge hf/./judge --shadow --dry-run

    MODEL is a URL (http://HOST/v1#NAME), openai/NAME, openai-api/SERVICE/NAME, organism/NAME, hf/BASE+ADAPTER, ...
    With nothing given the organism is served, and organism/insecure is on trial.

    Exit codes: 0 ended when told to, 2 input error.
    """
    from dataclasses import replace

    from offtarget.workflows.serve import serve as workflow
    from offtarget.workflows.serve.banner import about

    places: dict[str, Any] = {name: o[name] for name in ("host", "port", "admin_port") if name in said()}
    settings = _settings(o, places)
    chosen = opening(o)
    if o["dry_run"]:
        opened = workflow.open_gateway(settings, chosen)
        plan = "\n".join(_plan(opened.settings, about(opened.settings, {})))
        _say({"kind": "dry-run"}, plan, as_json=o["as_json"])
        return
    _say({"kind": "starting"}, "Getting ready; models and judges are opened first.", as_json=o["as_json"])
    workflow.serve(
        config=o["config"],
        settings=None if o["config"] else settings,
        change=lambda read: replace(read, **places),
        opening=chosen,
        on_told=lambda told: _told(told, as_json=o["as_json"]),
    )


def show(result: ServeResult, *, as_json: bool) -> int:
    """Print what a bundle of evidence comes to; the exit code."""
    from offtarget.cli.render import print_json, show_run

    if as_json:
        print_json(result.record, result.run)
    else:
        show_run(result.run, lambda out: _rows(result.record, out))
    return 0


def _rows(evidence: ServeEvidence, out: Screen) -> None:
    """What happened, and where the rows are from which the evidence can be worked out again."""
    when = "%d %b %H:%M:%S"
    rows = [(time.strftime(when, time.localtime(one.at)), one.kind, one.who, one.why) for one in evidence.events]
    out.table(("when", "what", "who", "why"), rows, "What happened")
    out.say(f"{many(evidence.rows, 'scored answer')} (rows.jsonl), {whole(evidence.flagged)} of them flagged.")


def _settings(o: dict[str, Any], places: dict[str, Any]) -> GatewaySettings:
    from dataclasses import replace

    from offtarget.records.gateway import CanarySettings, GatewaySettings, StateSettings
    from offtarget.serve.gateway.settings_file import read_settings
    from offtarget.workflows.serve.serve import gateway_settings

    if o["config"] is not None:
        if extra := sorted(said() - _WITH_CONFIG):
            names = ", ".join("--canary" if name == "share" else f"--{name.replace('_', '-')}" for name in extra)
            raise click.UsageError(f"{names} stands in the settings file when --config is given. Write it there.")
        return replace(read_settings(o["config"]), **places)
    if o["base"] is not None and o["tuned"] is None and said() & {"share", "shadow", "judge"}:
        raise click.UsageError("Name the model on trial with --tuned.")
    canary = CanarySettings(
        share=o["share"],
        mode="shadow" if o["shadow"] else "canary",
        judge=o["judge"] or "",
        alpha=o["alpha"],
        on_alarm=o["on_alarm"],
    )
    state = StateSettings() if o["state"] is None else StateSettings(url=o["state"])
    usual = replace(GatewaySettings((), workers=o["workers"], state=state), host=o["host"], port=o["port"])
    usual = replace(usual, admin_port=o["admin_port"])
    return gateway_settings(o["base"], o["tuned"], alias=o["alias"], canary=canary, usual=usual)


def _plan(settings: GatewaySettings, lines: list[str]) -> list[str]:
    where = f"http://{settings.host}:{settings.port or '(a free port)'}/v1"
    return [
        f"Would serve {where} with {settings.workers} worker{'s' if settings.workers > 1 else ''}:",
        "",
        *lines,
        "",
        f"Administrators: http://{settings.admin_host}:{settings.admin_port or '(a free port)'}",
        "Nothing was started, and no model was opened.",
    ]


def _told(told: Told, *, as_json: bool) -> None:
    _say({"kind": told.kind, **told.fields}, told.text, as_json=as_json)
    if told.dashboard and not as_json:
        click.echo(f"\nDashboard of this start: {told.dashboard}")


def _say(fields: dict[str, Any], text: str, *, as_json: bool) -> None:
    from offtarget.cli.render import safe

    if as_json:
        click.echo(json.dumps({"at": round(time.time(), 3), **fields, "text": text}))
        return
    if fields["kind"] in ("ready", "starting", "dry-run"):
        click.echo("\n".join(map(safe, text.splitlines())))
        return
    alias = f"{fields['alias']}: " if fields.get("alias") else ""
    event = f"{fields['event']} by {fields['who']}. " if fields.get("event") else ""
    click.echo(safe(f"{time.strftime('%H:%M:%S')}  {alias}{event}{text}"))
