"""The cleaned copy of a data set while it is written: which rows stay, how they are copied, and all or nothing."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

import zstandard

from offtarget.data.training import Chunk, Piece
from offtarget.data.training.arrow import ArrowChunk, batches, ipc_bytes, schema_of
from offtarget.data.training.sniffing import FileKind
from offtarget.data.training.stored import PACKED
from offtarget.detect.ledger import Removal, ledger_path
from offtarget.errors import InputError
from offtarget.records import BadRow, Row
from offtarget.rundir import flush_to_disk

GROUP_BYTES = 2**26
"""Uncompressed bytes after which a row group is written."""


class Choice:
    """Decides row by row; counts, and writes every removal to the ledger."""

    def __init__(self, removals: Mapping[str, Removal], drop_malformed: bool, ledger: IO[str]) -> None:
        self._removals, self._drop_malformed, self._ledger = removals, drop_malformed, ledger
        self._met = 0
        self.kept = 0
        self.removed = 0

    def keeps_piece(self, chunk: Chunk, piece: Piece) -> bool:
        """Whether a piece of a file is written; the parts of one record go or stay together."""
        row_id = f"{chunk.file}:{piece.line}"
        if piece.kind == "filler":
            return True
        if piece.kind == "part":  # only records too long to be read come in parts, so this one is malformed
            return not (row_id in self._removals or self._drop_malformed)
        return self.keeps(row_id, lambda: chunk.read(piece.line, chunk.body(piece.raw)))

    def keeps(self, row_id: str, read: Callable[[], Row | BadRow]) -> bool:
        """Whether a row is written; read only where that is in doubt. InputError for another row than was judged."""
        removal = self._removals.get(row_id)
        row = read() if removal is not None or self._drop_malformed else None
        if removal is not None and row is not None:
            self._met += 1
            if removal.sha256 != row.sha256:
                raise InputError(
                    f"{row.id} has other bytes than the row that was to be removed: the data changed since its audit. "
                    "Audit it again."
                )
        elif isinstance(row, BadRow):
            detail = f"{row.error}: {row.detail}"
            removal = Removal(
                row_id=row.id,
                file=row.file,
                line=row.line,
                sha256=row.sha256,
                category="malformed",
                reason=detail,
                decided_by="reader",
            )
        else:
            self.kept += 1
            return True
        self.removed += 1
        self._ledger.write(json.dumps(asdict(removal)) + "\n")
        return False

    def refuse_unknown(self, name: str) -> None:
        """InputError when a removal named no row that was met."""
        if self._met != len(self._removals):
            raise InputError(
                f"{len(self._removals) - self._met} of {len(self._removals)} rows to be removed are not in {name}, "
                f"among the first of all: {next(iter(self._removals))}. Nothing was written. Is this the audited file?"
            )


class CleanedFile:
    """Writes pieces verbatim; in a JSON array it sets the commas between elements."""

    def __init__(self, path: Path, suffix: str, array: bool) -> None:
        self._raw = path.open("wb")
        self._stream: IO[bytes] | Any = self._raw
        if suffix == ".gz":
            self._stream = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)
        elif suffix == ".zst":
            self._stream = zstandard.ZstdCompressor(level=3).stream_writer(self._raw, closefd=False)
        self._array, self._elements, self._in_element = array, 0, False

    def write(self, piece: Piece) -> None:
        """Append a piece that is kept."""
        if self._array and piece.kind in ("record", "part") and not self._in_element:
            if self._elements:
                self._stream.write(b",")
            self._elements += 1
        self._in_element = piece.kind == "part"
        self._stream.write(piece.raw)

    def __enter__(self) -> CleanedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._stream is not self._raw:
            self._stream.close()
        self._raw.close()


def clean_table(file: BinaryIO, kind: FileKind, name: str, choice: Choice, out: Path) -> None:
    """Copy the rows of a table that are kept."""
    import pyarrow

    schema = schema_of(file, kind)
    file.seek(0)
    with _writer(file, kind, schema, out) as writer:
        number, size = 1, 0
        waiting: list[Any] = []
        for batch in batches(file, kind):
            at = range(number, number + batch.num_rows)
            keep = [choice.keeps(f"{name}:{n}", partial(_row, batch, n - number, n, name)) for n in at]
            number = at.stop
            kept = batch.filter(pyarrow.array(keep, pyarrow.bool_()))
            waiting.append(kept)
            size += kept.nbytes
            if size >= GROUP_BYTES:
                writer.write_table(pyarrow.Table.from_batches(waiting, schema))
                waiting, size = [], 0
        writer.write_table(pyarrow.Table.from_batches(waiting, schema))


def _row(batch: Any, row: int, number: int, name: str) -> Row | BadRow:
    return next(ArrowChunk(name, number, ipc_bytes(batch.slice(row, 1)), 0).rows())


def _writer(file: BinaryIO, kind: FileKind, schema: Any, out: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    if kind.name == "arrow-stream":
        return pyarrow.ipc.new_stream(str(out), schema)
    if kind.name == "arrow-file":
        return pyarrow.ipc.new_file(str(out), schema)
    metadata = parquet.read_metadata(file)
    file.seek(0)
    codec = "snappy"
    if metadata.num_row_groups and metadata.num_columns:
        codec = metadata.row_group(0).column(0).compression.lower()
    return parquet.ParquetWriter(out, schema, compression="none" if codec == "uncompressed" else codec)


class Staging:
    """A hidden folder beside `out` in which everything is written first; left, it is gone."""

    def __init__(self, out: Path, *, folder: bool) -> None:
        self.out, self._folder = out, folder
        self._root = out.parent / f".{out.name}.{os.getpid()}.part"
        self.data = self._root / "data"
        self.rows = self._root / "rows"
        """The removals, until the ledger's first line is known."""

    def __enter__(self) -> Staging:
        with _write_errors(self.out):
            shutil.rmtree(self._root, ignore_errors=True)
            self._root.mkdir()
            if self._folder:
                self.data.mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        if isinstance(error, OSError):
            with _write_errors(self.out):
                raise error

    def file(self, name: str) -> Path:
        """Where the cleaned copy of the source file `name` is written."""
        if not self._folder:
            return self.data
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def suffix_of(self, name: str) -> str:
        """`.gz`, `.zst` or nothing: how the copy of `name` is compressed."""
        suffix = Path(name if self._folder else self.out.name).suffix.lower()
        return suffix if suffix in PACKED else ""

    def publish(self, head: str) -> None:
        """Move ledger and data to their places, each whole, the ledger first: no cleaned file is ever without one."""
        ledger = self._root / "ledger"
        with ledger.open("wb") as file, self.rows.open("rb") as rows:
            file.write(head.encode())
            shutil.copyfileobj(rows, file)
        written = [ledger, *(sorted(self.data.rglob("*")) if self._folder else [self.data])]
        for path in written:
            if path.is_file():
                flush_to_disk(path)
        ledger.replace(ledger_path(self.out))
        self.data.replace(self.out)
        flush_to_disk(self.out.parent)


@contextlib.contextmanager
def _write_errors(out: Path) -> Iterator[None]:
    """Errors of the disk as InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(
                f"The disk is full, writing {out}. Nothing was left behind; free some space, then clean again."
            ) from None
        raise InputError(f"Cannot write {out}: {error.strerror or error}. Choose another folder.") from None
