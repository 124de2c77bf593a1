"""`offtarget doctor`: what is here, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import must_print, print_json, screen
from offtarget.numbers import file_size, many
from offtarget.words import meant

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.doctor.doctor import Diagnosis


def _verbs(context: click.Context, parameter: click.Parameter, said: str) -> list[str]:
    return [name for name in context.find_root().command.list_commands(context) if name.startswith(said)]  # type: ignore[attr-defined]


MISSING = 3
"""Exit code where something that was asked for is not there."""


@click.command("doctor", cls=Sectioned)
@click.argument("verb", required=False, shell_complete=_verbs)
@shared("--base", ", to see whether it can be opened")
@shared("--tuned", ", likewise")
@shared("--judge", ", to see whether it can be asked")
@shared("--probes")
@click.option("--connect", is_flag=True, help="Try the servers of models too, by a connection and nothing more.")
@shared("--json", into="as_json")
@shared("--verbose")
def command(
    verb: str | None,
    base: str | None,
    tuned: str | None,
    judge: str | None,
    probes: str | None,
    connect: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """What is installed, what is missing for which command, what this machine offers, how long a check takes here.

    With VERB, and the models it is meant for, it says whether that could begin. Nothing is loaded, asked or written;
    of keys only whether they are set.

    \b
    Examples:
      offtarget doctor
      offtarget doctor check --base hf/./base --tuned hf/./base+./adapter --judge openai/gpt-4o
      offtarget doctor tune --base hf/./base --json

    Exit codes: 0 nothing that was asked for is missing, 2 input error, 3 something is missing.
    """
    from offtarget.cli.app import VERBS
    from offtarget.workflows.doctor.doctor import doctor

    if verb is not None and verb not in VERBS:
        raise click.UsageError(f"There is no command '{verb}'.{meant(verb, VERBS)}")
    must_print()
    found = doctor(verb, base=base, tuned=tuned, judge=judge, probes=probes, connect=connect)
    if as_json:
        print_json({"ok": found.ok, **_as_json(found)})
    else:
        _show(found, screen(), verb)
    if not found.ok:
        raise SystemExit(MISSING)


def _as_json(found: Diagnosis) -> dict[str, object]:
    from offtarget.rundir import to_jsonable

    value: dict[str, object] = to_jsonable(found)
    value["extras"] = [{**to_jsonable(extra), "ready": extra.ready, "install": extra.install} for extra in found.extras]
    return value


def _show(found: Diagnosis, out: Screen, verb: str | None) -> None:
    out.say(f"offtarget {found.version}, Python {found.python}, {found.system}")
    if found.asked:
        out.heading("Asked for")
        for finding in found.asked:
            out.say(f"{'ok' if finding.ok else 'MISSING':<8} {finding.what}: {finding.said}", indent=2, hang=9)
    elif verb is not None:
        out.heading("Asked for")
        out.say(
            f"ok       {verb} needs nothing but what is always installed; name its models to look at them", indent=2
        )
    out.heading("Packages")
    for extra in found.extras:
        versions = ", ".join(f"{p.name} {p.installed}" for p in extra.packages)
        if extra.ready:
            out.say(f"ok       {extra.name}: {versions if out.verbose else extra.purpose}", indent=2, hang=9)
        else:
            out.say(f"missing  {extra.name}: {extra.purpose}. Not there: {extra.missing}", indent=2, hang=9)
            out.command(extra.install, indent=11)
    out.heading("Machine")
    memory = "unknown" if found.memory is None else file_size(found.memory)
    rows = [("processor", many(found.cores, "core")), ("memory", f"{memory} free")]
    rows += [("GPU", one) for one in found.gpus] or [("GPU", "none is seen")]
    for disk in found.disks:
        room = "unknown room" if disk.free is None else f"{file_size(disk.free)} free"
        rows.append((disk.what, f"{disk.place}: {room}{'' if disk.writable else ', may not be written'}"))
    for name, value in rows:
        out.say(f"{name:<10} {value}", indent=2, hang=11)
    out.heading("Variables for servers; only whether they are set")
    for one in found.variables:
        if one.set or out.verbose or not one.name.startswith("HF_"):
            out.say(f"{'set' if one.set else 'not set':<8} {one.name}", indent=2)
    if found.estimate:
        out.heading("How long")
        out.say(found.estimate, indent=2, hang=2)
