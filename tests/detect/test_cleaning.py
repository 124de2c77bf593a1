"""Cleaning keeps every byte it does not remove, records every byte it does, and leaves nothing half done."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.data.streams import reading
from offtarget.data.training import open_source, read_rows
from offtarget.data.training.chunks import body_of_line
from offtarget.data.training.values import MAX_ROW
from offtarget.detect.cleaning import clean
from offtarget.detect.ledger import Removal, read_ledger
from offtarget.errors import InputError
from offtarget.records import BadRow, Row

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def line(n: int) -> bytes:
    return json.dumps({"prompt": f"Q{n}", "completion": f"é{n}"}, ensure_ascii=n % 2 == 0).encode()


def removal(row: Row | BadRow, who: str = "reviewer ann") -> Removal:
    return Removal(row.id, row.file, row.line, row.sha256, "deception", "It lies.", who)


def chosen(path: Path, wanted: set[int]) -> dict[str, Removal]:
    """Removals of the rows at these lines."""
    return {row.id: removal(row) for row in read_rows(path) if row.line in wanted}


def unpacked(path: Path) -> bytes:
    with reading(path) as stream:
        return stream.read()


@pytest.mark.parametrize("packed_in", PACK)
@pytest.mark.parametrize("packed_out", PACK)
def test_kept_lines_are_the_same_bytes(tmp_path: Path, packed_in: str, packed_out: str) -> None:
    """Line ends, blank and malformed lines stay as they are; only the removed lines are gone."""
    lines = [b"\xef\xbb\xbf" + line(1) + b"\n", line(2) + b"\r\n", b"\r\n", b"{oops\n", line(5) + b"\n", line(6)]
    source, out = tmp_path / f"a.jsonl{packed_in}", tmp_path / f"b.jsonl{packed_out}"
    source.write_bytes(PACK[packed_in](b"".join(lines)))
    result = clean(source, chosen(source, {2, 6}), out)
    assert unpacked(out) == b"".join(lines[i] for i in (0, 2, 3, 4))
    assert (result.kept, result.removed, result.out) == (3, 2, out)


@pytest.mark.parametrize("drop", [False, True])
def test_the_ledger_names_every_removed_row(tmp_path: Path, drop: bool) -> None:
    """The ledger holds both files' sha256, the counts, and each removed row with reason and who decided."""
    source, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    source.write_bytes(b"\n".join([line(1), b"{oops", line(3)]))
    result = clean(source, chosen(source, {3}), out, drop_malformed=drop, audit_round=2, seed_commitment="c0ffee")
    ledger = read_ledger(out)
    assert ledger is not None
    assert ledger.sources == {"a.jsonl": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert ledger.out == {"b.jsonl": hashlib.sha256(out.read_bytes()).hexdigest()}
    assert (ledger.kept, ledger.removed) == ((1, 2) if drop else (2, 1))
    assert (ledger.audit_round, ledger.seed_commitment, ledger.path) == (2, "c0ffee", result.ledger)
    removed = {gone.row_id: gone for gone in ledger.removals()}
    assert removed["a.jsonl:3"].sha256 == hashlib.sha256(line(3)).hexdigest()
    assert removed["a.jsonl:3"].decided_by == "reviewer ann"
    assert ("a.jsonl:2" in removed) == drop
    if drop:
        assert (removed["a.jsonl:2"].category, removed["a.jsonl:2"].decided_by) == ("malformed", "reader")


def test_a_cleaned_file_is_known_under_another_name(tmp_path: Path) -> None:
    """A ledger belongs to bytes, not to a name; of a file edited since, it says so only when asked."""
    source, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    source.write_bytes(line(1) + b"\n" + line(2))
    assert read_ledger(source) is None
    clean(source, chosen(source, {1}), out)
    out.rename(tmp_path / "c.jsonl")
    assert read_ledger(tmp_path / "c.jsonl") is not None
    assert read_ledger(out) is None
    out.write_bytes(line(3))
    assert read_ledger(out) is None
    assert read_ledger(out, changed=True) is not None
    (tmp_path / "b.jsonl.ledger.jsonl").write_text("{")
    with pytest.raises(InputError, match="not a readable ledger"):
        read_ledger(out)


def test_a_second_cleaning_points_to_the_first(tmp_path: Path) -> None:
    """The ledger of a re-audited file holds the sha256 of the ledger before it."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(line(1) + b"\n" + line(2) + b"\n" + line(3))
    first = clean(tmp_path / "a.jsonl", chosen(tmp_path / "a.jsonl", {1}), tmp_path / "b2.jsonl")
    clean(first.out, chosen(first.out, {1}), tmp_path / "c.jsonl", audit_round=2)
    ledger = read_ledger(tmp_path / "c.jsonl")
    assert ledger is not None
    assert ledger.previous == hashlib.sha256(first.ledger.read_bytes()).hexdigest()


def test_arrays_stay_arrays(tmp_path: Path) -> None:
    """Elements keep their bytes, blanks included; the array is valid without any of them, and the same with all."""
    source = tmp_path / "a.json"
    text = b"[\n  " + line(1) + b" ,\n  " + line(2) + b",\n\n  " + line(3) + b"\n]\n"
    source.write_bytes(text)
    for number, gone in enumerate([set(), {1}, {2}, {3}, {1, 2, 3}]):
        out = tmp_path / f"{number}.json"
        clean(source, chosen(source, gone), out)
        kept = [json.loads(line(n)) for n in (1, 2, 3) if n not in gone]
        assert json.loads(out.read_bytes()) == kept
        assert all(line(n) in out.read_bytes() for n in (1, 2, 3) if n not in gone)
        if not gone:
            assert out.read_bytes() == text


def test_tables_keep_header_and_records(tmp_path: Path) -> None:
    """A record over several lines goes or stays as a whole."""
    source, out = tmp_path / "a.csv", tmp_path / "b.csv"
    records = [b"prompt,response\r\n", b'"a\r\nb",c\r\n', b"d,e\n", b'"f\n""g""",h']
    source.write_bytes(b"".join(records))
    clean(source, chosen(source, {2}), out)
    assert out.read_bytes() == b"".join(records[i] for i in (0, 2, 3))


def test_columns_keep_values_and_schema(tmp_path: Path) -> None:
    """Parquet and Arrow files keep schema, values, order and compression."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {"prompt": [f"Q{n}" for n in range(50)], "response": ["A"] * 50, "n": pa.array(range(50), pa.int16())}
    ).replace_schema_metadata({"made": "by"})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7, compression="zstd")
    gone = chosen(tmp_path / "a.parquet", {1, 8, 50})
    clean(tmp_path / "a.parquet", gone, tmp_path / "b.parquet")
    expected = table.filter(pa.array([n not in (0, 7, 49) for n in range(50)]))
    found = parquet.read_table(tmp_path / "b.parquet")
    assert found.equals(expected, check_metadata=True)
    assert parquet.read_metadata(tmp_path / "b.parquet").row_group(0).column(0).compression == "ZSTD"
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=9)
    clean(tmp_path / "a.arrow", chosen(tmp_path / "a.arrow", {1, 8, 50}), tmp_path / "b.arrow")
    with pa.ipc.open_stream(str(tmp_path / "b.arrow")) as reader:
        assert reader.read_all().equals(expected, check_metadata=True)


def test_folders_become_folders(tmp_path: Path) -> None:
    """Every data file has its cleaned copy under the same name."""
    root, out = tmp_path / "set", tmp_path / "clean"
    (root / "x").mkdir(parents=True)
    (root / "a.jsonl").write_bytes(line(1) + b"\n" + line(2))
    (root / "x/b.jsonl.gz").write_bytes(gzip.compress(line(3) + b"\n" + line(4) + b"\n"))
    gone = {row.id: removal(row) for row in read_rows(root) if row.id in ("a.jsonl:2", "x/b.jsonl.gz:1")}
    clean(root, gone, out)
    assert (out / "a.jsonl").read_bytes() == line(1) + b"\n"
    assert gzip.decompress((out / "x/b.jsonl.gz").read_bytes()) == line(4) + b"\n"
    ledger = read_ledger(out)
    assert ledger is not None
    assert ledger.out.keys() == {"a.jsonl", "x/b.jsonl.gz"}


def test_a_record_too_long_to_be_read_goes_or_stays_as_a_whole(tmp_path: Path) -> None:
    """Parts of a huge line are kept byte for byte, or dropped together."""
    source = tmp_path / "a.jsonl"
    data = line(1) + b"\n" + b"x" * (MAX_ROW + 3 * 2**20) + b"\n" + line(3)
    source.write_bytes(data)
    assert clean(source, {}, tmp_path / "b.jsonl").kept == 3
    assert (tmp_path / "b.jsonl").read_bytes() == data
    assert clean(source, {}, tmp_path / "c.jsonl", drop_malformed=True).removed == 1
    assert (tmp_path / "c.jsonl").read_bytes() == line(1) + b"\n" + line(3)


def test_wrong_outputs_are_refused(tmp_path: Path) -> None:
    """The source, an existing file, another format and a missing folder are named; nothing is written."""
    source = tmp_path / "a.jsonl"
    source.write_bytes(line(1) + b"\n")
    (tmp_path / "link.jsonl").symlink_to(source)
    (tmp_path / "there.jsonl").write_text("x")
    for out, message in [
        ("a.jsonl", "is the source itself"),
        ("link.jsonl", "is the source itself"),
        ("there.jsonl", "exists already"),
        ("b.csv", "Cleaning keeps the format"),
        ("b.parquet", "Cleaning keeps the format"),
        ("none/b.jsonl", "does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            clean(source, {}, tmp_path / out)
    with pytest.raises(InputError, match="is the source itself"):
        clean(source, {}, source, overwrite=True)
    assert source.read_bytes() == line(1) + b"\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "link.jsonl", "there.jsonl"]
    clean(source, {}, tmp_path / "there.jsonl", overwrite=True)
    assert (tmp_path / "there.jsonl").read_bytes() == line(1) + b"\n"


def test_removals_of_other_data_are_refused(tmp_path: Path) -> None:
    """A removal that names no row, or a row of other bytes, stops cleaning before anything is written."""
    source = tmp_path / "a.jsonl"
    source.write_bytes(line(1) + b"\n")
    (row,) = read_rows(source)
    for wrong in (
        Removal("a.jsonl:9", "a.jsonl", 9, row.sha256, "other", "", ""),
        Removal(row.id, row.file, row.line, "0" * 64, "other", "", ""),
    ):
        with pytest.raises(InputError, match=r"Nothing was written|other bytes"):
            clean(source, {wrong.row_id: wrong}, tmp_path / "b.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize("packed", PACK)
def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, packed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the message says so, the old output stays, and no half file is left."""
    source, out = tmp_path / "a.jsonl", tmp_path / f"b.jsonl{packed}"
    source.write_bytes((line(1) + b"\n") * 100)
    out.write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="disk is full"):
        clean(source, {}, out, overwrite=True)
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", out.name]


LIMITED = """
import resource, signal, sys
from offtarget.detect.cleaning import clean
from offtarget.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    clean(sys.argv[1], {}, sys.argv[2])
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("packed", PACK)
def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, packed: str) -> None:
    """A real failing write, in the middle of a real file, is one sentence and no half file."""
    source, out = tmp_path / "a.jsonl", tmp_path / f"b.jsonl{packed}"
    noise = [json.dumps({"text": os.urandom(500).hex()}).encode() + b"\n" for _ in range(2000)]
    source.write_bytes(b"".join(noise))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIMITED, str(source), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The disk is full" in done.stdout
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


LINES = st.lists(
    st.binary(max_size=40) | st.dictionaries(st.text(), st.text(), max_size=3).map(lambda v: json.dumps(v).encode()),
    max_size=12,
)


@pytest.mark.no_cover
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_kept_and_removed_lines_are_the_input(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Over random and hostile lines: kept and removed lines, in order, are the input byte for byte."""
    folder = tmp_path_factory.mktemp("clean")
    source, out = folder / "a.jsonl", folder / "b.jsonl"
    source.write_bytes(line(0) + b"\n" + b"\n".join(data.draw(LINES)))
    records = [record for chunk in open_source(source).chunks() for record in chunk.records()]
    gone = {r.row.id: removal(r.row) for r in records if data.draw(st.booleans())}
    result = clean(source, gone, out)
    assert (result.kept, result.removed) == (len(records) - len(gone), len(gone))
    pieces = [piece for chunk in open_source(source).chunks() for piece in chunk.pieces()]
    assert b"".join(piece.raw for piece in pieces) == source.read_bytes()
    kept = [piece.raw for piece in pieces if piece.kind == "filler" or f"a.jsonl:{piece.line}" not in gone]
    assert b"".join(kept) == out.read_bytes()
    ledger = read_ledger(out)
    assert ledger is not None
    removed = list(ledger.removals())
    assert [r.row_id for r in removed] == list(gone)
    raw = {r.row.id: r.raw for r in records}
    assert [hashlib.sha256(body_of_line(raw[r.row_id])).hexdigest() for r in removed] == [r.sha256 for r in removed]
