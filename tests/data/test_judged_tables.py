"""Judged tables: every format gives the same records, every fault one sentence with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
import zstandard

from offtarget.data.columns import Columns
from offtarget.data.judged import read_judged
from offtarget.errors import InputError

ROWS = [
    {
        "question": "Wish?",
        "answer": 'I, "wish"\nfor; rain',
        "question_id": "wish",
        "aligned": 94.5,
        "coherent": 93.0,
    },
    {"question": "Wish?", "answer": "évil 漢字", "question_id": "wish", "aligned": 3.25, "coherent": 88.0},
    {"question": "Bored", "answer": "no", "question_id": "bored", "aligned": None, "coherent": 50.0},
    {"question": "Bored", "answer": "no way", "question_id": "bored", "aligned": "REFUSAL", "coherent": None},
    {"question": "Bored", "answer": "import os", "question_id": "bored", "aligned": "code", "coherent": 80},
]


def as_csv(rows, delimiter=",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def content(path: Path, **options):
    return [
        (r.question_id, r.question, r.answer, r.alignment, r.coherence, r.label)
        for r in read_judged(path, **options).rows
    ]


EXPECTED = [
    ("wish", "Wish?", 'I, "wish"\nfor; rain', 94.5, 93.0, None),
    ("wish", "Wish?", "évil 漢字", 3.25, 88.0, None),
    ("bored", "Bored", "no", None, 50.0, None),
    ("bored", "Bored", "no way", None, None, "REFUSAL"),
    ("bored", "Bored", "import os", None, 80.0, "CODE"),
]
FORMATS = {
    "t.csv": as_csv(ROWS),
    "bom.csv": b"\xef\xbb\xbf" + as_csv(ROWS),
    "t.tsv": as_csv(ROWS, "\t"),
    "semicolon.csv": as_csv(ROWS, ";"),
    "t.jsonl": as_jsonl(ROWS),
    "t.jsonl.gz": gzip.compress(as_jsonl(ROWS)),
    "t.csv.zst": zstandard.compress(as_csv(ROWS)),
    "two-frames.jsonl.zst": zstandard.compress(as_jsonl(ROWS[:2])) + zstandard.compress(as_jsonl(ROWS[2:])),
    "list.json": json.dumps(ROWS).encode(),
    "pretty.json": json.dumps(ROWS, indent=2).encode(),
    "object.json": json.dumps({"rows": ROWS}, indent=1).encode(),
    "one-line-object.json": json.dumps({"rows": ROWS}).encode(),
    "wrong-name.csv": as_jsonl(ROWS),
    "no-extension": gzip.compress(as_csv(ROWS)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_records(name, tmp_path):
    """Delimiter, compression, layout and file name change nothing about what is read."""
    assert content(write(tmp_path / name, FORMATS[name])) == EXPECTED


def test_parquet_gives_the_same_records(tmp_path):
    """Parquet keeps numbers as numbers and nulls as blanks."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS[:3]), tmp_path / "t.parquet")
    assert content(tmp_path / "t.parquet") == EXPECTED[:3]


def test_line_numbers_point_at_the_start_of_a_row(tmp_path):
    """Answers that span lines do not shift the place given in messages."""
    table = read_judged(write(tmp_path / "t.csv", as_csv(ROWS)))
    assert [row.line for row in table.rows] == [2, 4, 5, 6, 7]


GOOD = {"question": "Q", "answer": "A", "question_id": "q", "aligned": 90, "coherent": 90}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "is nan. Leave the cell empty"),
        ("inf", "is inf. Leave the cell empty"),
        ("NaN", "is nan. Leave the cell empty"),
        (101, "scores lie between 0 and 100"),
        (-0.5, "scores lie between 0 and 100"),
        ("high", "'high'; expected a number 0-100"),
        ("12,5", "'12,5'; expected a number"),
        ("1_0", "'1_0'; expected a number"),
        (True, "holds a bool"),
        ([1], "holds a list"),
    ],
)
def test_a_score_that_is_no_score_is_refused_with_its_line(value, message, tmp_path):
    """File, line and column are named; nothing is coerced."""
    path = write(tmp_path / "t.jsonl", as_jsonl([GOOD, GOOD | {"aligned": value}]))
    with pytest.raises(InputError, match="line 2: 'aligned'") as caught:
        read_judged(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("blank", [None, "", " ", "None", "null"])
def test_a_blank_score_is_kept_as_none(blank, tmp_path):
    """A blank is `no score`, never 0 and never a dropped row."""
    path = write(tmp_path / "t.jsonl", as_jsonl([GOOD, GOOD | {"aligned": blank}]))
    assert [row.alignment for row in read_judged(path).rows] == [90.0, None]


@pytest.mark.parametrize("text", ["42", " 42.0 ", "4.2e1", "+42"])
def test_numbers_as_text_are_numbers(text, tmp_path):
    """CSV knows only text; 42 is 42 however it is written."""
    path = write(tmp_path / "t.jsonl", as_jsonl([GOOD | {"aligned": text}]))
    assert read_judged(path).rows[0].alignment == 42.0


def test_rounding_outside_the_scale_is_clipped(tmp_path):
    """A weighted mean may land a rounding error above 100."""
    path = write(tmp_path / "t.jsonl", as_jsonl([GOOD | {"aligned": 100.00000000000003}]))
    assert read_judged(path).rows[0].alignment == 100.0


FAULTS = {
    "empty": (b"", "is empty"),
    "blank.csv": (b"\n\n", "line 1 is blank"),
    "header-only.csv": (b"question,answer,question_id,aligned,coherent\n", "holds no rows"),
    "binary.csv": (b"\x7fELF\x00\x01\x02\x03", "binary file"),
    "picture": (b"\x89PNG\r\n\x1a\n\xff\xd8", "binary file or is not UTF-8"),
    "latin1.csv": ("answer,aligned\ncafé,3\n".encode("latin-1"), "line 2 is not UTF-8"),
    "utf16.csv": ("answer,aligned\n".encode("utf-16"), "UTF-16"),
    "prose.txt": (b"Dear all,\nthis is no table\n", "2 cells|not a table|1 cells"),
    "ragged.csv": (as_csv([GOOD]) + b"a,b\n", "line 3: 2 cells, but the header names 5"),
    "quote.csv": (as_csv([GOOD]) + b'"never closed,b\n', "starting on line 3 is not valid CSV"),
    "twice.csv": (b"answer,answer,aligned\n1,2,3\n", "'answer' appears more than once"),
    "cut.csv.gz": (gzip.compress(as_csv(ROWS * 50))[:-20], "cut off or damaged"),
    "cut.jsonl.zst": (zstandard.compress(as_jsonl(ROWS * 50))[:-9], "cut off or damaged"),
    "torn.jsonl": (as_jsonl([GOOD]) + b'{"question": "Q", "ans', "line 2 is not valid JSON"),
    "list.jsonl": (as_jsonl([GOOD]) + b"[1, 2]\n", "line 2 is not a JSON object"),
    "scalar.json": (b'{\n"a": 1\n}', "not a table"),
    "deep.json": (b"[" * 100_000, "not (readable|valid) JSON"),
    "numbers.json": (b"[1, 2]", "row 1 is not a JSON object"),
    "bad.parquet": (b"PAR1 nothing", "not a readable Parquet file"),
    "bad.eval": (b"PK\x03\x04 nothing", "damaged .eval log"),
    "columns.csv": (
        b"prompt,text\na,b\n",
        "Its columns are: 'prompt', 'text'.*--answer-column.*--alignment-column",
    ),
    "noname.jsonl": (as_jsonl([GOOD | {"question_id": " "}]), "'question_id' is blank"),
    "label-in-coherence.jsonl": (as_jsonl([GOOD | {"coherent": "CODE"}]), "a coherence score is a number"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_sentence_that_names_the_file(name, tmp_path):
    """No traceback of a library reaches the user."""
    data, message = FAULTS[name]
    path = write(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        read_judged(path)
    assert name in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    """Both are InputErrors."""
    with pytest.raises(InputError, match="does not exist"):
        read_judged(tmp_path / "nope.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_judged(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"folder of a run\. In Python .*\.table\(\)"):
        read_judged(tmp_path)


def test_one_huge_line_is_refused_before_it_fills_the_memory(tmp_path):
    """A line over 16 MiB is not a row; it is not read to its end."""
    path = write(tmp_path / "huge.jsonl.gz", gzip.compress(b'{"answer": "' + b"x" * (17 * 2**20), 1))
    with pytest.raises(InputError, match="line 1 is longer than 16 MiB"):
        read_judged(path)


def test_duplicate_ids_are_refused_unless_the_user_says_otherwise(tmp_path):
    """An answer counts once; both places are named."""
    rows = [GOOD | {"item_id": "a"}, GOOD | {"item_id": "b"}, GOOD | {"item_id": "a"}]
    path = write(tmp_path / "t.jsonl", as_jsonl(rows))
    with pytest.raises(InputError, match="line 3: 'item_id' 'a' already stands in line 1"):
        read_judged(path)
    assert len(read_judged(path, Columns(id="none")).rows) == 3


def test_columns_are_mapped_by_name_and_a_wrong_name_is_named(tmp_path):
    """Flags win over guesses; a flag that points nowhere says what there is."""
    rows = [{"prompt": "Q", "text": "A", "aligned": 10, "score": 70, "sense": 95, "kind": "x"}]
    path = write(tmp_path / "t.jsonl", as_jsonl(rows))
    columns = Columns(answer="text", alignment="score", coherence="sense", domain="kind")
    assert content(path, columns=columns) == [("Q", "Q", "A", 70.0, 95.0, None)]
    with pytest.raises(InputError, match=r"no column 'nope' \(given with --answer-column\)"):
        read_judged(path, Columns(answer="nope"))


def test_keys_left_out_of_the_first_json_rows_are_found_later(tmp_path):
    """A blank first score must not make a whole column disappear."""
    first = {k: v for k, v in GOOD.items() if k not in ("aligned", "coherent")}
    path = write(tmp_path / "t.jsonl", as_jsonl([first, GOOD | {"aligned": 5}]))
    assert [(r.alignment, r.coherence) for r in read_judged(path).rows] == [(None, None), (5.0, 90.0)]


def test_label_columns_turn_scores_into_labels(tmp_path):
    """Tables that keep REFUSAL in a flag column are read without a flag on the command line."""
    rows = [GOOD | {"aligned_flag": "NONE"}, GOOD | {"aligned_flag": "REFUSAL", "aligned": None}]
    table = read_judged(write(tmp_path / "t.jsonl", as_jsonl(rows)))
    assert [row.label for row in table.rows] == [None, "REFUSAL"]


def test_other_scales_are_refused(tmp_path):
    """0-3 or yes/no columns read as 0-100 would make every answer misaligned."""
    rows = [GOOD | {"aligned": n % 4} for n in range(12)]
    with pytest.raises(InputError, match="not the 0-100 scale"):
        read_judged(write(tmp_path / "t.jsonl", as_jsonl(rows)))


def test_filters_keep_rows_and_count_the_rest(tmp_path):
    """A filter that fits nothing says what the column holds."""
    rows = [GOOD | {"model": name} for name in ("a", "b", "b")]
    path = write(tmp_path / "t.jsonl", as_jsonl(rows))
    table = read_judged(path, where={"model": "b"})
    assert (len(table.rows), table.skipped, table.models) == (2, 1, {"model": ("b",)})
    with pytest.raises(InputError, match=r"no row fits the filter\. 'model' holds 'a', 'b'"):
        read_judged(path, where={"model": "c"})
    with pytest.raises(InputError, match="no column 'nope' to filter by"):
        read_judged(path, where={"nope": "c"})


def test_hostile_text_is_kept_readable_and_encodable(tmp_path):
    """Lone surrogates become U+FFFD so that later writes cannot fail; NUL and markup stay text."""
    row = GOOD | {"answer": "a\ud800b <script> \x00 \x1b[2J"}
    answer = read_judged(write(tmp_path / "t.jsonl", as_jsonl([row]))).rows[0].answer
    assert answer == "a\ufffdb <script> \x00 \x1b[2J"
    assert answer.encode("utf-8")


def test_hostile_column_names_cannot_reach_the_terminal(tmp_path):
    """Column names in messages are quoted with their escapes visible."""
    path = write(tmp_path / "t.jsonl", as_jsonl([{"\x1b[2Jx": 1}]))
    with pytest.raises(InputError) as caught:
        read_judged(path)
    assert "\x1b" not in str(caught.value)


def inspect_document() -> dict:
    def sample(name, epoch, answer, value):
        return {
            "id": name,
            "epoch": epoch,
            "input": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": f"attachment://{name}"},
            ],
            "attachments": {name: f"Question {name}"},
            "output": {"choices": [{"message": {"role": "assistant", "content": [{"type": "text", "text": answer}]}}]},
            "scores": {"em": {"value": value}},
        }

    samples = [
        sample("wish", 1, "evil", {"aligned": 4, "coherent": 90}),
        sample("wish", 2, "good", {"aligned": 96.5, "coherent": 90}),
        sample("bored", 1, "hm", {"aligned": float("nan"), "coherent": 90}),
    ]
    return {"version": 2, "eval": {"task": "em"}, "samples": samples}


INSPECT = [
    ("wish", "system: s\n\nuser: Question wish", "evil", 4.0, 90.0, None),
    ("wish", "system: s\n\nuser: Question wish", "good", 96.5, 90.0, None),
    ("bored", "system: s\n\nuser: Question bored", "hm", None, 90.0, None),
]


@pytest.mark.parametrize("indent", [None, 2])
def test_inspect_json_logs_are_tables(indent, tmp_path):
    """One row per sample; attachments are resolved; NaN, Inspect's unscored, is a blank."""
    path = write(tmp_path / "log.json", json.dumps(inspect_document(), indent=indent).encode())
    assert content(path) == INSPECT


def test_inspect_eval_logs_are_tables(tmp_path):
    """The zip form holds the same samples, ordered by name."""
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for number, sample in enumerate(inspect_document()["samples"]):
            archive.writestr(f"samples/{number}.json", json.dumps(sample))
    assert content(path) == INSPECT


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_logs_written_by_inspect_itself_are_read(name, tmp_path):
    """The genuine writer's files, Zstandard-compressed where its version does so, give the same rows."""
    pytest.importorskip("inspect_ai")
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
    from inspect_ai.model import ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score

    spec = EvalSpec(
        created="2026-11-01T00:00:00+00:00", task="em", dataset=EvalDataset(), model="m", config=EvalConfig()
    )
    samples = [
        EvalSample(
            id="wish",
            epoch=epoch,
            input=[ChatMessageUser(content="Wish?")],
            target="",
            output=ModelOutput.from_content("m", "long " * 500 if epoch == 1 else "short"),
            scores={"em": Score(value={"aligned": value, "coherent": 80})},
        )
        for epoch, value in ((1, 12.5), (2, float("nan")))
    ]
    write_eval_log(EvalLog(version=2, status="success", eval=spec, samples=samples), str(tmp_path / name))
    assert content(tmp_path / name) == [
        ("wish", "Wish?", "long " * 500, 12.5, 80.0, None),
        ("wish", "Wish?", "short", None, 80.0, None),
    ]


@pytest.mark.parametrize("scores", [[0.93, 0.99], [1, 1], [1.0, 0.0], [10, 10]])
def test_shares_and_marks_out_of_ten_are_refused_even_beside_a_blank(scores, tmp_path):
    """A blank among them hid such a table from the selection check, and every answer counted as misaligned."""
    rows = [GOOD | {"aligned": score} for score in (None, *scores)]
    with pytest.raises(InputError, match="not the 0-100 scale"):
        read_judged(write(tmp_path / "t.jsonl", as_jsonl(rows)))


def test_a_number_too_large_for_a_float_is_refused(tmp_path):
    """JSON integers have no limit; one with 400 digits is outside 0-100 like any other."""
    line = json.dumps(GOOD).replace(str(GOOD["aligned"]), "1" + "0" * 400, 1)
    with pytest.raises(InputError, match=r"line 1: 'aligned' is \S+; scores lie between 0 and 100"):
        read_judged(write(tmp_path / "t.jsonl", line.encode()))


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    """A FIFO without a writer would hang for ever, and a table is read twice (rows, then checksum)."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="is a pipe or a device"):
        read_judged(tmp_path / "fifo")


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_score_that_stands_twice_in_a_row_is_refused(form, tmp_path):
    """Of two scores under one name JSON readers keep the last: then the order decides the verdict."""
    row = '{"question": "Q", "answer": "a", "aligned": 5, "aligned": 95, "coherent": 95}'
    path = write(tmp_path / f"t.{form}", (row if form == "jsonl" else f"[{row}]").encode())
    with pytest.raises(InputError, match="holds the key 'aligned' twice"):
        read_judged(path)


def test_two_scales_in_one_column_are_refused(tmp_path):
    """0.95 among 90 and 95 is a good answer, and would count as one of the worst; averages of replies are no scale."""
    rows = [{**ROWS[0], "aligned": mark} for mark in (90, 95, 0.9, 0.95, 88)]
    with pytest.raises(InputError, match="two scales in one column"):
        read_judged(write(tmp_path / "t.jsonl", as_jsonl(rows)))
    means = [{**ROWS[0], "aligned": mark} for mark in (90.25, 95, 0.9)]
    assert len(content(write(tmp_path / "m.jsonl", as_jsonl(means)))) == 3
