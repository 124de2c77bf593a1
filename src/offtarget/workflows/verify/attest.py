"""`report --attest`: the statement about a finished run, signed where a key is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.evidence.digests import survey
from offtarget.evidence.dsse import IN_TOTO, Envelope, key_id, private_key, signed
from offtarget.evidence.keyless import sign_keyless
from offtarget.evidence.statements import RESULTS, Statement, result_of
from offtarget.pages.check.loading import benchmarks_of
from offtarget.records import Decision, Status
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult
from offtarget.records.runs import Manifest
from offtarget.rundir import RunDir, in_use, read_manifest, read_object, write_whole
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import verb_of
from offtarget.workflows.verify.things import things_of

ATTESTATION = "attestation.json"
"""In a run: the envelope that holds the statement about all its other files."""
BUNDLE = "attestation.sigstore.json"
"""In a run: the signature of the same statement by an identity that Sigstore vouches for."""


@dataclass(frozen=True, slots=True)
class Attested:
    """A statement that was written."""

    path: Path
    files: int
    result: str
    key_id: str
    """Of the key that signed; empty where nobody did."""


def attest(run: str | Path, key: Path | None = None, *, sigstore: bool = False) -> Attested:
    """Write the statement about a finished run into it, signed by the key in a PEM file if one is given.

    With `sigstore` it is signed by the identity of whoever runs this as well, which needs the network.

    It speaks of every file that the run holds now; an earlier statement is replaced. Raises InputError for a run that
    is unfinished or being written, for links in it, and for a key that cannot sign.
    """
    path = find_run(run)
    signer = None if key is None else private_key(key)
    if in_use(path):
        raise InputError(f"{path} is being written by another process. Wait for it, then state what is in it.")
    statement = statement_of(path)
    payload = statement.payload()
    envelope = Envelope(payload, IN_TOTO) if signer is None else signed(payload, IN_TOTO, signer)
    bundle = sign_keyless(payload) if sigstore else None
    write_whole(path / ATTESTATION, envelope.text())
    (path / BUNDLE).unlink(missing_ok=True)
    if bundle is not None:
        write_whole(path / BUNDLE, bundle)
    named = "" if signer is None else key_id(signer.public_key())
    return Attested(path / ATTESTATION, len(statement.files), statement.result, named)


def statement_of(path: Path) -> Statement:
    """What can be stated about a finished run. Raises InputError for any other."""
    manifest = read_manifest(path)
    state = state_of(path, manifest)
    if state is None:
        raise InputError(f"{path} is unfinished, so there is no result to state. Go on with it first.")
    found = survey(path, without=(ATTESTATION, BUNDLE))
    if found.strange:
        name, what = next(iter(found.strange.items()))
        raise InputError(f"{path / name} is {what}; a statement speaks of regular files only. Remove it.")
    passed, warned, failed = tests_of(path, manifest, state)
    return Statement(found.files, result_of(state, failed), things_of(path, manifest, state), passed, warned, failed)


def state_of(path: Path, manifest: Manifest) -> str | None:
    """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due; None while it is unfinished."""
    verb = verb_of(manifest)
    result = finished(verb, path)
    return None if result is None else verb.state(result)


def _of_benchmark(result: BenchmarkResult) -> str:
    """FAIL where a red flag went up; PASS where it is shown to be not worse, and nothing besides."""
    if result.red_flag:
        return "FAIL"
    return "PASS" if result.standing == "not worse" else "UNDECIDED"


Tests = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def tests_of(path: Path, manifest: Manifest, state: str) -> Tests:
    """What was tested by name: passed, undecided, failed. The verdict as a whole comes first."""
    verb = verb_of(manifest)
    found: list[tuple[str, str]] = [(f"offtarget {verb.command}", state)]
    result = finished(verb, path)
    if isinstance(result, Decision):
        found += [(f"questions: {arm.name}", arm.status.value) for arm in result.arms]
        value = read_object(path / verb.done)
        hidden = value.get("hidden")
        if isinstance(hidden, dict):
            found.append(("hidden conditions", str(hidden.get("status", Status.UNDECIDED))))
        found += [] if result.pressed is None else [("under pressure", result.pressed.status.value)]
        result = benchmarks_of(RunDir(path), value)
    if isinstance(result, BenchmarkFamily):
        found += [(f"benchmark: {one.name}", _of_benchmark(one)) for one in result.results]
    by_result: dict[str, list[str]] = {"PASSED": [], "WARNED": [], "FAILED": []}
    for name, each in found:
        by_result[RESULTS.get(each, "WARNED")].append(name)
    return tuple(by_result["PASSED"]), tuple(by_result["WARNED"]), tuple(by_result["FAILED"])
