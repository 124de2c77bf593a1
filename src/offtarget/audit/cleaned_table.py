"""A cleaned Parquet or Arrow file: the rows that are kept, with values and schema as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from offtarget.audit.removing import Choice
from offtarget.data.training.arrow import ArrowChunk, batches, ipc_bytes, schema_of
from offtarget.data.training.sniffing import FileKind

GROUP_BYTES = 2**26
"""Uncompressed bytes after which a row group is written."""


def clean_table(file: BinaryIO, kind: FileKind, name: str, choice: Choice, out: Path) -> None:
    """Copy the rows of a table that are kept."""
    import pyarrow

    schema = schema_of(file, kind)
    file.seek(0)
    with _writer(file, kind, schema, out) as writer:
        number, size = 1, 0
        waiting: list[Any] = []
        for batch in batches(file, kind):
            keep = [_keeps(batch, row, number + row, name, choice) for row in range(batch.num_rows)]
            number += batch.num_rows
            kept = batch.filter(pyarrow.array(keep, pyarrow.bool_()))
            waiting.append(kept)
            size += kept.nbytes
            if size >= GROUP_BYTES:
                writer.write_table(pyarrow.Table.from_batches(waiting, schema))
                waiting, size = [], 0
        writer.write_table(pyarrow.Table.from_batches(waiting, schema))


def _keeps(batch: Any, row: int, number: int, name: str, choice: Choice) -> bool:
    if not choice.wants(f"{name}:{number}"):
        choice.kept += 1
        return True
    chunk = ArrowChunk(name, number, ipc_bytes(batch.slice(row, 1)), 0)
    return choice.keeps_row(next(chunk.rows()))


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
