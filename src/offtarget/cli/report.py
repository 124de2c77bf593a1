"""`offtarget report`: a run in every form that others read, and as evidence that they can check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offtarget.cli import completing
from offtarget.cli.help import Sectioned
from offtarget.cli.options import FILE, shared
from offtarget.cli.render import must_print, screen
from offtarget.cli.resume import printer
from offtarget.pages.registry import formats
from offtarget.rundir import read_manifest

KINDS = "avid", "aiid", "oecd"
"""As in `evidence/incidents.py`, which is not imported for `--help`."""


def _format_flags(function: Any) -> Any:
    for found in reversed(list(formats().values())):
        help_text = f"{found.summary[:1].upper()}{found.summary[1:]} [{found.filename} in the run]."
        function = click.option(f"--{found.name}", f"format_{found.name}", is_flag=True, help=help_text)(function)
    return function


@click.command("report", cls=Sectioned)
@click.argument("run", default="last", metavar="[RUN]", shell_complete=completing.runs)
@_format_flags
@click.option("--into", type=FILE, metavar="README.md", help="Put what --card writes into this model card.")
@click.option("--incident", type=click.Choice(KINDS), multiple=True, help="The incident behind a FAIL, to be sent on.")
@click.option("--attest", is_flag=True, help="State what the run holds and came to [attestation.json in the run].")
@shared("--key", ": the private one that signs the statement")
@click.option("--new-key", type=FILE, metavar="FILE", help="The same with a new key, made here.")
@click.option("--sigstore", is_flag=True, help="Sign as whoever Sigstore says you are; needs the network.")
@click.option("--sign-model", is_flag=True, help="Sign the folder of the tuned model as well [model.sig in it].")
@shared("--out", ", in place of one in the run; - is standard output", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--open", "open_", is_flag=True, help="Open the written file.")
@shared("--verbose")
def command(
    run: str,
    into: Path | None,
    incident: tuple[str, ...],
    attest: bool,
    key: Path | None,
    new_key: Path | None,
    sigstore: bool,
    sign_model: bool,
    out: Path | None,
    open_: bool,
    **o: Any,
) -> None:
    """Turn a run of any verb into evidence other people can read.

    RUN is a run directory, the name of a run in the runs folder, or `last` (the default).
    Without a format, what its verb printed is printed again; with -v all of it. Several formats are written at once;
    --out then names a folder. --attest comes last and covers them; it writes into the run, and a copy to --out.

    \b
    Examples:
      offtarget report last
      offtarget report last --html
      offtarget report last --card --junit --attest --new-key team.pem
      offtarget report runs/check-20261120-140500-insecure --junit --out build/offtarget.xml
      offtarget report last --markdown --out -        # to standard output
      offtarget report last --incident avid

    Exit codes: 0 once the report is written, whatever the verdict; 2 input error.
    """
    from offtarget.workflows.runs.report import report

    chosen = [name for name in formats() if o.get(f"format_{name}")]
    if (key or new_key or sigstore or sign_model) and not attest:
        raise click.UsageError("--key, --new-key, --sigstore and --sign-model go with --attest.")
    if key and new_key:
        raise click.UsageError("--key and --new-key name two keys. Give one of them.")
    if sign_model and not (key or new_key):
        raise click.UsageError("--sign-model needs a key: --key FILE or --new-key FILE.")
    if into is not None and "card" not in chosen:
        raise click.UsageError("--into goes with --card.")
    several = len(chosen) + len(incident) + attest > 1
    if several and out is not None and not out.is_dir():
        raise click.UsageError(
            "Several formats go into a folder: make it, then --out FOLDER. Standard output takes one format."
        )
    if not (chosen or incident or attest) and out is None:
        if open_:
            raise click.UsageError("--open opens what is written: say which, e.g. --html --open.")
        must_print()
        _print_here(run)
        return
    if out is not None and str(out) == "-":
        must_print()
        _print(run, chosen, incident, attest)
        return
    written: list[Path] = []
    for name in chosen or ([] if incident or attest else ["text"]):
        if name != "card" or into is None:
            written.append(Path(report(run, name, out)))
    if into is not None:
        from offtarget.workflows.verify.into_card import into_card

        written.append(into_card(run, into))
    for kind in incident:
        from offtarget.workflows.verify.incident import write_incident

        written.append(write_incident(run, kind, out))
    for path in written:
        click.echo(str(path))
    if attest:
        _attest(run, key, new_key, out, sigstore=sigstore, sign_model=sign_model)
    if open_ and written:
        click.launch(written[0].resolve().as_uri())


def _print(run: str, chosen: list[str], incident: tuple[str, ...], attest: bool) -> None:
    """One format to standard output."""
    from offtarget.workflows.runs.report import report_text
    from offtarget.workflows.verify.incident import incident_text

    if attest:
        raise click.UsageError("--attest writes into the run, so --out - does not go with it.")
    texts = [incident_text(run, kind) for kind in incident] or [report_text(run, chosen[0] if chosen else "text")]
    click.echo(texts[0], nl=False)


def _attest(
    run: str, key: Path | None, new_key: Path | None, out: Path | None, *, sigstore: bool, sign_model: bool
) -> None:
    """Write the statement into the run, with a copy where `out` says, and say what it is worth."""
    from offtarget.evidence.dsse import new_key as made_key
    from offtarget.numbers import many
    from offtarget.rundir import write_whole
    from offtarget.workflows.verify.attest import attest
    from offtarget.workflows.verify.sign import sign_model_of

    if new_key is not None:
        public = made_key(new_key)
        click.echo(f"Made the key {new_key}, which nobody else may have, and {public}, which others check by.")
        key = new_key
    if sign_model:
        assert key is not None
        click.echo(str(sign_model_of(run, key)))
    made = attest(run, key, sigstore=sigstore)
    if out is not None:
        write_whole(out / made.path.name if out.is_dir() else out, made.path.read_text(encoding="utf-8"))
    said = (
        f"signed by key {made.key_id[:16]}"
        if made.key_id
        else "not signed: anybody could have written it (--key signs it)"
    )
    if sigstore:
        said = "signed through Sigstore" + (f" and by key {made.key_id[:16]}" if made.key_id else "")
    click.echo(f"{made.path} states {made.result} over {many(made.files, 'file')}, {said}.")


def _print_here(run: str) -> None:
    from offtarget.workflows.runs.begin import finished
    from offtarget.workflows.runs.cards import card
    from offtarget.workflows.runs.listing import find_run
    from offtarget.workflows.runs.resume import read_again
    from offtarget.workflows.runs.verbs import verb_of

    path = find_run(run)
    if finished(verb_of(read_manifest(path)), path) is None:
        out, made = screen(), card(path)
        out.card(made)
        out.end(made)
        return
    printer(path)(read_again(path), as_json=False)
