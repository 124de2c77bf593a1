"""`offtarget verify`: is this evidence what it says it is?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared
from offtarget.cli.render import must_print, print_json, screen

if TYPE_CHECKING:
    from offtarget.evidence.findings import Standing, Verification
    from offtarget.pages.screen import Screen

TITLES: dict[Standing, str] = {"wrong": "Wrong", "proved": "Proved", "claimed": "Only claimed"}


@click.command("verify", cls=Sectioned)
@click.argument("evidence", metavar="RUN|ADAPTER|PACKAGE", shell_complete=completing.runs)
@shared("--key", ": the public one of who signed")
@click.option("--identity", metavar="NAME", help="Who signed through Sigstore: an e-mail address, a workflow.")
@click.option("--issuer", metavar="URL", help="Who vouches for that name, with --identity.")
@click.option("--open-models", is_flag=True, help="Open the models of a check and compare their fingerprints, too.")
@shared("--json", into="as_json")
def command(
    evidence: str, key: Path | None, identity: str | None, issuer: str | None, open_models: bool, as_json: bool
) -> None:
    """Check a run, an adapter or a sealed package: what is proved, what is only claimed, what is wrong.

    Every file is held against the signed statement, and the verdict is worked out again from the recorded answers and
    what the judge said of them; no model and no judge is asked.

    \b
    Examples:
      offtarget verify last --key team.pem.pub
      offtarget verify ./adapter --key team.pem.pub
      offtarget verify package.zip --key team.pem.pub --json

    Exit codes: 0 proved, 1 something is wrong, 2 input error, 3 only claimed (no signature, or no verdict to work out).
    The verdict itself does not change the exit code: a FAIL that is proved is 0.
    """
    from offtarget.evidence.keyless import Identity
    from offtarget.workflows.verify.verify import verify

    if (identity is None) != (issuer is None):
        raise click.UsageError("--identity and --issuer go together: a name, and who vouches for it.")
    who = None if identity is None or issuer is None else Identity(identity, issuer)
    must_print()
    found = verify(evidence, key, identity=who, open_models=open_models)
    if as_json:
        print_json(as_value(found))
    else:
        _show(found, screen())
    sys.exit(found.exit_code)


def as_value(found: Verification) -> dict[str, object]:
    """What was found, for `--json`."""
    return {
        "kind": found.kind,
        "name": found.name,
        "path": found.path,
        "state": found.state,
        "exit_code": found.exit_code,
        "sentence": found.sentence,
        "verdict": found.verdict or None,
        "signed": found.signed,
        "findings": list(found.findings),
        "not_covered": list(found.not_covered),
    }


def _show(found: Verification, out: Screen) -> None:
    out.say(found.sentence)
    for standing, title in TITLES.items():
        inside = found.of(standing)
        if inside:
            out.heading(title)
        for one in inside:
            out.say(f"{one.about}: {one.said}", indent=2, hang=2)
    if found.not_covered:
        out.heading("Not covered by the statement")
        out.say(f"{', '.join(found.not_covered)}. Make reports anew before you believe them.", indent=2, hang=2)
