"""Whatever is changed in a run, an adapter or their signatures is found, and the verdict is worked out again."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from check_runs import MADE, STATES
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.evidence.digests import survey
from offtarget.evidence.dsse import new_key, private_key, public_key, read_envelope, signed, signed_by
from offtarget.evidence.findings import Verification
from offtarget.evidence.keyless import Identity
from offtarget.evidence.statements import read_statement, result_of
from offtarget.rundir import write_json
from offtarget.workflows.check.replay import differences
from offtarget.workflows.verify.adapters import SIGNATURE, sign_adapter, verify_adapter
from offtarget.workflows.verify.attest import ATTESTATION, BUNDLE, attest
from offtarget.workflows.verify.verify import verify

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public one."""
    key = tmp_path_factory.mktemp("keys") / "team.pem"
    return key, new_key(key)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """A failed check with a signed statement."""
    made = Path(MADE["fail"](tmp_path_factory.mktemp("made")).run)
    attest(made, keys[0])
    return made


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """The folder of an adapter, signed."""
    pytest.importorskip("model_signing.signing")
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "adapter_config.json").write_text('{"r": 4}')
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 4)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    sign_adapter(folder, keys[0])
    return folder


def said(found: Verification, standing: str = "wrong") -> str:
    """The findings of a standing in one text."""
    return "\n".join(f"{f.about}: {f.said}" for f in found.findings if f.standing == standing)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "hidden"])
def test_a_verdict_is_worked_out_again(kind: str, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    made = Path(MADE[kind](tmp_path).run)
    before = survey(made).files
    unsigned = verify(made)
    assert (unsigned.exit_code, unsigned.verdict) == (3, STATES.get(kind, kind.upper()))
    assert survey(made).files == before, "looking at a run must not write into it"
    stated = attest(made, keys[0])
    assert stated.result == {"PASS": "PASSED", "FAIL": "FAILED"}.get(unsigned.verdict, "WARNED")
    found = verify(made, keys[1])
    assert found.exit_code == 0, said(found)


@pytest.mark.long
def test_a_hidden_condition_is_found_again(tmp_path: Path) -> None:
    made = Path(MADE["hidden"](tmp_path).run)
    assert verify(made).recomputed


@pytest.mark.long
def test_any_changed_byte_of_a_run_is_found(run: Path, keys: tuple[Path, Path], tmp_path_factory) -> None:
    names = sorted(name for name, size in ((n, (run / n).stat().st_size) for n in survey(run).files) if size)
    assert ATTESTATION in names
    whole = tmp_path_factory.mktemp("tampered") / "run"
    shutil.copytree(run, whole)

    @settings(max_examples=40)
    @given(st.data())
    def tampered(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(names))
        good = (whole / name).read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.integers(1, 255))
        way = data.draw(st.sampled_from(["flip", "cut", "grow", "drop"]))
        bad = {
            "flip": good[:at] + bytes([good[at] ^ other]) + good[at + 1 :],
            "cut": good[:at],
            "grow": good[:at] + bytes([other]) + good[at:],
            "drop": good[:at] + good[at + 1 :],
        }[way]
        (whole / name).write_bytes(bad)
        try:
            assert verify(whole, keys[1]).exit_code == 1, (name, at, way)
        finally:
            (whole / name).write_bytes(good)

    tampered()
    assert verify(whole, keys[1]).exit_code == 0


def _swap(folder: Path) -> None:
    one, two = folder / "generations.jsonl", folder / "verdicts.jsonl"
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def _link(folder: Path) -> None:
    elsewhere = folder.parent / "same"
    shutil.move(folder / "probes.jsonl", elsewhere)
    (folder / "probes.jsonl").symlink_to(elsewhere)


def _link_statement(folder: Path) -> None:
    elsewhere = folder.parent / "statement"
    shutil.move(folder / ATTESTATION, elsewhere)
    (folder / ATTESTATION).symlink_to(elsewhere)


def _strip(folder: Path) -> None:
    envelope = read_envelope((folder / ATTESTATION).read_bytes())
    (folder / ATTESTATION).write_text(type(envelope)(envelope.payload, envelope.payload_type).text())


def _sign_by_another(folder: Path) -> None:
    key = folder.parent / "other.pem"
    new_key(key)
    envelope = read_envelope((folder / ATTESTATION).read_bytes())
    (folder / ATTESTATION).write_text(signed(envelope.payload, envelope.payload_type, private_key(key)).text())


def _believe_a_pass(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    result["decision"]["status"] = "PASS"
    write_json(folder / "result.json", result)
    attest(folder)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "two files are swapped": (_swap, "generations.jsonl was changed"),
    "a file is added": (lambda f: (f / "ratings.jsonl").write_text(""), "ratings.jsonl was added"),
    "a file is removed": (lambda f: (f / "looks.jsonl").unlink(), "looks.jsonl is missing"),
    "a file is a link to the same": (_link, "a symbolic link"),
    "the statement is a link": (_link_statement, "a symbolic link"),
    "the statement is gone": (lambda f: (f / ATTESTATION).unlink(), "there is no attestation.json"),
    "the signature is taken off": (_strip, "not signed"),
    "somebody else signs": (_sign_by_another, "not signed by the key"),
    "the lock holds text": (lambda f: (f / ".lock").write_text("x"), ".lock was added"),
    "the manifest is no JSON": (lambda f: (f / "run.json").write_text("{"), "run.json"),
    "the verdict is another one": (_believe_a_pass, "the result is another one, in: status"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_done_to_a_run_is_named(change: str, run: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    whole = tmp_path / "run"
    shutil.copytree(run, whole)
    make, words = CHANGES[change]
    make(whole)
    found = verify(whole, keys[1])
    assert found.exit_code == 1
    assert words in said(found), said(found)


def test_a_forged_verdict_is_found_without_any_signature(run: Path, tmp_path: Path) -> None:
    whole = tmp_path / "run"
    shutil.copytree(run, whole)
    _believe_a_pass(whole)
    assert verify(whole).exit_code == 1
    lines = (whole / "verdicts.jsonl").read_text().splitlines(keepends=True)
    (whole / "verdicts.jsonl").write_text("".join(lines[:-20]))
    shutil.copy(run / "result.json", whole / "result.json")
    attest(whole)
    found = verify(whole)
    assert found.exit_code == 1
    assert "is not recorded" in said(found)


def test_what_was_not_worked_out_is_not_said_to_follow() -> None:
    for signed_ in (True, False):
        found = Verification("run", "runs/tune-1", "tune-1", (), signed_, recomputed=True, verdict="DONE")
        assert "follows from its records was not checked" in found.sentence


def test_a_pass_beside_a_red_flag_that_only_warns_is_not_stated_as_passed() -> None:
    assert [result_of(verdict, ()) for verdict in ("PASS", "FAIL", "UNDECIDED")] == ["PASSED", "FAILED", "WARNED"]
    assert result_of("PASS", ("benchmark: mmlu",)) == "WARNED"


@pytest.mark.parametrize("part", ["models", "judge", "counted"])
def test_what_pages_show_beside_the_decision_is_held_to_the_records(part: str, run: Path, tmp_path: Path) -> None:
    """Whose answers these are, and which of them counted: an answer that is said not to count is shown to nobody."""
    whole = tmp_path / "run"
    shutil.copytree(run, whole)
    result = json.loads((whole / "result.json").read_text())
    if part == "models":
        result["models"]["tuned"]["name"] = "hf/./another"
    elif part == "judge":
        result["judge"] = "another"
    else:
        arms = result["counted"]["arms"]["tuned"]
        arms.pop(next(iter(arms)))
    write_json(whole / "result.json", result)
    attest(whole)
    found = verify(whole)
    assert found.exit_code == 1
    assert part in said(found)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1e300, 1.0 + 1e-6])
def test_no_number_stands_for_another(number: float) -> None:
    assert differences({"a": {"upper": 1.0}}, {"a": {"upper": 1.0 + 1e-12}}) == []
    assert differences({"a": {"upper": number}}, {"a": {"upper": 1.0}}) == ["a.upper"]
    assert differences({"a": {"upper": 1.0}}, {"a": {"upper": number}}) == ["a.upper"]


def test_a_statement_of_another_run_is_recognised(run: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    other = Path(MADE["undecided"](tmp_path).run)
    manifest = json.loads((other / "run.json").read_text())
    write_json(other / "run.json", {**manifest, "created": "2026-01-02T03:04:05Z"})
    shutil.copy(run / ATTESTATION, other / ATTESTATION)
    found = verify(other, keys[1])
    assert found.exit_code == 1
    assert "is of another run" in said(found)


def test_reports_written_later_are_not_covered(run: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    whole = tmp_path / "run"
    shutil.copytree(run, whole)
    (whole / "report.html").write_text("PASS")
    found = verify(whole, keys[1])
    assert found.exit_code == 0
    assert found.not_covered == ("report.html",)
    attest(whole, keys[0])
    (whole / "report.html").write_text("FAIL")
    assert "report.html was changed" in said(verify(whole, keys[1]))


def test_the_statement_is_one_of_in_toto(run: Path) -> None:
    pytest.importorskip("in_toto_attestation")
    from google.protobuf import json_format
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    payload = read_envelope((run / ATTESTATION).read_bytes()).payload
    Statement.copy_from_pb(json_format.Parse(payload, Message())).validate()
    predicate = json_format.ParseDict(json.loads(payload)["predicate"], TestResult())
    assert predicate.result == "FAILED"
    assert "offtarget check" in predicate.failed_tests
    stated = read_statement(payload)
    assert {"run", "weights: base", "weights: tuned", "questions", "judge"} <= {one.name for one in stated.things}


def test_signatures_are_those_of_openssl_and_of_both_kinds_of_keys(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    def written(name: str, key: object) -> Path:
        file = tmp_path / name
        file.write_bytes(
            key.private_bytes(  # type: ignore[attr-defined]
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file

    made = [ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())]
    for number, key in enumerate([*made, ed25519.Ed25519PrivateKey.generate()]):
        file = written(f"{number}.pem", key)
        envelope = signed(b"payload", "text/plain", private_key(file))
        assert read_envelope(envelope.text().encode()) == envelope
        assert signed_by(envelope, public_key(file))
    with pytest.raises(InputError, match="another kind"):
        private_key(written("rsa.pem", rsa.generate_private_key(65537, 2048)))
    (tmp_path / "none.pem").write_text("no key")
    with pytest.raises(InputError, match="no private key"):
        private_key(tmp_path / "none.pem")
    with pytest.raises(InputError, match="never written over"):
        new_key(tmp_path / "none.pem")


def test_any_changed_byte_of_an_adapter_is_found(adapter: Path, keys: tuple[Path, Path], tmp_path_factory) -> None:
    whole = tmp_path_factory.mktemp("tampered") / "adapter"
    shutil.copytree(adapter, whole)
    assert verify(whole, keys[1]).exit_code == 0
    assert verify(whole).exit_code == 3
    names = list(survey(whole).files)
    names.remove(".gitattributes")  # the format leaves git's own files out, which is said
    assert verify(whole, keys[1]).not_covered == (".gitattributes",)
    assert SIGNATURE in names

    @settings(max_examples=40)
    @given(st.data())
    def tampered(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(names))
        good = (whole / name).read_bytes()
        at = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.integers(1, 255))
        cut = data.draw(st.booleans())
        (whole / name).write_bytes(good[:at] if cut else good[:at] + bytes([good[at] ^ other]) + good[at + 1 :])
        try:
            assert verify_adapter(whole, keys[1]).exit_code == 1, (name, at)
        finally:
            (whole / name).write_bytes(good)

    tampered()
    (whole / "extra.py").write_text("import os")
    assert "extra.py was added" in said(verify(whole, keys[1]))
    (whole / "extra.py").unlink()
    (whole / "adapter_config.json").unlink()
    assert "adapter_config.json is missing" in said(verify(whole, keys[1]))


def test_an_adapter_is_checked_by_the_tools_of_its_format(adapter: Path, keys: tuple[Path, Path]) -> None:
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(adapter, adapter / SIGNATURE)
    payload = json.loads(base64.b64decode(json.loads((adapter / SIGNATURE).read_text())["dsseEnvelope"]["payload"]))
    assert payload["predicateType"] == "https://model_signing/signature/v1.0"


def test_what_sigstore_says_is_told_as_it_is(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service itself was never asked: this holds what is made of its answers."""
    dsse = pytest.importorskip("sigstore.dsse")
    whole = tmp_path / "run"
    shutil.copytree(run, whole)
    dsse.Statement(read_envelope((whole / ATTESTATION).read_bytes()).payload)  # it takes what we state
    who = Identity("anna@example.org", "https://accounts.example.org")
    assert f"there is no {BUNDLE}" in said(verify(whole, identity=who))
    monkeypatch.setattr("offtarget.workflows.verify.attest.sign_keyless", lambda payload: f"bundle of {len(payload)}")
    attest(whole, sigstore=True)
    assert verify(whole).exit_code == 3
    assert "--identity" in said(verify(whole), "claimed")
    assert "is no bundle of Sigstore" in said(verify(whole, identity=who))
    asked = []

    def answers(value: bool | InputError) -> None:
        def check(bundle: bytes, payload: bytes, identity: Identity) -> bool:
            asked.append((bundle, payload, identity))
            if isinstance(value, InputError):
                raise value
            return value

        monkeypatch.setattr("offtarget.workflows.verify.recorded.check_keyless", check)

    answers(True)
    assert verify(whole, identity=who).exit_code == 0
    payload = read_envelope((whole / ATTESTATION).read_bytes()).payload
    assert asked == [(f"bundle of {len(payload)}".encode(), payload, who)]
    answers(False)
    assert verify(whole, identity=who).exit_code == 1
    answers(InputError("no network"))
    assert verify(whole, identity=who).exit_code == 3
    attest(whole)
    assert not (whole / BUNDLE).exists(), "a signature of an earlier statement must not stay"
