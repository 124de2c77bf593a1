"""Values that processes of one user leave for each other on a disk: whole, and made by nobody else.

They are pickles, which can run anything when they are read. So each carries a keyed hash (HMAC-SHA256) of its bytes
and of its name, and one that does not fit is not read: a file cut off by a crash, one from another run, and one that
somebody put there are all the same as none.
"""

from __future__ import annotations

import hmac
import os
import pickle
import secrets
import uuid
from pathlib import Path
from typing import Any

import zstandard
from filelock import FileLock

from offtarget.errors import InputError
from offtarget.rundir import make_folder, write_whole

_HASH = "sha256"
_HASH_BYTES = 32
_KEY_BYTES = 32
_LEVEL = 1
"""Of compression: half a gigabyte a second, a third or less of what texts take."""


def key_in(path: Path) -> bytes:
    """The key in a file that only its owner may read, made where there is none. Raises InputError."""
    make_folder(path.parent)
    try:
        with FileLock(f"{path}.lock"):
            key = path.read_bytes() if path.exists() else b""
            if len(key) != _KEY_BYTES:  # also where a process was killed as it wrote one
                key = secrets.token_bytes(_KEY_BYTES)
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(key)
    except OSError as error:
        raise InputError(f"{path} cannot be written and read: {error.strerror or error}.") from None
    return key


def pickled(value: object) -> bytes:
    """The value as bytes, for `write`."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def write(path: Path, content: bytes, key: bytes) -> None:
    """Leave what `pickled` gave; of two who write the same file one comes last, and it is whole. Raises InputError."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(content)
    write_whole(path, _hash(path, packed, key) + packed, by=f".{uuid.uuid4().hex}")


def read(path: Path, key: bytes) -> Any:
    """The value that lies there; None where there is no file, or one that was not written with this key and name."""
    packed = _packed(path, key)
    if packed is None:
        return None
    return pickle.loads(zstandard.ZstdDecompressor().decompress(packed))  # noqa: S301 - made with our key


def is_whole(path: Path, key: bytes) -> bool:
    """Whether `read` finds a value there, which is not made."""
    return _packed(path, key) is not None


def _packed(path: Path, key: bytes) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    packed = content[_HASH_BYTES:]
    return packed if hmac.compare_digest(content[:_HASH_BYTES], _hash(path, packed, key)) else None


def _hash(path: Path, packed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, path.name.encode() + b"\0" + packed, _HASH)
