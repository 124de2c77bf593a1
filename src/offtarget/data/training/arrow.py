"""Parquet and Arrow files, batch by batch (extra `parquet`)."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from offtarget.data.training.chunks import Chunk, Piece, Place, Record, Unread
from offtarget.data.training.forms import fields_of, layout_for, unknown_keys
from offtarget.data.training.sniffing import FileKind
from offtarget.data.training.values import MAX_DEPTH, MAX_ROW, Malformed, too_long
from offtarget.errors import InputError, PrerequisiteError
from offtarget.records import BadRow, Row

_FILLED = re.compile(r"^(?:tools|functions): |(?:arguments|args|parameters|input): struct", re.IGNORECASE)
BATCH_BYTES = 2**21
"""Uncompressed bytes that a batch aims at."""


@dataclass(slots=True)
class ArrowChunk(Chunk):
    """One batch as an Arrow IPC stream; its rows are numbered from 1."""

    filled: tuple[str, ...] = ()
    """Columns with descriptions or arguments of tools, in which Arrow sets every key of any row, null where absent."""

    def pieces(self) -> Iterator[Piece]:
        """Records as `row_bytes`: the file itself holds columns, so no row has bytes of its own."""
        for line, value in self._values():
            yield Piece(line, row_bytes(value), "record")

    def records(self) -> Iterator[Record]:
        """Every record with its `row_bytes`."""
        for line, value in self._values():
            raw = row_bytes(value)
            yield Record(line, raw, self._row(line, value, raw))

    def unread(self) -> Iterator[Unread]:
        """Every record with what makes a row of its values, which are there already."""
        bare = None
        for line, value in self._values():
            raw, bare = row_bytes(value), bare or self.bare()  # which columns are filled is known from the first row on
            yield line, raw, partial(bare._row, line, value, raw)

    def rows(self) -> Iterator[Row | BadRow]:
        """Every record as a row or a bad row."""
        return (record.row for record in self.records())

    def _values(self) -> Iterator[tuple[int, dict[str, Any]]]:
        import pyarrow

        with pyarrow.ipc.open_stream(self.raw) as reader:
            line = self.first
            self.filled = tuple(field.name for field in reader.schema if _FILLED.search(f"{field.name}: {field.type}"))
            odd = {field.name for field in reader.schema if not _is_json(field.type)}
            for batch in reader:
                for value in batch.to_pylist():
                    for name in odd:
                        value[name] = plain(value[name])
                    yield line, value
                    line += 1

    def _row(self, line: int, value: dict[str, Any], raw: bytes) -> Row | BadRow:
        file, digest = self.file, hashlib.sha256(raw).hexdigest()
        try:
            if len(raw) > MAX_ROW:
                raise too_long(len(raw))
            if self.filled:
                value = {**value, **{name: without_nulls(value[name]) for name in self.filled}}
            said = fields_of(value, self.form)
        except Malformed as error:
            return BadRow(f"{file}:{line}", file, line, digest, error.error, error.detail)
        return Row(f"{file}:{line}", file, line, digest, *said)


def without_nulls(value: Any) -> Any:
    """A value without the keys that are null in it."""
    if isinstance(value, dict):
        return {name: without_nulls(held) for name, held in value.items() if held is not None}
    if isinstance(value, list):
        return [without_nulls(held) for held in value]
    return value


def row_bytes(value: dict[str, Any]) -> bytes:
    """The bytes a row's sha256 speaks of: its values as compact JSON in the order of the columns, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _is_json(kind: Any) -> bool:
    """Whether every value of an Arrow type is a JSON value already."""
    from pyarrow import types

    if types.is_struct(kind):
        return all(_is_json(kind.field(number).type) for number in range(kind.num_fields))
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_json(kind.value_type)
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind) or types.is_boolean(kind)
    )


def plain(value: Any, depth: int = 0) -> Any:
    """An Arrow value as JSON knows it; times as ISO 8601, bytes as hex, anything else as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < MAX_DEPTH and isinstance(value, dict):
        return {str(name): plain(held, depth + 1) for name, held in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [plain(held, depth + 1) for held in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def arrow_chunks(file: BinaryIO, kind: FileKind, place: Place) -> Iterator[Chunk]:
    """Chunks of a Parquet or Arrow file. Memory: some pages of each column, or one batch of the file."""
    number = 1
    with reading_arrow(place.file):
        for batch in batches(file, kind):
            yield ArrowChunk(place.file, number, ipc_bytes(batch), place.consumed(), place.form)
            number += batch.num_rows


def ipc_bytes(batch: Any) -> bytes:
    """A batch as an Arrow IPC stream."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def batches(file: BinaryIO, kind: FileKind) -> Iterator[Any]:
    """Record batches of about `BATCH_BYTES`, in the order of the file."""
    if kind.name == "parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as table:
            data = [table.metadata.row_group(i) for i in range(table.num_row_groups)]
            size = sum(group.total_byte_size for group in data) / max(1, table.metadata.num_rows)
            yield from table.iter_batches(batch_size=_rows(size))
        return
    for batch in _stored_batches(file, kind):
        step = _rows(batch.nbytes / max(1, batch.num_rows))
        for start in range(0, batch.num_rows, step):
            yield batch.slice(start, step)


def schema_of(file: BinaryIO, kind: FileKind) -> Any:
    """The Arrow schema of a file."""
    import pyarrow
    from pyarrow import parquet

    if kind.name == "parquet":
        return parquet.read_schema(file)
    return (pyarrow.ipc.open_stream if kind.name == "arrow-stream" else pyarrow.ipc.open_file)(file).schema


def check_columns(file: BinaryIO, kind: FileKind, name: str, form: str | None) -> None:
    """InputError unless the columns are those of training data; PrerequisiteError without pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise PrerequisiteError.for_extra("pyarrow", "parquet", f"Reading {name}") from None
    with reading_arrow(name):
        columns = tuple(schema_of(file, kind).names)
    if layout_for(columns, form) is None:
        raise InputError(f"{name} does not look like training data: {unknown_keys(columns, form).detail}")


@contextlib.contextmanager
def reading_arrow(name: str) -> Iterator[None]:
    """Errors of the library as InputError."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name} is not a readable Parquet or Arrow file ({reason}).") from None


def _stored_batches(file: BinaryIO, kind: FileKind) -> Iterator[Any]:
    import pyarrow

    if kind.name == "arrow-stream":
        with pyarrow.ipc.open_stream(file) as reader:
            yield from reader
    else:
        with pyarrow.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)


def _rows(bytes_per_row: float) -> int:
    return int(min(10_000, max(1, BATCH_BYTES / max(1.0, bytes_per_row))))
