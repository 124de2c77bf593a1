"""The folder of an adapter or a model, signed in the format of OpenSSF's model-signing, and checked again.

The signature is a file of its own, `model.sig` in the folder, that every tool of that format reads. It is no part of
the statement about a run: that names the files of the adapter by their SHA-256, so that both can be laid side by side.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.evidence.digests import Survey, survey
from offtarget.evidence.dsse import key_id, private_key, public_key
from offtarget.evidence.findings import Finding, Verification
from offtarget.numbers import many

SIGNATURE = "model.sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_WAY_OUT = "Sign it with: offtarget report RUN --attest --key KEY.pem --sign-model"


def is_adapter(folder: Path) -> bool:
    """Whether a folder looks like that of an adapter or a model."""
    return any((folder / name).exists() for name in (SIGNATURE, "adapter_config.json", "config.json"))


def sign_adapter(folder: Path, key: Path) -> Path:
    """Sign every file of a folder with the ECDSA key in a PEM file; returns the signature.

    Raises InputError for a key of another kind and for links in the folder, PrerequisiteError without the library.
    """
    from_library = _library("signing")
    _ecdsa(private_key(key), key)
    strange = survey(folder).strange
    if strange:
        raise InputError(f"{folder / next(iter(strange))} is no regular file. Remove it, or sign a copy without it.")
    target = folder / SIGNATURE
    try:
        config = from_library.Config().set_hashing_config(_hashing(target))
        config.use_elliptic_key_signer(private_key=key).sign(folder, target)
    except (ValueError, OSError) as error:
        raise InputError(f"{folder} cannot be signed: {str(error)[:200]}") from None
    return target


def verify_adapter(folder: Path, key: Path | None) -> Verification:
    """Check the folder of an adapter against its signature. Raises InputError for a key that cannot be read."""
    lying = survey(folder)
    findings = [Finding("files", "wrong", f"{name} is {what}.") for name, what in lying.strange.items()]
    signature = folder / SIGNATURE
    if SIGNATURE not in lying.files:
        said = f"There is no {SIGNATURE}. {_WAY_OUT}"
        findings.append(Finding("signature", "claimed" if key is None else "wrong", said))
        return _made(folder, findings, signed=False)
    odd = _odd(signature)
    if odd is not None:
        return _made(folder, [*findings, Finding("signature", "wrong", f"{SIGNATURE} cannot be believed: {odd}.")])
    if key is None:
        said = f"{SIGNATURE} is there. Give the public key of who signed to check it: --key PUB"
        return _made(folder, [*findings, *_against(lying, signature), Finding("signature", "claimed", said)])
    whose = key_id(_ecdsa(public_key(key), key))[:16]
    held = _against(lying, signature)
    try:
        config = _library("verifying").Config().set_hashing_config(_hashing(signature))
        config.use_elliptic_key_verifier(public_key=_public_file(key)).verify(folder, signature)
    except Exception as error:  # the library raises its own errors and those of three others
        said = f"The signature by the key in {key} does not hold: {str(error)[:200] or type(error).__name__}"
        wrong = [] if any(one.standing == "wrong" for one in held) else [Finding("signature", "wrong", said)]
        return _made(folder, [*findings, *held, *wrong])
    proved = Finding("signature", "proved", f"{SIGNATURE} is by the key in {key} ({whose}).")
    return _made(folder, [*findings, proved, *held], signed=True)


def _made(folder: Path, findings: list[Finding], *, signed: bool = False) -> Verification:
    of_git = tuple(name for name in survey(folder).files if _is_of_git(name))
    if not any(one.standing == "wrong" for one in findings):
        said = (
            "What this adapter does, and which check it passed, is no part of its signature; verify the run for that."
        )
        findings = [*findings, Finding("verdict", "claimed", said)]
    name = folder.resolve().name
    return Verification("adapter", str(folder), name, tuple(findings), signed, recomputed=True, not_covered=of_git)


def _against(lying: Survey, signature: Path) -> list[Finding]:
    """The files of a folder against those that its signature names; git's own are named by none."""
    stated = {one["name"]: one["digest"] for one in _payload(signature)["predicate"]["resources"]}
    here = {name: digest for name, digest in lying.files.items() if name != SIGNATURE}
    found = [
        Finding("files", "wrong", f"{name} was changed after it was signed.")
        for name, digest in stated.items()
        if here.get(name, digest) != digest
    ]
    found += [Finding("files", "wrong", f"{name} is missing.") for name in stated if name not in here]
    found += [
        Finding("files", "wrong", f"{name} was added, or was never signed.")
        for name in here
        if name not in stated and not _is_of_git(name)
    ]
    return found or [Finding("files", "proved", f"{many(len(stated), 'file')}: each byte is as it was signed.")]


def _is_of_git(name: str) -> bool:
    """Whether the format leaves a file out, since it belongs to git and not to the model."""
    return name.partition("/")[0] in (".git", ".github", ".gitattributes", ".gitignore")


def _odd(signature: Path) -> str | None:
    """Why a signature is not written as the format writes it; None where it is. Blanks and spare bits count, too."""
    try:
        text = signature.read_text(encoding="utf-8")
        value: dict[str, Any] = json.loads(text)
        envelope, material = value["dsseEnvelope"], value["verificationMaterial"]
        encoded = [envelope["payload"], *(one["sig"] for one in envelope["signatures"])]
        plain = all(base64.b64encode(base64.b64decode(part)).decode() == part for part in encoded)
        resources = _payload(signature)["predicate"]["resources"]
        named = all(isinstance(one["name"], str) and isinstance(one["digest"], str) for one in resources)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return f"it is no signature of this format ({type(error).__name__})"
    shapes = (
        set(value) == {"mediaType", "dsseEnvelope", "verificationMaterial"},
        set(envelope) == {"payload", "payloadType", "signatures"},
        all(set(one) <= {"sig", "keyid"} and not one.get("keyid") for one in envelope["signatures"]),
        len(envelope["signatures"]) == 1,
        set(material) <= {"publicKey", "tlogEntries"} and not material.get("tlogEntries"),
        set(material.get("publicKey", ())) <= {"hint"},
        value.get("mediaType") == MEDIA_TYPE,
    )
    if not (all(shapes) and plain and named and text in (json.dumps(value), json.dumps(value, separators=(",", ":")))):
        return "something changed how it is written"
    return None


def _payload(signature: Path) -> dict[str, Any]:
    value = json.loads(signature.read_text(encoding="utf-8"))
    return dict(json.loads(base64.b64decode(value["dsseEnvelope"]["payload"])))


def _hashing(signature: Path) -> Any:
    hashing = _library("hashing")
    return hashing.Config().set_ignored_paths(paths=[signature.name], ignore_git_paths=True)


def _public_file(key: Path) -> Path:
    if b"PRIVATE KEY" in key.read_bytes():
        raise InputError(f"{key} holds a private key; checking a signature takes the public one.")
    return key


def _ecdsa(key: Any, path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        raise InputError(
            f"{path} holds an Ed25519 key; the format of OpenSSF's model-signing takes ECDSA (P-256, P-384, P-521)."
        )
    return key


def _library(part: str) -> Any:
    try:
        import model_signing
        from model_signing import hashing, signing, verifying
    except ImportError:
        raise PrerequisiteError.for_extra("model-signing", "sign", "Signatures of adapters") from None
    del model_signing
    return {"hashing": hashing, "signing": signing, "verifying": verifying}[part]
