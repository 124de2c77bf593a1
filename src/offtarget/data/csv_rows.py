"""Rows of a CSV file (comma, semicolon or tab)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from offtarget.data.rawrows import RawRow, shown
from offtarget.data.streams import MAX_LINE, lines
from offtarget.errors import InputError


def csv_rows(stream: BinaryIO, path: Path) -> Iterator[RawRow]:
    """Rows under the header line; the number is the line a row starts on, as answers may span lines."""
    numbered = lines(stream, path)
    first = next(numbered, None)
    if first is None or not first[1].strip():
        raise InputError(f"{path}, line 1 is blank. A CSV file starts with the line of column names.")
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    delimiter = max(",;\t", key=first[1].count)

    def texts() -> Iterator[str]:
        yield first[1]
        for _, text in numbered:
            yield text

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    start = 1
    try:
        header = [name.strip() for name in next(reader)]
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise InputError(f"{path}, line 1: column {shown(twice)} appears more than once. Rename one of them.")
        start = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise InputError(
                    f"{path}, line {start}: {len(cells)} cells, but the header names {len(header)} columns. "
                    "Check the quoting of this row."
                )
            if cells:
                yield RawRow(path, "line", start, dict(zip(header, cells, strict=True)))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, the row starting on line {start} is not valid CSV ({error}).") from None
