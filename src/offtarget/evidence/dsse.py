"""Signed envelopes: a payload with signatures by keys that lie in files.

The format is DSSE 1.0 (github.com/secure-systems-lab/dsse).
An envelope has one way to be written, byte for byte, so that nothing in it can be changed unnoticed, blanks included.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError, PrerequisiteError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey
    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey

IN_TOTO = "application/vnd.in-toto+json"
"""Type of a payload that is an in-toto Statement."""
LARGEST = 256 * 1024 * 1024
"""Bytes of an envelope that are read at most."""
_PURPOSE = "Signing and checking signatures"


class Malformed(Exception):
    """An envelope is not written as one is; the text says why, without its file."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope."""

    key_id: str
    """SHA-256 of the public key (DER, SubjectPublicKeyInfo) in hex; it says whose, and proves nothing."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signatures; none where nobody signed."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """What signatures are over: the pre-authentication encoding of type and payload."""
        kind = self.payload_type.encode()
        return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(self.payload)).encode(), self.payload])

    def text(self) -> str:
        """The envelope as JSON, the one way it is written."""
        value = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": one.key_id, "sig": base64.b64encode(one.value).decode()} for one in self.signatures
            ],
        }
        return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def read_envelope(text: bytes) -> Envelope:
    """The envelope in these bytes. Raises Malformed for any that is written otherwise than `Envelope.text` does."""
    try:
        value = json.loads(text)
        signatures = tuple(Signature(str(one["keyid"]), _decoded(one["sig"])) for one in value["signatures"])
        envelope = Envelope(_decoded(value["payload"]), str(value["payloadType"]), signatures)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Malformed(f"it is no envelope of DSSE ({type(error).__name__}: {str(error)[:80]})") from None
    if envelope.text().encode() != text:
        raise Malformed("it is not written as offtarget writes it, so something else changed it")
    return envelope


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("it is no base64")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def signed(payload: bytes, payload_type: str, key: PrivateKey) -> Envelope:
    """The payload in an envelope, signed."""
    envelope = Envelope(payload, payload_type)
    value = _sign(key, envelope.signed_bytes)
    return Envelope(payload, payload_type, (Signature(key_id(key.public_key()), value),))


def signed_by(envelope: Envelope, key: PublicKey) -> bool:
    """Whether one of the signatures is by this key, under its own name."""
    own = key_id(key)
    found = [one for one in envelope.signatures if one.key_id == own and _verify(key, one.value, envelope.signed_bytes)]
    return len(found) == len(envelope.signatures) > 0


def _sign(key: PrivateKey, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(data, ECDSA(_hash_for(key.curve.key_size)))
    return key.sign(data)


def _verify(key: PublicKey, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA(_hash_for(key.curve.key_size)))
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _hash_for(bits: int) -> Any:
    """The hash that goes with a curve, as OpenSSF's model-signing chooses it."""
    from cryptography.hazmat.primitives import hashes

    return {256: hashes.SHA256(), 384: hashes.SHA384()}.get(bits, hashes.SHA512())


def key_id(key: PublicKey) -> str:
    """SHA-256 of a public key in hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def private_key(path: Path) -> PrivateKey:
    """The private key in a PEM file. Raises InputError for anything that cannot sign, PrerequisiteError."""
    from_pem = _crypto().load_pem_private_key
    data = _read(path)
    if b"ENCRYPTED" in data:
        raise InputError(
            f"{path} is protected by a password, which offtarget does not ask for. Write it without one, to a place "
            f"that only you can read: openssl pkcs8 -in {path} -nocrypt -topk8 -out plain.pem"
        )
    try:
        key = from_pem(data, None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} holds no private key in PEM form ({str(error)[:80]}). {MAKE_ONE}") from None
    return _usable(key, path)  # type: ignore[return-value]


def public_key(path: Path) -> PublicKey:
    """The public key in a PEM file, also of a private one. Raises InputError, PrerequisiteError."""
    serialization = _crypto()
    data = _read(path)
    if b"PRIVATE KEY" in data:
        return private_key(path).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} holds no public key in PEM form ({str(error)[:80]}). Take it from the private one with: "
            f"openssl pkey -in PRIVATE.pem -pubout -out {path}"
        ) from None
    return _usable(key, path)  # type: ignore[return-value]


MAKE_ONE = "Make one with: offtarget report RUN --attest --new-key FILE.pem"


def new_key(path: Path) -> Path:
    """Make a private key (ECDSA, P-256) that only its owner can read, and its public one beside it; returns that.

    Raises InputError where either file is there already.
    """
    serialization = _crypto()
    from cryptography.hazmat.primitives.asymmetric import ec

    beside = path.with_name(path.name + ".pub")
    for file in (path, beside):
        if os.path.lexists(file):
            raise InputError(f"{file} is there already, and a key is never written over. Give another name.")
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(private)
        beside.write_bytes(public)
    except OSError as error:
        raise InputError(f"Cannot write {error.filename}: {error.strerror}. Give another name.") from None
    return beside


def _usable(key: object, path: Path) -> object:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    curves = ("secp256r1", "secp384r1", "secp521r1")
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and key.curve.name in curves:
        return key
    raise InputError(f"{path} holds a key of another kind than ECDSA (P-256, P-384, P-521) and Ed25519. {MAKE_ONE}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}. Name the file of a key.") from None


def _crypto() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise PrerequisiteError.for_extra("cryptography", "sign", _PURPOSE) from None
    return serialization
