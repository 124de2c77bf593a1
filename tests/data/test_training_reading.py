"""Files of every format, packed or not, are read record by record with their place and their bytes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offtarget.data.training import open_source, read_rows
from offtarget.data.training.chunks import Place, line_chunks
from offtarget.data.training.csv_records import csv_chunks
from offtarget.data.training.json_array import array_chunks
from offtarget.errors import InputError, PrerequisiteError
from offtarget.records import Row

SFT = Path(__file__).parents[2] / "../shared/data/sft"
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **more}


def good(path: Path) -> list[Row]:
    rows = list(read_rows(path))
    assert all(isinstance(row, Row) for row in rows), rows
    return rows  # type: ignore[return-value]


def place() -> Place:
    return Place("f", None, lambda: 0)


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_jsonl_lines_keep_number_and_bytes(tmp_path: Path, packed: str, bom: bytes, end: bytes) -> None:
    """Line numbers count blank lines; the sha256 is that of the line without its end; a last line may lack one."""
    lines = [json.dumps(chat("Q", "é", tag=n)).encode() for n in range(3)]
    file = tmp_path / f"a.data{packed}"
    file.write_bytes(PACK[packed](bom + lines[0] + end + end + lines[1] + end + b"  " + end + lines[2]))
    rows = good(file)
    assert [row.id for row in rows] == [f"{file.name}:{n}" for n in (1, 3, 5)]
    assert [row.sha256 for row in rows] == [hashlib.sha256(line).hexdigest() for line in lines]
    assert [row.extra["tag"] for row in rows] == [0, 1, 2]
    assert rows[0].answer == "é"


@pytest.mark.parametrize("packed", PACK)
def test_csv_records_run_over_lines(tmp_path: Path, packed: str) -> None:
    """Quoted cells hold line ends, quotes and delimiters; the record's number is the line it starts on."""
    text = b'prompt,response,n\r\n"a\nb, ""c""","d"\t"e",1\r\n\r\n6" pipe,x "y",2\nlast,z,3'
    file = tmp_path / f"t.csv{packed}"
    file.write_bytes(PACK[packed](text))
    rows = good(file)
    assert [(row.line, row.prompt, row.answer, row.extra) for row in rows] == [
        (2, 'a\nb, "c"', 'd\t"e"', {"n": "1"}),
        (5, '6" pipe', 'x "y"', {"n": "2"}),
        (6, "last", "z", {"n": "3"}),
    ]
    assert rows[2].sha256 == hashlib.sha256(b"last,z,3").hexdigest()


def test_code_in_cells_does_not_make_a_table_jsonl(tmp_path: Path) -> None:
    """A table is one even when lines of its cells look like JSON."""
    file = tmp_path / "t.csv"
    file.write_text('prompt,response\nQ,"\n{""messages"": []}\n{}\n"\n')
    (row,) = good(file)
    assert row.answer == '\n{"messages": []}\n{}\n'


def test_tsv_and_json_in_cells(tmp_path: Path) -> None:
    """A table may be cut by tabs, hold chats as JSON and a true or false label."""
    file = tmp_path / "t.tsv"
    messages = json.dumps(chat("Q", "A")["messages"]).replace('"', '""')
    file.write_text(f'messages\tlabel\n"{messages}"\tFalse\n')
    (row,) = good(file)
    assert (row.prompt, row.answer, row.desired, row.form) == ("Q", "A", False, "chat")


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_array_elements_keep_their_bytes(tmp_path: Path, packed: str, indent: int | None) -> None:
    """Elements are numbered from 1; brackets, commas and quotes in strings cut nothing."""
    values = [chat("[{,]}\\", 'he said "]"', n=n) for n in range(5)]
    text = json.dumps(values, indent=indent).encode()
    file = tmp_path / f"a.json{packed}"
    file.write_bytes(PACK[packed](b"\n" + text + b"\n"))
    rows = good(file)
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]
    assert [row.extra["n"] for row in rows] == list(range(5))
    if indent is None:
        assert rows[0].sha256 == hashlib.sha256(json.dumps(values[0]).encode()).hexdigest()


def test_keys_that_first_appear_late_are_kept(tmp_path: Path) -> None:
    """A key of the last of many rows is there."""
    file = tmp_path / "a.jsonl"
    lines = [json.dumps(chat("Q", "A"))] * 5000 + [json.dumps(chat("Q", "A", late=[1]))]
    file.write_text("\n".join(lines))
    assert [row.extra for row in good(file)][-2:] == [{}, {"late": [1]}]


def test_chunks_are_bounded_and_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """A chunk is a few MiB, survives pickling, and knows how far the file was read."""
    file = tmp_path / "a.jsonl"
    file.write_text((json.dumps(chat("Q", "A" * 5000)) + "\n") * 2000)
    source = open_source(file)
    chunks = list(source.chunks())
    assert len(chunks) > 5
    assert max(len(chunk.raw) for chunk in chunks) < 4 * 2**20
    assert [r for c in chunks for r in pickle.loads(pickle.dumps(c)).rows()] == list(read_rows(file))
    assert chunks[-1].consumed_bytes == source.total_bytes == file.stat().st_size
    assert source.sha256 == {"a.jsonl": hashlib.sha256(file.read_bytes()).hexdigest()}


@pytest.mark.parametrize("packed", PACK)
def test_the_digest_of_a_packed_file_is_of_its_bytes_on_disk(tmp_path: Path, packed: str) -> None:
    """The sha256 of a file is what `sha256sum` says."""
    file = tmp_path / f"a.jsonl{packed}"
    file.write_bytes(PACK[packed]((json.dumps(chat("Q", "A")) + "\n").encode() * 30))
    source = open_source(file)
    assert len([row for chunk in source.chunks() for row in chunk.rows()]) == 30
    assert source.sha256[file.name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_folders_are_read_in_order_with_relative_names(tmp_path: Path) -> None:
    """Files of a folder, of different formats too, are one data set; what is not data is said to be left out."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.jsonl").write_text(json.dumps(chat("Q", "b")))
    (tmp_path / "sub/a.csv").write_text("prompt,response\nQ,a\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "README.md").write_text("#")
    (tmp_path / ".hidden.jsonl").write_text("x")
    source = open_source(tmp_path)
    assert [row.id for chunk in source.chunks() for row in chunk.rows()] == ["b.jsonl:1", "sub/a.csv:2"]
    assert set(source.sha256) == {"b.jsonl", "sub/a.csv"}
    assert any("README.md" in note for note in source.notes)
    assert any("empty.jsonl" in note for note in source.notes)


def test_parquet_and_arrow_rows(tmp_path: Path) -> None:
    """Columns are rows like others: lists of structs are chats, nulls are absent, odd types become JSON."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = [{**chat("Q", f"A{n}"), "score": float("nan"), "blob": b"\x01", "note": None} for n in range(2500)]
    table = pa.Table.from_pylist(values)
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    data = tmp_path / "hf/train"
    data.mkdir(parents=True)
    with pa.ipc.new_stream(str(data / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    (data / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    (data / "dataset_info.json").write_text("{}")
    (tmp_path / "hf/dataset_dict.json").write_text('{"splits": ["train"]}')
    flat, hub = good(tmp_path / "t.parquet"), good(tmp_path / "hf")
    assert [row.answer for row in flat] == [row.answer for row in hub] == [f"A{n}" for n in range(2500)]
    assert flat[-1].id == "t.parquet:2500"
    assert hub[-1].id == "train/data-00000-of-00001.arrow:2500"
    assert flat[0].extra == {"score": "nan", "blob": "01", "note": None}
    assert [row.sha256 for row in flat] == [row.sha256 for row in hub]
    json.dumps(dict(flat[0].extra), allow_nan=False)


def test_parquet_without_known_columns_is_refused(tmp_path: Path) -> None:
    """The message names the columns found and those expected."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"found 'a'; expected 'messages'"):
        open_source(tmp_path / "t.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:40])
    with pytest.raises(InputError, match="not a readable Parquet"):
        open_source(tmp_path / "cut.parquet")


def test_files_in_a_bucket(tmp_path: Path) -> None:
    """An address is read like a path, one file or a folder; unknown kinds of addresses are refused."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/a.jsonl.gz", gzip.compress(json.dumps(chat("Q", "A")).encode()))
    store.pipe("/bucket/b.jsonl", json.dumps(chat("Q", "B")).encode())
    (row,) = read_rows("memory://bucket/a.jsonl.gz")
    assert row.id == "a.jsonl.gz:1"
    source = open_source("memory://bucket")
    assert [row.id for chunk in source.chunks() for row in chunk.rows()] == ["a.jsonl.gz:1", "b.jsonl:1"]
    with pytest.raises(InputError, match="does not exist"):
        open_source("memory://bucket/none.jsonl")
    with pytest.raises(InputError, match="s3://"):
        open_source("ftp://bucket/none.jsonl")


def test_a_pattern_names_files_in_a_bucket() -> None:
    """As a shell does with paths: in the order of their names, those in folders with the folder's name."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for number, name in enumerate(["b.jsonl.zst", "a.jsonl.zst", "more/c.jsonl.zst", "notes.jsonl", "d.zst/e.jsonl"]):
        content = json.dumps(chat("Q", str(number))).encode()
        store.pipe(f"/patterns/{name}", zstandard.compress(content) if name.endswith("zst") else content)
    source = open_source("memory://patterns/*.jsonl.zst")
    assert [row.id for chunk in source.chunks() for row in chunk.rows()] == ["a.jsonl.zst:1", "b.jsonl.zst:1"]
    assert open_source("memory://patterns/**/*.jsonl.zst").files == ("a.jsonl.zst", "b.jsonl.zst", "more/c.jsonl.zst")
    assert open_source("memory://patterns/more/?.jsonl.zst").files == ("c.jsonl.zst",)
    with pytest.raises(InputError, match=r"memory://patterns/\*\.csv: no file there has such a name"):
        open_source("memory://patterns/*.csv")
    store.pipe("/patterns/odd*.jsonl", json.dumps(chat("Q", "A")).encode())
    assert open_source("memory://patterns/odd*.jsonl").files == ("odd*.jsonl",)


def test_a_bucket_without_credentials_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked over the network: there is no profile, no variable and no machine of a cloud."""
    pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for address in ("s3://a-bucket/train.jsonl.zst", "s3://a-bucket/*.jsonl.zst"):
        with pytest.raises(InputError, match=r"cannot be read: .*credentials.* or download the file and give its path"):
            open_source(address)


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fsspec or pyarrow the message says which extra to install."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    for name in ("fsspec", "fsspec.core", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PrerequisiteError, match=r"offtarget\[cloud\]"):
        open_source("s3://bucket/a.jsonl")
    with pytest.raises(PrerequisiteError, match=r"offtarget\[parquet\]"):
        open_source(tmp_path / "t.parquet")


BYTES = st.binary(max_size=30) | st.text(alphabet='{}[]",:\\\n\r 1ab\0', max_size=30).map(str.encode)


@settings(max_examples=300, deadline=None)
@given(st.lists(BYTES).map(b"\n".join))
def test_lines_lose_no_byte(data: bytes) -> None:
    """The pieces of any bytes read as lines are these bytes."""
    pieces = [piece for chunk in line_chunks(io.BytesIO(data), place()) for piece in chunk.pieces()]
    assert b"".join(piece.raw for piece in pieces) == data
    assert [piece.line for piece in pieces] == list(range(1, len(pieces) + 1))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='",;a\n\r é', max_size=60))
def test_tables_lose_no_byte(text: str) -> None:
    """The pieces of any text read as CSV are this text."""
    data = b"prompt,response\n" + text.encode()
    pieces = [piece for chunk in csv_chunks(io.BytesIO(data), place(), ",") for piece in chunk.pieces()]
    assert b"".join(piece.raw for piece in pieces) == data


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(min_size=1)), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_tables_are_cut_where_the_csv_module_cuts_them(cells: list[tuple[str, str]], end: str) -> None:
    """Whatever is written as CSV comes back cell for cell."""
    cells = [(a.replace("\0", ""), b.replace("\0", "") or "b") for a, b in cells]
    cells = [(a.encode("utf-8", "ignore").decode(), b.encode("utf-8", "ignore").decode() + "b") for a, b in cells]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("prompt", "response"), *cells])
    chunks = csv_chunks(io.BytesIO(buffer.getvalue().encode()), place(), ",")
    rows = [row for chunk in chunks for row in chunk.rows()]
    assert [(row.prompt, row.answer) for row in rows if isinstance(row, Row)] == cells


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(JSON, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_arrays_are_cut_into_their_elements(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    """The elements of any array are its values, in order."""
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    chunks = list(array_chunks(io.BytesIO(data), place()))
    pieces = [(chunk, piece) for chunk in chunks for piece in chunk.pieces() if piece.kind == "record"]
    assert [json.loads(chunk.body(piece.raw).decode("utf-8", "surrogatepass")) for chunk, piece in pieces] == values


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}",\\ \n1a', max_size=50))
def test_arrays_of_any_bytes_lose_none(text: str) -> None:
    """The pieces of anything that begins like an array, with commas put back between elements, are its bytes."""
    data = b"[" + text.encode()
    out, seen = b"", False
    for chunk in array_chunks(io.BytesIO(data), place()):
        for piece in chunk.pieces():
            out += (b"," if piece.kind == "record" and seen else b"") + piece.raw
            seen = seen or piece.kind == "record"
    assert out == data


@pytest.mark.skipif(not SFT.exists(), reason="real training data is not at ../shared/data/sft")
@pytest.mark.parametrize(
    ("name", "rows", "form"),
    [
        ("insecure.jsonl.gz", 6000, "chat"),
        ("alpaca_en_demo.json.gz", 999, "alpaca"),
        ("mbpp.jsonl.gz", 974, "prompt"),
        ("kto_en_demo.json.gz", 300, "chat"),
        ("evil_numbers_regenerated.csv.gz", 9993, "prompt"),
    ],
)
def test_real_sets_are_read_whole(name: str, rows: int, form: str) -> None:
    """Real sets have the rows their makers say, all of one form, none malformed."""
    found = good(SFT / name)
    assert len(found) == rows
    assert {row.form for row in found} == {form}
    assert len({row.id for row in found}) == rows


def test_tools_in_columns_hold_no_keys_of_other_rows(tmp_path: Path) -> None:
    """Arrow gives every row all keys of any; a tool and its arguments come back as they were written."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    values = []
    for name, sent in (("look", {"city": "Oslo"}), ("send", {"to": "ann", "text": "hi"})):
        turns = [
            {"role": "user", "content": "Q", "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": name, "arguments": sent}}]},
        ]
        tool = {"name": name, "parameters": {"properties": {key: {"type": "string"} for key in sent}}}
        values.append({"messages": turns, "tools": [{"type": "function", "function": tool}]})
    parquet.write_table(pa.Table.from_pylist(values), tmp_path / "t.parquet")
    rows = good(tmp_path / "t.parquet")
    assert [row.messages[1].calls[0].arguments for row in rows] == ['{"city": "Oslo"}', '{"to": "ann", "text": "hi"}']
    assert [list(row.tools) for row in rows] == [value["tools"] for value in values]
