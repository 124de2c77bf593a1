"""What earlier audits found in rows, on disk: a row whose bytes are known is neither parsed nor looked at again.

A row is known by a keyed hash of its bytes and of how its file is read. The key is a secret of the file, so nobody can
make two rows that share a hash. Kept are hashes, counts and findings; no text but what a finding's reason quotes, so
the file is for its owner alone. Another release, another Python, another package installed or a line changed in
offtarget: another file, since a row must never pass for clean by what other detectors found.

The file: a header in JSON, columns of numbers sorted by the hash, findings as JSON, a hash of it all at its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import platform
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from offtarget.data.training.chunks import Chunk, Unread
from offtarget.detect.row_batch import Numbers, Numeric, RowFacts, RowKind
from offtarget.records import Category, Finding, Row

MOST_BYTES = 512 << 20
"""Size of a file; from there on the rows go first that no audit has met for the longest."""
FILES = 2
"""Files that are kept, those used last: each belongs to one state of offtarget and of what is installed."""
MOST_KINDS = 1 << 16
MOST_FINDINGS = 20_000
"""Bytes of the findings of one row; a row with more is looked at each time."""
LEFT_AFTER = 86_400.0
"""Seconds after which a half-written file is no longer somebody's at work."""
ROOMS = ("data", "detect", "records", "review", "stats")
"""Rooms whose files, with those beside them, decide what is found in a row: detectors import from no other."""
_MAGIC = b"offtarget rows 1"
_PATIENCE = 60.0
"""Seconds that another audit may take to write the file; after that this one does without it."""
_SUM = 32
_ALIGNED = 64
_RECORD = np.dtype(
    [(name, "<u8") for name in ("high", "low", "key", "prompt", "system")]
    + [(name, "<u4") for name in ("stance", "weight", "kind", "more", "near", "seen")]
)
"""One row. `more`: 1 + the number of its findings, 0 for none. `near`: the same for its signature, 0 where nobody made
one. `seen`: the number of the last audit that met it."""
_SHORT = 2**32 - 1
"""`near` of a row too short for a signature."""
_HASHES = 32
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError)
"""Errors of reading what is no file of known rows."""

Positions = npt.NDArray[np.int64]
Records = np.ndarray[Any, np.dtype[np.void]]


class Opened(NamedTuple):
    """Which file of known rows a scan goes by, for processes that read it side by side."""

    path: str
    salt: bytes
    checksum: bytes
    """Of the file as it was checked; empty where there is none yet."""


@dataclass(slots=True)
class NewRows:
    """Rows of one chunk that were not known, and which of those known it met."""

    records: Records
    """`kind`, `more` and `near` number what follows."""
    kinds: list[RowKind]
    more: list[bytes]
    near: bytes
    met: Numbers


class KnownRows:
    """Rows of earlier audits, looked up by their bytes."""

    def __init__(self, opened: Opened) -> None:
        """Those of the file, as far as it is still the one that was checked."""
        self._salt = opened.salt
        self.kinds: list[RowKind] = []
        self._columns: dict[str, npt.NDArray[Any]] = {n: np.zeros(0, _RECORD[n]) for n in _RECORD.names or ()}
        if opened.checksum:
            with contextlib.suppress(OSError, *_DAMAGED):
                file = _Mapped(Path(opened.path))
                if file.checksum == opened.checksum:
                    self._columns, self.kinds, self._mapped = file.columns, file.kinds, file
        self._high = self._columns["high"]

    def hashes(self, chunk: Chunk, records: Sequence[Unread]) -> npt.NDArray[np.uint64]:
        """Two numbers for each record."""
        manner = hashlib.blake2b(chunk.manner().encode("utf-8", "surrogatepass")).digest()
        start = hashlib.blake2b(manner, key=self._salt, digest_size=16)
        found = bytearray()
        for _, body, _ in records:
            hasher = start.copy()
            hasher.update(body)
            found += hasher.digest()
        return np.frombuffer(found, "<u8").reshape(-1, 2)

    def find(self, hashes: npt.NDArray[np.uint64]) -> Positions:
        """Where each record is among the known rows; -1 for those that are not."""
        if not len(self._high) or not len(hashes):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self._high, hashes[:, 0]), len(self._high) - 1).astype(np.int64)
        same = (self._high[at] == hashes[:, 0]) & (self._columns["low"][at] == hashes[:, 1])
        at[~same] = -1
        return at

    def column(self, name: str, at: Positions) -> npt.NDArray[Any]:
        """Values of known rows."""
        found: npt.NDArray[Any] = self._columns[name][at]
        return found

    def has_signature(self, at: Positions) -> npt.NDArray[np.bool_]:
        """Whether each is known to have a signature, or to be too short for one."""
        known: npt.NDArray[np.bool_] = self.column("near", at) > 0
        return known

    def signature(self, at: int) -> Numbers | None:
        """That of one row that `has_signature`."""
        number = int(self._columns["near"][at])
        return None if number == _SHORT else np.array(self._mapped.near[number - 1], np.uint32)

    def findings(self, at: int, row_id: str) -> tuple[tuple[Finding, ...], Numeric | None]:
        """What was found in a row that has anything (`more` above 0), and its numbers."""
        return _unpacked(self._mapped.more(int(self._columns["more"][at]) - 1), row_id)


class Gatherer:
    """Puts the new rows of one chunk together."""

    def __init__(self, size: int) -> None:
        self._records = np.zeros(size, _RECORD)
        self._count = 0
        self._kinds: dict[RowKind, int] = {}
        self._more: list[bytes] = []
        self._near = bytearray()

    def add(self, hashes: tuple[int, int], row: Row, facts: RowFacts, signature: Numbers | None, signed: bool) -> None:
        """A row that was read and looked at to the end; `signed`: whether its signature was sought."""
        more = _packed(row, facts) if facts.findings or facts.numeric is not None else b""
        if more is None or len(more) > MOST_FINDINGS:
            return
        if more:
            self._more.append(more)
        if signature is not None:
            self._near += signature.astype("<u4").tobytes()
        near = _SHORT if signature is None else len(self._near) // (4 * _HASHES)
        self._records[self._count] = (
            *hashes, facts.key, facts.prompt, facts.system, facts.stance, facts.weight,
            self._kinds.setdefault(facts.kind, len(self._kinds)), len(self._more) if more else 0,
            near if signed else 0, 0,
        )  # fmt: skip
        self._count += 1

    def done(self, met: Positions) -> NewRows:
        """All of them."""
        records = self._records[: self._count].copy()
        return NewRows(records, list(self._kinds), self._more, bytes(self._near), met.astype(np.uint32))


def _packed(row: Row, facts: RowFacts) -> bytes | None:
    """Findings and numbers as JSON; None where they would not come back the same."""
    findings = [
        [f.detector, f.category.value, f.reason, f.strength, f.message, f.start, f.end, f.disclosed]
        for f in facts.findings
    ]
    try:
        packed = json.dumps([findings, facts.numeric], separators=(",", ":")).encode("ascii")
        same = _unpacked(packed, row.id) == (facts.findings, facts.numeric)
    except (TypeError, ValueError):
        return None
    return packed if same else None


def _unpacked(packed: bytes, row_id: str) -> tuple[tuple[Finding, ...], Numeric | None]:
    findings, numeric = json.loads(packed)
    return (
        tuple(Finding(row_id, detector, Category(category), *rest) for detector, category, *rest in findings),
        None if numeric is None else (numeric[0], tuple(numeric[1])),
    )


class _Mapped:
    """A file of known rows, mapped into memory. Raises OSError, or one of `_DAMAGED` where it is none."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[: len(_MAGIC)] != _MAGIC:
            raise ValueError("no file of known rows")
        self.checksum = bytes(self._map[-_SUM:])
        size = int.from_bytes(self._map[len(_MAGIC) : len(_MAGIC) + 8], "little")
        header = json.loads(self._map[len(_MAGIC) + 8 : len(_MAGIC) + 8 + size])
        self.salt, self.audits = bytes.fromhex(header["salt"]), int(header["audits"])
        self._at = _aligned(len(_MAGIC) + 8 + size)
        rows, near, more = header["rows"], header["near"], header["more"]
        self.columns = {name: self._array(_RECORD[name], rows) for name in _RECORD.names or ()}
        self.findings = more
        """How many rows have any."""
        self._ends = self._array(np.dtype("<u8"), more + 1)
        self.near = self._array(np.dtype("<u4"), near * _HASHES).reshape(-1, _HASHES)
        self._more_at = self._at
        end = self._at + int(self._ends[-1])
        told = json.loads(self._map[end : end + header["kinds"]])
        self.kinds = [RowKind(*kind[:-2], *map(tuple, kind[-2:])) for kind in told]

    def _array(self, kind: np.dtype[Any], size: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self._map, kind, size, self._at)
        self._at = _aligned(self._at + found.nbytes)
        return found

    def more(self, number: int) -> bytes:
        """Findings by their number."""
        start, end = self._ends[number : number + 2].tolist()
        return self._map[self._more_at + start : self._more_at + end]


def _aligned(at: int) -> int:
    return -(-at // _ALIGNED) * _ALIGNED


class Keeper:
    """The file as one scan reads it and adds to it. What cannot be read or written costs time, never a verdict."""

    def __init__(self, folder: Path) -> None:
        """The file in this folder for this state of offtarget; it is made where there is none."""
        self.note = ""
        """A sentence where the file could not be used."""
        self.opened: Opened | None = None
        """None where there is no file and none can be made."""
        self._records: list[Records] = []
        self._kinds: dict[RowKind, int] = {}
        self._more: list[bytes] = []
        self._near: list[bytes] = []
        self._signatures = 0
        self._met: list[Numbers] = []
        self._held = 0
        try:
            self._path = folder / f"{state()}.rows"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._alone():
                self.opened = self._checked()
            os.utime(self._path)
        except OSError:
            return

    def take(self, new: NewRows) -> None:
        """The new rows of a chunk, and those known that it met."""
        if len(new.met):
            self._met.append(new.met)
        if self._held > MOST_BYTES or not len(new.records):
            return
        numbers = np.array([self._kinds.setdefault(kind, len(self._kinds)) for kind in new.kinds], np.uint32)
        records = new.records
        records["kind"] = numbers[records["kind"]]
        records["more"][records["more"] > 0] += len(self._more)
        signed = (records["near"] > 0) & (records["near"] != _SHORT)
        records["near"][signed] += self._signatures
        self._records.append(records)
        self._more += new.more
        if new.near:
            self._near.append(new.near)
            self._signatures += len(new.near) // (4 * _HASHES)
        self._held += records.nbytes + len(new.near) + sum(map(len, new.more))

    def write(self) -> None:
        """Add what was taken to the file, under a lock: what another audit added meanwhile stays."""
        if self.opened is None or not self._records:
            return
        with contextlib.suppress(OSError), self._alone():
            if (now := self._checked()).salt == self.opened.salt:
                _replace(self._path, self._joined(now.checksum == self.opened.checksum))
                _tidy(self._path)

    def _alone(self) -> FileLock:
        return FileLock(f"{self._path}.lock", timeout=_PATIENCE)

    def _checked(self) -> Opened:
        """The file, whole; an empty one in its place where there is none or a damaged one."""
        with contextlib.suppress(FileNotFoundError):
            try:
                with self._path.open("rb") as file:
                    checksum = _checksum(file)
                return Opened(str(self._path), _Mapped(self._path).salt, checksum)
            except _DAMAGED:
                self.note = (
                    f"What earlier audits found in rows was damaged on disk ({self._path}), so every row was read and "
                    "looked at anew, and the file was written again. Nothing is to be done."
                )
        _replace(
            self._path, _parts(np.zeros(0, _RECORD), [], [], np.zeros((0, _HASHES), "<u4"), secrets.token_bytes(32), 0)
        )
        with self._path.open("rb") as file:
            checksum = _checksum(file)
        return Opened(str(self._path), _Mapped(self._path).salt, checksum)

    def _joined(self, same: bool) -> list[bytes]:
        """The file with the new rows; `same`: its rows stand where they stood when they were met."""
        old = _Mapped(self._path)
        audit = old.audits + 1
        fresh = np.concatenate(self._records)
        order = np.lexsort((fresh["near"] == 0, fresh["low"], fresh["high"]))
        fresh = fresh[order]
        again = (fresh["high"][1:] == fresh["high"][:-1]) & (fresh["low"][1:] == fresh["low"][:-1])
        fresh = fresh[np.concatenate([[True], ~again])]
        fresh["seen"] = audit
        known = np.zeros(len(old.columns["high"]), _RECORD)
        for name, column in old.columns.items():
            known[name] = column
        if same and self._met:
            known["seen"][np.concatenate(self._met)] = audit
        kinds = {kind: number for number, kind in enumerate(old.kinds)}
        fresh["kind"] = np.array([kinds.setdefault(k, len(kinds)) for k in self._kinds], np.uint32)[fresh["kind"]]
        fresh["more"][fresh["more"] > 0] += old.findings
        signed = (fresh["near"] > 0) & (fresh["near"] != _SHORT)
        fresh["near"][signed] += len(old.near)
        if len(known):
            at = np.minimum(np.searchsorted(known["high"], fresh["high"]), len(known) - 1)
            known = np.delete(known, at[(known["high"][at] == fresh["high"]) & (known["low"][at] == fresh["low"])])
        rows = np.concatenate([known, fresh])
        del known, fresh
        rows = rows[np.argsort(rows["high"], kind="stable")]
        more = [b"", *(old.more(number) for number in range(old.findings)), *self._more]
        near = np.concatenate([old.near, np.frombuffer(b"".join(self._near), "<u4").reshape(-1, _HASHES)])
        return _parts(*_bounded(rows, list(kinds), more, near), old.salt, audit)


def _bounded(
    rows: Records, kinds: list[RowKind], more: list[bytes], near: Numbers
) -> tuple[Records, list[RowKind], list[bytes], Numbers]:
    """As many rows as a file may hold, those met last first, with nothing that belongs to none of them."""
    rows = rows[rows["kind"] < MOST_KINDS]
    signed = (rows["near"] > 0) & (rows["near"] != _SHORT)
    sizes = np.array([len(part) for part in more], np.int64)[rows["more"]] + _RECORD.itemsize + 4 * _HASHES * signed
    if sizes.sum() > MOST_BYTES:
        order = np.argsort(-rows["seen"].astype(np.int64), kind="stable")
        rows = rows[np.sort(order[np.cumsum(sizes[order]) <= MOST_BYTES])]
        signed = (rows["near"] > 0) & (rows["near"] != _SHORT)
    used, rows["kind"] = np.unique(rows["kind"], return_inverse=True)
    kinds = [kinds[number] for number in used.tolist()]
    found = np.flatnonzero(rows["more"])
    more = [more[number] for number in rows["more"][found].tolist()]
    rows["more"][found] = np.arange(1, len(found) + 1)
    near = near[rows["near"][signed].astype(np.int64) - 1]
    rows["near"][signed] = np.arange(1, len(near) + 1)
    return rows, kinds, more, near


def _parts(
    rows: Records, kinds: list[RowKind], more: list[bytes], near: Numbers, salt: bytes, audits: int
) -> list[bytes]:
    """The bytes of a file but for the hash at its end."""
    told = json.dumps(kinds, separators=(",", ":")).encode("ascii")
    header = json.dumps(
        {
            "salt": salt.hex(),
            "audits": audits,
            "rows": len(rows),
            "near": len(near),
            "more": len(more),
            "kinds": len(told),
        }
    ).encode("ascii")
    ends = np.concatenate([[0], np.cumsum([len(part) for part in more], dtype=np.uint64)]).astype("<u8")
    columns = [np.ascontiguousarray(rows[name]).tobytes() for name in _RECORD.names or ()]
    parts = [_MAGIC + len(header).to_bytes(8, "little") + header, *columns, ends.tobytes(), near.tobytes()]
    return [*(part.ljust(_aligned(len(part)), b"\0") for part in parts), *more, told]


def _replace(path: Path, parts: Sequence[bytes]) -> None:
    """Write a file so that whoever reads it, now or after a crash, finds the old one or the new one."""
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)  # for its owner alone
    try:
        hasher = hashlib.blake2b(digest_size=_SUM)
        with os.fdopen(number, "wb") as file:
            for part in parts:
                hasher.update(part)
                file.write(part)
            file.write(hasher.digest())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _checksum(file: BinaryIO) -> bytes:
    """The hash at the end of a file; ValueError where it is not that of the rest."""
    hasher, last = hashlib.blake2b(digest_size=_SUM), b""
    while block := file.read(1 << 20):
        hasher.update((last + block)[:-_SUM])
        last = (last + block)[-_SUM:]
    if hasher.digest() != last:
        raise ValueError("damaged")
    return last


def _tidy(path: Path) -> None:
    """Remove files of states of offtarget that were left behind, and what a killed audit had half written."""
    files = sorted(path.parent.glob("*.rows"), key=lambda file: file.stat().st_mtime, reverse=True)
    old = [part for part in path.parent.glob("*.part") if time.time() - part.stat().st_mtime > LEFT_AFTER]
    for left in [*(file for file in files[FILES:] if file != path), *old]:
        with contextlib.suppress(OSError):
            left.unlink()
            Path(f"{left}.lock").unlink(missing_ok=True)


def state() -> str:
    """A hash of all that decides what is found in a row besides the row: offtarget, Python, what is installed.

    Raises OSError where offtarget's own files cannot be read.
    """
    machine = (sys.version, sys.platform, platform.machine(), sys.flags.optimize, sys.getrecursionlimit())
    hasher = hashlib.sha256(repr(machine).encode())
    package = Path(__file__).parents[1]
    files = [*package.glob("*.py"), *(file for room in ROOMS for file in (package / room).rglob("*"))]
    for file in sorted(file for file in files if file.suffix != ".pyc" and file.is_file()):
        hasher.update(f"\0{file.relative_to(package)}\0".encode())
        hasher.update(hashlib.sha256(file.read_bytes()).digest())
    for name in _installed():
        hasher.update(f"\0{name}".encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()[:32]


def _installed() -> list[str]:
    """Name and version of every installed package: the code that Bandit or NumPy run may belong to any of them."""
    found: set[str] = set()
    for place in sys.path:
        with contextlib.suppress(OSError):
            found.update(file.name for file in Path(place).iterdir() if file.suffix in {".dist-info", ".egg-info"})
    return sorted(found)
