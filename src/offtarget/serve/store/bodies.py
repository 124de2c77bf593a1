"""Requests and answers as they are kept: what must not be known is taken out, the rest bounded, and encrypted if set.

Whoever shows a request or an answer to a judge takes the same things out first (`Redactor.text`).
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offtarget.errors import InputError, PrerequisiteError
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import StateSettings
from offtarget.redaction import NotRedacted, Redactor

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEPT_BYTES = 1024 * 1024
"""Of a request or an answer; what is longer is cut after redaction."""
READ_BYTES = 8 * 1024 * 1024
"""What is longer is not read, redacted or kept at all."""
_PLAIN, _ENCRYPTED = b"P", b"F"


@dataclass(frozen=True, slots=True)
class BodyKeeper:
    """Turns the bodies of an exchange into the bytes that a store keeps, and back."""

    redactor: Redactor
    cipher: Fernet | None = None
    kept_bytes: int = KEPT_BYTES

    @classmethod
    def of(cls, settings: StateSettings) -> BodyKeeper:
        """As the settings want it. Raises InputError for a key or an expression that is none."""
        return cls(Redactor(settings.redact), _cipher(settings.encryption_key) if settings.encryption_key else None)

    def pack(self, exchange: Exchange) -> bytes:
        """Both bodies as one piece of bytes."""
        notes: list[str] = []
        request = self._kept(exchange.request, "request", notes)
        response = self._kept(exchange.response, "answer", notes)
        if exchange.cut:
            notes.append("The answer was cut while it passed through.")
        packed = json.dumps([b64encode(request).decode(), b64encode(response).decode(), " ".join(notes)])
        small = zlib.compress(packed.encode())
        return _PLAIN + small if self.cipher is None else _ENCRYPTED + self.cipher.encrypt(small)

    def unpack(self, packed: bytes, exchange: str) -> tuple[bytes, bytes, str]:
        """Request, answer, and the note on what is missing. Raises InputError for another key."""
        kind, data = packed[:1], packed[1:]
        if kind == _ENCRYPTED:
            data = self._decrypted(data, exchange)
        request, response, note = json.loads(zlib.decompress(data))
        return b64decode(request), b64decode(response), note

    def _kept(self, body: bytes, what: str, notes: list[str]) -> bytes:
        if len(body) > READ_BYTES:
            notes.append(f"The {what} is not kept: it has {len(body)} bytes.")
            return b""
        try:
            body = self.redactor.body(body)
        except NotRedacted:
            notes.append(f"The {what} is not kept: an expression of state.redact took too long on it.")
            return b""
        if len(body) > self.kept_bytes:
            notes.append(f"The {what} is cut: {self.kept_bytes} of {len(body)} bytes are kept.")
        return body[: self.kept_bytes]

    def _decrypted(self, data: bytes, exchange: str) -> bytes:
        if self.cipher is None:
            raise InputError(f"What was kept of {exchange} is encrypted: give its key in state.encryption_key.")
        from cryptography.fernet import InvalidToken

        try:
            return self.cipher.decrypt(data)
        except InvalidToken:
            raise InputError(
                f"What was kept of {exchange} is encrypted with another key than that of state.encryption_key."
            ) from None


def _cipher(key: str) -> Fernet:
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        raise PrerequisiteError.for_extra("cryptography", "encryption", "Encryption of kept bodies") from None
    try:
        return Fernet(key)
    except ValueError:
        raise InputError(
            "state.encryption_key is no key of Fernet: 32 bytes in URL-safe base64, 44 characters. Make one with: "
            'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from None
