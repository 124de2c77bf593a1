"""Rows of a Parquet file (extra `parquet`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offtarget.data.rawrows import RawRow
from offtarget.errors import InputError, PrerequisiteError


def parquet_rows(path: Path) -> Iterator[RawRow]:
    """Rows in file order, read batch by batch."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise PrerequisiteError.for_extra("pyarrow", "parquet", f"Reading the Parquet file {path}") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(path, "row", number, values)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable Parquet file ({reason}).") from None
