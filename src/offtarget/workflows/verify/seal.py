"""`seal`: a run in one file for an auditor who has nothing else, and the check of such a file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.evidence.digests import survey
from offtarget.evidence.dsse import Malformed, read_envelope
from offtarget.evidence.findings import Finding, Verification
from offtarget.evidence.keyless import Identity
from offtarget.evidence.packages import unpack, write_package
from offtarget.evidence.statements import Statement, read_statement
from offtarget.numbers import many
from offtarget.records.candidates import CandidatesManifest
from offtarget.records.check import CheckManifest
from offtarget.records.runs import Manifest
from offtarget.rundir import MANIFEST, read_manifest, read_object
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import AUDIT, BENCHMARKS, CHECK, COMPARE, REDTEAM, SERVE, verb_of
from offtarget.workflows.verify.attest import ATTESTATION, attest, state_of
from offtarget.workflows.verify.later import written_later
from offtarget.workflows.verify.recorded import verify_run
from offtarget.workflows.verify.things import files_at_hand

README, RUN, DATA = "README.md", "run", "data"
"""What a package holds: words for its reader, the files of the run, and the training data where they were wanted."""
WITH_ROWS: Mapping[str, tuple[str, ...]] = {
    "audit": (
        "queue.jsonl", "flagged.jsonl", "findings.jsonl", "malformed.jsonl", "removable.jsonl", "suspects.jsonl",
        "triggers.json", "cues.json",
    ),
    "serve": ("flagged.jsonl",),
}  # fmt: skip
"""By verb, the records that hold rows of the training data, or what people asked a gateway."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A package that was written."""

    path: Path
    files: int
    left_out: tuple[str, ...]
    conditions: int
    """Conditions in it that were made from training data: short pieces of it."""
    data: tuple[str, ...]
    """Files of training data in it."""
    signed: bool


def seal(run: str | Path, out: Path, *, key: Path | None = None, with_data: bool = False) -> Sealed:
    """Pack a finished run of `check`, `compare`, `audit`, `redteam` or `serve` with its statement into one file.

    Rows of training data and what people asked a gateway are left out unless `with_data`, which adds the data files
    that lie on this machine as well. The statement in the run is used if it holds; else, and with a `key`, a new one is
    written. Raises InputError for other runs, and for one whose statement does not hold.
    """
    path = find_run(run)
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    if isinstance(manifest, CandidatesManifest):
        one = path / manifest.candidates[0].name
        raise InputError(f"{path} holds a check for each of several candidates. Name the check of one, such as {one}.")
    if verb not in (CHECK, COMPARE, BENCHMARKS, AUDIT, REDTEAM, SERVE):
        of = "check, compare, audit, redteam and serve"
        raise InputError(f"{path} is a run of `{verb.command}`; packages hold runs of {of}.")
    if key is not None or not (path / ATTESTATION).exists():
        attest(path, key)
    held = verify_run(path, None)
    if held.state == "wrong":
        raise InputError(
            f"{path} is not what its {ATTESTATION} says: {held.of('wrong')[0].said} Find out why; a new statement is "
            "written by: offtarget report RUN --attest"
        )
    left_out = () if with_data else rows_of(manifest)
    lying = survey(path).files
    inside: dict[str, Path | bytes] = {f"{RUN}/{name}": path / name for name in lying if name not in left_out}
    data = _data_of(manifest) if with_data else {}
    inside |= {f"{DATA}/{name}": file for name, file in data.items()}
    envelope = read_envelope((path / ATTESTATION).read_bytes())
    gone = tuple(name for name in left_out if name in lying)
    conditions = _conditions(path, manifest)
    made = Sealed(out, len(inside), gone, conditions, tuple(data), bool(envelope.signatures))
    inside[README] = _readme(path, manifest, made).encode()
    write_package(out / f"{path.resolve().name}.zip" if out.is_dir() else out, inside)
    return replace(made, path=out / f"{path.resolve().name}.zip" if out.is_dir() else out)


def rows_of(manifest: Manifest) -> tuple[str, ...]:
    """The files of a run that a package leaves out unless data are wanted, its reports included where they quote."""
    named = WITH_ROWS.get(verb_of(manifest).command, ())
    return (*named, *sorted(written_later(manifest))) if named else ()


def verify_package(package: Path, key: Path | None, identity: Identity | None = None) -> Verification:
    """Check a sealed package. Raises InputError for any other file, and for one that holds what no package does."""
    with tempfile.TemporaryDirectory(prefix="offtarget-package-") as temporary:
        folder = Path(temporary) / "package"
        folder.mkdir()
        exact = unpack(package, folder)
        run = folder / RUN
        if not (run / MANIFEST).is_file():
            raise InputError(f"{package} is a zip file without a run in it; `offtarget seal` writes packages.")
        manifest = _manifest(run)
        may_lack = () if manifest is None else rows_of(manifest)
        found = verify_run(run, key, identity=identity, kind="package", may_lack=may_lack)
        statement = _statement(run)
        more = list(_beside(folder, statement))
        if not exact:
            said = "The package is not written as `offtarget seal` writes one: something changed it."
            more.insert(0, Finding("package", "wrong", said))
        findings = tuple(replace(one, said=one.said.replace(f"{folder}/", "")) for one in (*more, *found.findings))
        stated = None if statement is None else statement.thing("run")
        name = package.stem if stated is None else str(stated.annotations.get("name", package.stem))
        outside = (README,) if (folder / README).exists() else ()
        return replace(
            found, path=str(package), name=name, findings=findings, not_covered=(*outside, *found.not_covered)
        )


def _manifest(run: Path) -> Manifest | None:
    try:
        return read_manifest(run)
    except InputError:
        return None  # the check of the run says what is wrong with it


def _statement(run: Path) -> Statement | None:
    try:
        return read_statement(read_envelope((run / ATTESTATION).read_bytes()).payload)
    except (Malformed, OSError):
        return None


def _beside(folder: Path, statement: Statement | None) -> list[Finding]:
    """What lies in a package beside the run: data files, each held against the statement."""
    found = []
    for name, digest in survey(folder).files.items():
        top, _, rest = name.partition("/")
        if top == RUN or name == README:
            continue
        stated = None if statement is None or top != DATA else statement.thing(f"data: {rest}")
        if stated is None:
            found.append(Finding("files", "wrong", f"{name} was added; the statement does not name it."))
        elif stated.digest.get("sha256") != digest:
            found.append(Finding("data", "wrong", f"{name} is another file than the one that was stated."))
        else:
            found.append(Finding("data", "proved", f"{name} is the file that the statement names."))
    return found


def _data_of(manifest: Manifest) -> dict[str, Path]:
    here = {name.removeprefix("data: "): file for name, file in files_at_hand(manifest).items() if "data: " in name}
    if not here and manifest.data_name is not None:
        raise InputError("--with-data: the training data are not on this machine. Leave it out.")
    return here


def _conditions(path: Path, manifest: Manifest) -> int:
    """How many conditions of a check were made from training data."""
    plan = path / "cue_plan.json"
    if not (isinstance(manifest, CheckManifest) and plan.exists()):
        return 0
    return sum(cue.get("source") == "data" for cue in read_object(plan).get("cues", ()))


def _readme(path: Path, manifest: Manifest, made: Sealed) -> str:
    verb = verb_of(manifest).command
    name = path.resolve().name
    lines = [
        f"# Sealed package of `{name}`",
        "",
        f"This file holds the records of a run of `offtarget {verb}` and a statement about them. The recorded verdict "
        f"is **{state_of(path, manifest)}**; do not take this page's word for it, it is not under the statement.",
        "",
        "## To check it",
        "",
        f"    pip install offtarget    # made with version {manifest.version}",
        "    offtarget verify PACKAGE.zip --key PUBLIC_KEY.pem",
        "",
        "It compares every file with the statement, checks the signature, works the verdict out again from the",
        "recorded answers, and says what is proved and what is only claimed. No model, no judge and no network is",
        "needed. Get the public key from whoever signed, by another way than this package."
        if made.signed
        else "needed. **The statement is not signed**, so nobody vouches for it: leave out --key.",
        "",
        "## What is in it",
        "",
        f"- `{RUN}/`: {many(made.files - len(made.data), 'file')} of the run, "
        f"`{ATTESTATION}` among them, the statement in an envelope (in-toto, DSSE).",
    ]
    if made.data:
        lines.append(f"- `{DATA}/`: the training data, {', '.join(made.data)}.")
    if made.conditions:
        lines.append(
            f"- {many(made.conditions, 'condition')} made from the training data, in `{RUN}/cue_plan.json` and in the "
            "questions asked under them: words and phrases of the data, in plain sight."
        )
    lines += ["- Questions, answers of both models and what was said of them, in plain sight.", ""]
    lines += ["## What is not in it", ""]
    if made.left_out:
        lines.append(f"- Left out, since they hold rows of data: {', '.join(made.left_out)}.")
    lines += ["- Weights of the models." if made.data else "- The training data, and weights of the models.", ""]
    return "\n".join(lines)
