"""Which model made a response that later requests go on from: a table of fixed size that all workers share.

The Responses API keeps earlier turns on the server that made them, so `previous_response_id` must go there. An entry is
eight bytes: a hash of the id, and one bit for the arm. A new entry replaces an old one at the same place.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from pathlib import Path

from offtarget.records.answers import Role

SLOTS = 1 << 17
"""Responses that are remembered at most; 1 MiB."""
_ENTRY = struct.Struct("<Q")


class Pins:
    """Ids of responses and conversations, and the arm of each."""

    def __init__(self, path: Path | None = None) -> None:
        """Shared with every process that names the same file; by default this process's own."""
        self.path = path
        if path is None:
            self._memory = mmap.mmap(-1, SLOTS * _ENTRY.size)
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size != SLOTS * _ENTRY.size:
                os.truncate(path, SLOTS * _ENTRY.size)
            self._memory = mmap.mmap(descriptor, SLOTS * _ENTRY.size)
        finally:
            os.close(descriptor)

    def put(self, alias: str, name: str, arm: Role) -> None:
        """Remember who made `name`."""
        offset, entry = self._place(alias, name)
        _ENTRY.pack_into(self._memory, offset, entry | (arm == "tuned"))

    def get(self, alias: str, name: str) -> Role | None:
        """Who made `name`; None: not known, or no longer."""
        offset, entry = self._place(alias, name)
        (found,) = _ENTRY.unpack_from(self._memory, offset)
        if found & ~1 != entry:
            return None
        return "tuned" if found & 1 else "base"

    @staticmethod
    def _place(alias: str, name: str) -> tuple[int, int]:
        digest = hashlib.sha256(f"{alias}\0{name}".encode("utf-8", "surrogatepass")).digest()
        position = int.from_bytes(digest[:4], "big") % SLOTS
        return position * _ENTRY.size, int.from_bytes(digest[8:16], "big") & ~1 | 2
