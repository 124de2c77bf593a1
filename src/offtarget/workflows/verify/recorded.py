"""A run directory held against its statement and against itself: proved, only claimed, or wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from offtarget.errors import InputError, OfftargetError
from offtarget.evidence.digests import Survey, sha256_of, survey
from offtarget.evidence.dsse import Envelope, Malformed, public_key, read_envelope, signed_by
from offtarget.evidence.findings import Finding, Kind, Verification
from offtarget.evidence.keyless import Identity, check_keyless
from offtarget.evidence.statements import Statement, Thing, read_statement, result_of
from offtarget.numbers import many
from offtarget.records.check import CheckManifest
from offtarget.records.redteam import RedTeamManifest
from offtarget.records.runs import Manifest
from offtarget.rundir import MANIFEST, read_manifest
from offtarget.workflows.verify.again import worked_out
from offtarget.workflows.verify.attest import ATTESTATION, BUNDLE, state_of, tests_of
from offtarget.workflows.verify.later import written_later
from offtarget.workflows.verify.things import files_at_hand, named_things

SHOWN = 5
"""Files that are named of one kind."""


def verify_run(
    path: Path,
    key: Path | None,
    *,
    identity: Identity | None = None,
    kind: Kind = "run",
    may_lack: Collection[str] = (),
    open_models: bool = False,
) -> Verification:
    """Check a run directory; `may_lack` are files that a package leaves out on purpose."""
    known = None if key is None else public_key(key)
    lying = survey(path, without=(ATTESTATION, BUNDLE))
    findings = [
        Finding("files", "wrong", f"{name} is {what}; evidence holds regular files only.")
        for name, what in lying.strange.items()
    ]
    envelope, statement, more = _read(path)
    findings += more
    signed = False
    if envelope is not None:
        if known is not None:
            signed = signed_by(envelope, known)
        findings.append(_signature(envelope, key, signed))
    elif key is not None and all(one.standing != "wrong" for one in more):
        findings.append(
            Finding("signature", "wrong", f"A key was given, but there is no {ATTESTATION} to check by it.")
        )
    by_sigstore = _keyless(path, envelope, identity)
    findings += by_sigstore
    signed = signed or any(one.standing == "proved" for one in by_sigstore)
    manifest, unread = _manifest(path)
    findings += unread
    covered: Collection[str] = lying.files
    not_covered: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    if statement is not None:
        other = _of_another_run(path, statement, manifest)
        if other is not None:
            return Verification(kind, str(path), path.resolve().name, (*findings, other), signed, False)
        lacking = tuple(name for name in statement.files if name not in lying.files and name in may_lack)
        later = written_later(manifest)
        findings += _held_against(lying, statement, lacking, later)
        covered = [name for name in lying.files if name in statement.files]
        not_covered = tuple(name for name in lying.files if name not in statement.files and name in later)
    verdict = ""
    if manifest is not None:
        verdict, about = _verdict(path, manifest, statement, covered, lacking)
        findings += about
        findings += _at_hand(manifest, statement)
        findings += _models(manifest, opened=open_models)
    recomputed = verdict == "DONE" or any(f.about == "verdict" and f.standing == "proved" for f in findings)
    name = path.resolve().name
    return Verification(kind, str(path), name, tuple(findings), signed, recomputed, verdict, not_covered)


def _read(path: Path) -> tuple[Envelope | None, Statement | None, list[Finding]]:
    """The envelope in a run and the statement in that."""
    file = path / ATTESTATION
    if file.is_symlink():
        return None, None, [Finding("attestation", "wrong", f"{ATTESTATION} is a symbolic link.")]
    if not file.is_file():
        said = (
            f"There is no {ATTESTATION}, so nobody says which files belong to the run. Write one with: report --attest"
        )
        return None, None, [Finding("files", "claimed", said)]
    try:
        envelope = read_envelope(file.read_bytes())
        return envelope, read_statement(envelope.payload), []
    except Malformed as error:
        return None, None, [Finding("attestation", "wrong", f"{ATTESTATION} cannot be believed: {error}.")]


def _signature(envelope: Envelope, key: Path | None, signed: bool) -> Finding:
    if not envelope.signatures:
        if key is not None:
            return Finding("signature", "wrong", "A key was given, but the attestation is not signed.")
        said = "The attestation is not signed: whoever changed a file could have changed the attestation as well."
        return Finding("signature", "claimed", said)
    whose = ", ".join(one.key_id[:16] for one in envelope.signatures)
    if key is None:
        said = (
            f"The attestation is signed, by a key that begins with {whose}. Give its public key to check it: --key PUB"
        )
        return Finding("signature", "claimed", said)
    if signed:
        return Finding("signature", "proved", f"The attestation is signed by the key in {key} ({whose}).")
    return Finding("signature", "wrong", f"The attestation is not signed by the key in {key}, or was changed since.")


def _keyless(path: Path, envelope: Envelope | None, identity: Identity | None) -> list[Finding]:
    """What Sigstore vouches for; nothing where nobody signed so and nobody asks."""
    file = path / BUNDLE
    if identity is None or envelope is None or not file.is_file() or file.is_symlink():
        if identity is not None:
            said = f"An identity was given, but there is no {BUNDLE} of a statement."
            return [Finding("sigstore", "wrong", said)]
        if file.is_symlink():
            return [Finding("sigstore", "wrong", f"{BUNDLE} is a symbolic link.")]
        said = f"{BUNDLE} was not checked. Say who should have signed: --identity NAME --issuer URL"
        return [Finding("sigstore", "claimed", said)] if file.exists() else []
    try:
        holds = check_keyless(file.read_bytes(), envelope.payload, identity)
    except Malformed as error:
        return [Finding("sigstore", "wrong", f"{BUNDLE} cannot be believed: {error}.")]
    except InputError as error:
        return [Finding("sigstore", "claimed", f"{BUNDLE} could not be checked: {error}")]
    if holds:
        return [Finding("sigstore", "proved", f"Sigstore vouches that {identity.name} signed the statement.")]
    return [Finding("sigstore", "wrong", f"{BUNDLE} is no signature of the statement by {identity.name}.")]


def _manifest(path: Path) -> tuple[Manifest | None, list[Finding]]:
    try:
        return read_manifest(path), []
    except InputError as error:
        return None, [Finding("records", "wrong", str(error))]


def _of_another_run(path: Path, statement: Statement, manifest: Manifest | None) -> Finding | None:
    """That a statement is about another run than the one it lies in; None where it is about this one."""
    stated = statement.thing("run")
    if stated is None or manifest is None or statement.files.get(MANIFEST) == sha256_of(path / MANIFEST):
        return None
    about = stated.annotations
    if about.get("created") == manifest.created:
        return None  # the same run with a changed manifest: the file is named among the changed ones
    return Finding(
        "attestation",
        "wrong",
        f"The attestation is of another run: {about.get('name')!s:.120}, `{about.get('verb')!s:.40}` of "
        f"{about.get('created')!s:.40}. The run in this folder began at {manifest.created}.",
    )


def _held_against(
    lying: Survey, statement: Statement, lacking: Collection[str], later: Collection[str]
) -> list[Finding]:
    """The files of a run against those that a statement names."""
    changed = [name for name, digest in statement.files.items() if lying.files.get(name, digest) != digest]
    gone = (*lying.files, *lying.strange, *lacking)
    missing = [name for name in statement.files if name not in gone]
    added = [name for name in lying.files if name not in statement.files and name not in later]
    found = [Finding("files", "wrong", f"{name} was changed after the statement was made.") for name in changed]
    found += [Finding("files", "wrong", f"{name} is missing; the statement names it.") for name in missing]
    found += [
        Finding("files", "wrong", f"{name} was added; the statement does not cover it, and it is no report.")
        for name in added
    ]
    if lacking:
        named = ", ".join(lacking[:SHOWN]) if isinstance(lacking, tuple) else ""
        said = (
            f"{many(len(lacking), 'file')} with training data {'is' if len(lacking) == 1 else 'are'} left out: {named}."
        )
        found.append(Finding("files", "claimed", said))
    if not (changed or missing or added or lying.strange):
        whole = len(statement.files) - len(lacking)
        found.append(
            Finding("files", "proved", f"{many(whole, 'file')} are byte for byte as the statement names them.")
        )
    return found


def _verdict(
    path: Path, manifest: Manifest, statement: Statement | None, covered: Collection[str], lacking: Collection[str]
) -> tuple[str, list[Finding]]:
    """The recorded verdict, and what working it out again came to."""
    try:
        state = state_of(path, manifest)
        tests = None if state is None else tests_of(path, manifest, state)
    except OfftargetError as error:
        return "", [Finding("verdict", "wrong", str(error))]
    if state is None or tests is None:
        return "", [Finding("verdict", "claimed", "The run is unfinished: it has no verdict.")]
    found = []
    if statement is not None:
        stated = (statement.result, statement.passed, statement.warned, statement.failed)
        if stated != (result_of(state, tests[2]), *tests):
            said = f"The statement calls the result {statement.result}; the run holds {state}, or other tests."
            found.append(Finding("verdict", "wrong", said))
        found += _named(path, manifest, statement, state)
    if state == "DONE":
        return state, found
    if lacking:
        said = "The verdict was not worked out again: the records that it needs are left out of this package."
        return state, [*found, Finding("verdict", "claimed", said)]
    return state, [*found, *worked_out(path, covered)]


def _named(path: Path, manifest: Manifest, statement: Statement, state: str) -> list[Finding]:
    """Models, questions and judge by the statement that are others by the run."""
    found = []
    for one in named_things(path, manifest, state):
        stated = statement.thing(one.name)
        if stated is None or _identity(stated) != _identity(one):
            found.append(Finding(one.name, "wrong", f"The statement and the run disagree about the {one.name}."))
    return found


def _identity(thing: Thing) -> object:
    """What a thing is known by; a run may be in a folder of another name, and its file is among the files."""
    if thing.name == "run":
        return {name: said for name, said in thing.annotations.items() if name != "name"}
    return dict(thing.digest), thing.uri, dict(thing.annotations)


def _at_hand(manifest: Manifest, statement: Statement | None) -> list[Finding]:
    """Files of models and data on this machine against those that the statement names."""
    if statement is None:
        return []
    stated = {
        one.name: one.digest["sha256"]
        for one in statement.things
        if one.name.startswith(("weights: ", "data: ")) and "sha256" in one.digest
    }
    here = files_at_hand(manifest)
    found = []
    same: dict[str, int] = {}
    for name, digest in stated.items():
        group = name.rpartition(": ")[0]
        if name not in here:
            found.append(Finding(group, "claimed", f"{name.rpartition(': ')[2]} is not at hand, and was not checked."))
        elif sha256_of(here[name]) != digest:
            found.append(Finding(group, "wrong", f"{here[name]} is another file than the one that was stated."))
        else:
            same[group] = same.get(group, 0) + 1
    said = "as they were when the statement was made"
    found += [Finding(group, "proved", f"{many(count, 'file')} at hand {said}.") for group, count in same.items()]
    return found


def _models(manifest: Manifest, *, opened: bool) -> list[Finding]:
    """The fingerprints of the models that were asked, by opening them where that is asked for."""
    if not isinstance(manifest, CheckManifest | RedTeamManifest):
        return []
    if not opened:
        named = " and ".join(f"{model.name} ({model.fingerprint})" for model in manifest.models.values())
        said = f"That the answers came from {named} is not checked; --open-models compares their fingerprints."
        return [Finding("models", "claimed", said)]
    from offtarget.workflows.ground import open_two

    named_models: Mapping[str, str] = {role: model.name for role, model in manifest.models.items()}
    try:
        pair = open_two(named_models["base"], named_models["tuned"], manifest.opening, same_weights=True)
    except OfftargetError as error:
        return [Finding("models", "claimed", f"The models could not be opened, so they were not checked: {error}")]
    found = []
    for role, model in pair.by_role.items():
        stated = manifest.models[role]
        if model.fingerprint == stated.fingerprint:
            found.append(Finding(f"weights: {role}", "proved", f"{stated.name} has the fingerprint of the run."))
        else:
            said = f"{stated.name} has the fingerprint {model.fingerprint}; the run was made with {stated.fingerprint}."
            found.append(Finding(f"weights: {role}", "wrong", said))
    said = "That these models gave the recorded answers rests on whoever ran it."
    return [*found, Finding("models", "claimed", said)]
