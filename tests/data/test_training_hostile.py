"""Whatever stands in a file, every record is a row or a bad row with its place; memory stays flat; nothing crashes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.data.training import open_source, read_rows
from offtarget.data.training.chunks import Chunk, Place, line_chunks
from offtarget.data.training.csv_records import csv_chunks
from offtarget.data.training.json_array import array_chunks
from offtarget.data.training.values import MAX_ROW
from offtarget.errors import InputError
from offtarget.records import BadRow, Row

GOOD = b'{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}'


def with_bad(tmp_path: Path, bad: bytes) -> list[Row | BadRow]:
    """The rows of a file with one bad line between two good ones."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD + b"\n" + bad + b"\n" + GOOD + b"\n")
    return list(read_rows(file))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"not json", "not-json"),
        (b'{"messages": [', "not-json"),
        (GOOD + GOOD, "not-json"),
        (GOOD[:20] + b"\0" + GOOD[20:], "nul-byte"),
        (GOOD.replace(b"Q", b"\xff"), "not-utf8"),
        (GOOD.replace(b"Q", b"\\ud83d"), "lone-surrogate"),
        (GOOD.replace(b"Q", b"\xed\xa0\x80"), "not-utf8"),
        (b"[" * 10_000, "too-deep"),
        (GOOD[:-1] + b', "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too-deep"),
        (GOOD[:-1] + b', "x": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", "too-deep"),
        (GOOD[:-1] + b', "x": ' + b"9" * 5000 + b"}", "not-json"),
        (GOOD[:-1] + b', "messages": []}', "duplicate-key"),
        (GOOD.replace(b'"content": "A"', b'"content": "A", "content": "B"'), "duplicate-key"),
        (b"null", "wrong-type"),
        (b"[1]", "wrong-type"),
        (b'{"task": "x"}', "unknown-keys"),
        (b"\xef\xbb\xbf" + GOOD, "not-json"),
        (b"\x1b[2J", "not-json"),
        (b" " * (MAX_ROW + 1) + b"{}", "too-long"),
    ],
)
def test_a_bad_line_is_a_record_of_its_own(tmp_path: Path, bad: bytes, error: str) -> None:
    """The bad line is named with file, line, kind, sentence and sha256; its neighbours are read."""
    first, middle, last = with_bad(tmp_path, bad)
    assert isinstance(first, Row)
    assert isinstance(middle, BadRow)
    assert isinstance(last, Row)
    assert (middle.id, middle.file, middle.line, middle.error) == ("a.jsonl:2", "a.jsonl", 2, error)
    assert middle.sha256 == hashlib.sha256(bad).hexdigest()
    assert middle.detail
    assert middle.detail.isprintable()
    assert last.line == 3


def test_harmless_oddities_are_rows(tmp_path: Path) -> None:
    """Escaped surrogate pairs, NaN, huge exponents and moderate nesting are read, and can be written as JSON again."""
    odd = (
        GOOD[:-1] + b', "x": [NaN, 1e999, -Infinity, "\\ud83d\\ude00 \\\\ud83d"], "y": ' + b"[" * 90 + b"]" * 90 + b"}"
    )
    _, row, _ = with_bad(tmp_path, odd)
    assert isinstance(row, Row)
    assert row.extra["x"] == ["NaN", "1e999", "-Infinity", "\U0001f600 \\ud83d"]
    json.dumps(dict(row.extra), allow_nan=False)


def test_half_a_row_as_json_in_a_cell(tmp_path: Path) -> None:
    """Cells that should hold JSON and do not, and records of another width, are bad rows."""
    file = tmp_path / "t.csv"
    file.write_bytes(b'prompt,response\nQ,A\nQ\nQ,A,B\n"Q\0",A\n"Q,A\nnever closed,x\n')
    first, *bad = read_rows(file)
    assert isinstance(first, Row)
    assert [row.error for row in bad if isinstance(row, BadRow)] == [
        "wrong-field-count",
        "wrong-field-count",
        "nul-byte",
        "unclosed-quote",
    ]
    assert [row.line for row in bad] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (b"[" + GOOD + b"," + GOOD, [None, None, "not-json"]),
        (b"[" + GOOD + b",]", [None, "not-json"]),
        (b"[" + GOOD + b',{"messages": [}, ' + GOOD, [None, "not-json", "not-json"]),
        (b"[" + GOOD + b", oops, " + GOOD + b"]", [None, "not-json", None]),
        (b"[" + GOOD + b"]\n" + GOOD, [None, "not-json"]),
        (b'[{"messages": "', ["not-json", "not-json"]),
    ],
)
def test_broken_arrays_say_where(tmp_path: Path, text: bytes, errors: list[str | None]) -> None:
    """A torn array, a stray comma or text after the end is a bad row; the elements before it are read."""
    file = tmp_path / "a.json"
    file.write_bytes(text)
    assert [row.error if isinstance(row, BadRow) else None for row in read_rows(file)] == errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (GOOD.decode().encode("utf-16-le"), "UTF-16"),
        (b"\x7fELF" + bytes(100), "a program"),
        (bytes(range(256)) * 9, "a binary file"),
        (b"PK\x03\x04....", "zip"),
        (b"Just some words.\nAnd more.\n", "not recognised"),
        (b"id,score\n1,2\n", "found 'id', 'score'; expected 'messages'"),
        (b'{"task": "x"}\n' * 3, "found 'task'; expected"),
        (b'{\n  "train": [\n  ]\n}\n', "one JSON object over several lines"),
        (gzip.compress(GOOD * 1000, mtime=0)[:-20], "cut off or damaged"),
        (b"prompt,response,prompt\na,b,c\n", "stands twice"),
    ],
)
def test_what_is_no_training_data_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Each wrong file gets a sentence of its own, with its path."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_rows(file))
    assert "a.jsonl" in str(caught.value)


def test_wrong_places_are_refused(tmp_path: Path) -> None:
    """A missing path, a folder without data and a form that is none are named."""
    with pytest.raises(InputError, match="does not exist"):
        open_source(tmp_path / "none.jsonl")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no data file.*notes\.txt"):
        open_source(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    with pytest.raises(InputError, match="There is no form 'x'"):
        open_source(tmp_path / "a.jsonl", form="x")


def test_a_file_that_grows_is_read_as_it_was(tmp_path: Path) -> None:
    """Exactly the bytes there at the start are read, and the note says how many came later."""
    file = tmp_path / "a.jsonl"
    file.write_bytes((GOOD + b"\n") * 10)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    source = open_source(file)
    chunks = source.chunks()
    rows = list(next(chunks).rows())
    with file.open("ab") as more:
        more.write(GOOD * 3)
    rows += [row for chunk in chunks for row in chunk.rows()]
    assert len(rows) == 10
    assert source.sha256 == {"a.jsonl": before}
    assert len(source.notes) == 1
    assert "grew while it was read" in source.notes[0]


@pytest.mark.parametrize("later", [b"x" + GOOD[1:] + b"\n", GOOD])
def test_a_file_that_is_rewritten_is_refused(tmp_path: Path, later: bytes) -> None:
    """When bytes that were read are no longer there, reading ends with an error, after all rows."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD + b"\n")
    chunks = open_source(file).chunks()
    assert len(list(next(chunks).rows())) == 1
    file.write_bytes(later)
    with pytest.raises(InputError, match="changed while it was read"):
        list(chunks)


class Endless(io.RawIOBase):
    """A stream made up while it is read: no file of that size is needed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._held = parts, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._held:
            self._held = next(self._parts, b"")
        part, self._held = self._held[: len(buffer)], self._held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def parts(head: bytes, middle: bytes, count: int, tail: bytes) -> io.BufferedReader:
    def generate() -> Iterator[bytes]:
        yield head
        for _ in range(count):
            yield middle
        yield tail

    return io.BufferedReader(Endless(generate()), 1 << 20)


MIB = b"x" * 2**20


@pytest.mark.parametrize(
    ("reader", "head", "tail"),
    [
        (line_chunks, GOOD + b'\n{"text": "', b'"}\r\n' + GOOD),
        (csv_chunks, b'prompt,response\na,b\n"', b'",c\r\nd,e\n'),
        (array_chunks, b"[" + GOOD + b', {"text": "', b'"} ,\n' + GOOD + b"]"),
    ],
)
def test_a_record_of_50_mb_passes_by(reader: object, head: bytes, tail: bytes) -> None:
    """A huge record is a bad row with its sha256, never in memory; the rows around it are read."""
    more = (",",) if reader is csv_chunks else ()
    tracemalloc.start()
    chunks: Iterator[Chunk] = reader(parts(head, MIB, 50, tail), Place("f", None, lambda: 0), *more)  # type: ignore[operator]
    rows = [row for chunk in chunks for row in chunk.rows()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    huge = rows[1]
    assert isinstance(huge, BadRow)
    assert huge.error == "too-long"
    start = {line_chunks: b'{"text": "', csv_chunks: b'"', array_chunks: b'{"text": "'}[reader]  # type: ignore[index]
    end = {line_chunks: b'"}', csv_chunks: b'",c', array_chunks: b'"}'}[reader]  # type: ignore[index]
    assert huge.sha256 == hashlib.sha256(start + MIB * 50 + end).hexdigest()


def test_memory_does_not_grow_with_the_rows() -> None:
    """Four times the rows take no more memory."""

    def peak(count: int) -> int:
        tracemalloc.start()
        stream = parts(GOOD + b"\n", (GOOD.replace(b"Q", b"q" * 5000) + b"\n") * 100, count, GOOD)
        rows = sum(1 for chunk in line_chunks(stream, Place("f", None, lambda: 0)) for _ in chunk.rows())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == count * 100 + 2
        return found

    assert peak(80) < 1.2 * peak(20)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=40) | st.text(max_size=40).map(lambda t: json.dumps({"text": t}).encode()), max_size=9)
)
def test_every_line_is_accounted_for(lines: list[bytes]) -> None:
    """Of any lines, each that is not blank is one row or one bad row."""
    lines = [line.replace(b"\n", b"") for line in lines]
    data = b"\n".join(lines)
    rows = [row for chunk in line_chunks(io.BytesIO(data), Place("f", None, lambda: 0)) for row in chunk.rows()]
    assert [row.line for row in rows] == [n for n, line in enumerate(lines, 1) if line.strip()]


STARTS = st.sampled_from(
    [
        b"",
        b"[",
        b"{",
        b'{"text": "x"}\n',
        b"prompt,response\n",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"PAR1",
        b"ARROW1",
        b"\xff\xff\xff\xff",
    ]
)


@settings(max_examples=300, deadline=None)
@given(STARTS, st.binary(max_size=200) | st.text(alphabet='{}[]",:\\\n\r 1a', max_size=100).map(str.encode))
def test_any_bytes_are_rows_or_one_error(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
    """Whatever a file holds, reading gives rows, bad rows or an InputError, and nothing else."""
    file = tmp_path_factory.mktemp("any") / "a.jsonl"
    file.write_bytes(start + rest)
    with contextlib.suppress(InputError):
        assert all(isinstance(row, Row | BadRow) for row in read_rows(file))
