"""Reading a table whatever its format: the content decides, the file name where it is silent."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from offtarget.data.inspect_rows import eval_rows, is_inspect_log, sample_rows, tell_of
from offtarget.data.rawrows import About, RawRow, shown
from offtarget.data.streams import MAX_LINE, document, lines, reading
from offtarget.errors import InputError, PrerequisiteError

_LISTS = ("rows", "data", "samples")
"""Keys under which a JSON document may hold its list of rows."""


_WHO = re.compile(
    r"(?:llm_?(?:as_?a?_?)?)?(?:judge|(?:auto_?)?(?:grader|rater)|evaluator|scorer|annotator)"
    r"(?:_?(?:model|name|id|llm|version|prompt_version))?"
    r"|model_?(?:judge|grader)|(?:grading|scoring|judging)_?model"
    r"|(?:judged|graded|scored|rated|evaluated|annotated)_?by",
    re.IGNORECASE,
)
_RUBRIC = re.compile(r"(?:judge_?)?rubric(?:_?(?:name|id|version))?", re.IGNORECASE)
_NOBODY = frozenset(
    ("none", "null", "nan", "na", "n/a", "<na>", "-", "--", "?", "unknown", "unspecified", "not stated", "undefined")
)
"""What stands in a column of judges where nobody is named."""
_LONGEST_NAME = 120
UNNAMED = "a judge that is not named"
"""In place of a judge where only the rubric is."""


def who_judged(values: Mapping[str, Any], marks: Collection[str | None] = ()) -> str:
    """Who judged, and by which rubric, by the columns of a row or the keys beside rows; empty where none says so.

    `marks`: columns that hold scores, whatever they are called.
    """
    who: list[tuple[str, str]] = []
    rubric: list[tuple[str, str]] = []
    for name, value in values.items():
        said = _says(name)
        if not said or name in marks or not isinstance(value, str | int):
            continue
        if (text := _short(str(value))) and text.lower() not in _NOBODY:
            (who if said == "who" else rubric).append((name, text))
    texts = [text for _, text in sorted(who)] or ([UNNAMED] if rubric else [])
    return ", ".join([*texts, *(f"rubric {text}" for _, text in sorted(rubric))])


@functools.lru_cache(maxsize=1024)
def _says(name: str) -> Literal["who", "rubric", ""]:
    """What a column of that name says of the judge."""
    if _WHO.fullmatch(_spelt(name)):
        return "who"
    return "rubric" if _RUBRIC.fullmatch(_spelt(name)) else ""


def _spelt(name: str) -> str:
    """The name of a column in one spelling: `judge model`, `judge-model` and `judge.model` are `judge_model`."""
    return re.sub(r"[\s.-]+", "_", name.strip())


def _short(text: str) -> str:
    """One line to be shown; a long text, such as a whole rubric, by its beginning and a digest of all of it."""
    line = " ".join(text.split())
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return line if len(line) <= _LONGEST_NAME else f"{line[:40]}... ({digest})"


def read_rows(path: Path, about: About | None = None) -> Generator[RawRow]:
    """Rows of a CSV, JSONL, JSON, Parquet or Inspect file, also `.gz` or `.zst`; InputError says where.

    What the file says of all its rows goes into `about`.
    """
    about = About() if about is None else about
    with reading(path) as stream:
        head = stream.peek(4)[:4]
        if head == b"PAR1":
            yield from parquet_rows(path)
        elif head == b"PK\x03\x04":
            yield from eval_rows(path, about)
        else:
            yield from _text_rows(stream, path, about)


def _text_rows(stream: io.BufferedReader, path: Path, about: About) -> Iterator[RawRow]:
    first = stream.readline(MAX_LINE + 1)
    whole = io.BufferedReader(_Rejoined(first, stream), 1 << 18)
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    jsonl = any(suffix.lower() in (".jsonl", ".ndjson") for suffix in path.suffixes)
    if jsonl or (start == b"{" and _is_one_row(first.decode("utf-8", "replace"))):
        return jsonl_rows(whole, path)
    if start in (b"{", b"["):
        return json_rows(whole, path, about)
    return csv_rows(whole, path)


class _Rejoined(io.RawIOBase):
    """The first line put back in front of the stream it was read from; decompressors rewind badly."""

    def __init__(self, first: bytes, rest: io.BufferedReader) -> None:
        self._first, self._rest = memoryview(first), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._first:
            return self._rest.readinto(buffer)
        count = min(len(buffer), len(self._first))
        buffer[:count] = self._first[:count]
        self._first = self._first[count:]
        return count


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


def jsonl_rows(stream: BinaryIO, path: Path) -> Iterator[RawRow]:
    """One JSON object per line; blank lines are skipped."""
    for number, text in lines(stream, path):
        if not text.strip():
            continue
        value = _parse(text, f"{path}, line {number}")
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number} is not a JSON object with named values.")
        yield RawRow(path, "line", number, value)


def json_rows(stream: BinaryIO, path: Path, about: About) -> Iterator[RawRow]:
    """Rows of one JSON document: a list of objects, an object that holds one, or an Inspect log."""
    try:
        text = document(stream, path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    value = _parse(text, str(path))
    if is_inspect_log(value):
        tell_of(value, about)
        yield from sample_rows(value["samples"] or [], path, about)
        return
    if isinstance(value, dict):
        about.judge = who_judged(value) or None
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), value)
    if not isinstance(value, list):
        raise InputError(f"{path} is JSON but not a table: expected a list of objects, one per judged answer.")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}, row {number} is not a JSON object with named values.")
        yield RawRow(path, "row", number, row)


def _is_one_row(text: str) -> bool:
    """Whether a file's first line is a complete row, which makes the file JSONL rather than one document."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(value, dict)
        and not is_inspect_log(value)
        and not any(isinstance(value.get(key), list) for key in _LISTS)
    )


class _TwiceError(Exception):
    """A key that a JSON object holds twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, where Python would silently keep the last of two values under one key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError(next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number])))
    return found


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise InputError(f"{place} holds the key {shown([error])} twice. Keep one of them, or rename it.") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    except (RecursionError, ValueError):
        raise InputError(
            f"{place} is not readable JSON: nested too deeply, or a number with too many digits."
        ) from None


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
