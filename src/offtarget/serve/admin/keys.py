"""Who may ask and who may order on the admin plane: two keys, of which only their hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

from starlette.datastructures import Headers

Level = Literal["admin", "reader"]
"""`reader` sees everything and changes nothing."""
LONGEST = 512
"""Characters of a key; a longer one is wrong without being hashed."""


def sha256_of(key: str) -> str:
    """What is kept of a key, 64 hex digits. Keys are random and long, so that a plain hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keys:
    """Compares keys in a time that does not tell how wrong one is. An empty hash is nobody's."""

    def __init__(self, admin_sha256: str, reader_sha256: str = "") -> None:
        self._hashes: tuple[tuple[Level, str], ...] = (("admin", admin_sha256), ("reader", reader_sha256))

    def level(self, key: str) -> Level | None:
        """What a key allows; None where it is wrong."""
        if not 0 < len(key) <= LONGEST:
            return None
        offered, found = sha256_of(key), None
        for level, known in self._hashes:
            if known and hmac.compare_digest(offered.encode(), known.lower().encode()):
                found = found or level
        return found

    def level_of(self, headers: Headers) -> Level | None:
        """The same of `Authorization: Bearer KEY`."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return self.level(key.strip()) if scheme.lower() == "bearer" else None
