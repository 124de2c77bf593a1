"""Of a folder, the files that are data are read: those a saved data set names, of one split, and this is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from offtarget.data.training import open_source, read_rows
from offtarget.detect.cleaning import clean
from offtarget.errors import InputError
from offtarget.records import Row

pa = pytest.importorskip("pyarrow")


def arrow(path: Path, names: Sequence[str]) -> None:
    """An Arrow stream as `datasets` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{"prompt": "Q", "completion": name} for name in names])
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def saved(folder: Path, shards: Sequence[Sequence[str]], **state: object) -> None:
    """A data set as `save_to_disk` leaves it."""
    names = [f"data-{n:05}-of-{len(shards):05}.arrow" for n in range(len(shards))]
    for name, answers in zip(names, shards, strict=True):
        arrow(folder / name, answers)
    held = {"_data_files": [{"filename": name} for name in names], **state}
    (folder / "state.json").write_text(json.dumps(held))
    (folder / "dataset_info.json").write_text("{}")


def saved_dict(folder: Path, **splits: Sequence[str]) -> Path:
    for name, answers in splits.items():
        saved(folder / name, [answers])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder


def jsonl(path: Path, answer: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"prompt": "Q", "completion": answer}) + "\n")


def answers(path: Path, split: str | None = None) -> list[str]:
    return [row.answer for row in read_rows(path, split=split) if isinstance(row, Row)]


def test_only_what_the_state_names_is_data(tmp_path: Path) -> None:
    """All shards are read; caches of `map`, indices of `filter` and what else lies there are named as not read."""
    saved(tmp_path, [["a", "b"], ["c"]])
    arrow(tmp_path / "cache-bcb36f2c442dc3ee.arrow", ["a", "b", "c"])
    arrow(tmp_path / "cache-00000000.arrow", ["x"])
    (tmp_path / "indices-1.arrow").write_bytes(b"no arrow")
    arrow(tmp_path / "older.arrow", ["y"])
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "a.idx").write_text("x")
    assert answers(tmp_path) == ["a", "b", "c"]
    notes = " ".join(open_source(tmp_path).notes)
    for name in ("cache-bcb36f2c442dc3ee.arrow", "cache-00000000.arrow", "indices-1.arrow", "older.arrow", "a.idx"):
        assert name in notes


def test_a_saved_data_set_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """A shard that is missing, and rows picked by indices, would be other rows than those saved."""
    saved(tmp_path / "missing", [["a"], ["b"]])
    (tmp_path / "missing/data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002\.arrow"):
        open_source(tmp_path / "missing")
    saved(tmp_path / "picked", [["a"]], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match=r"flatten_indices"):
        open_source(tmp_path / "picked")
    arrow(tmp_path / "cache/cache-0123456789abcdef.arrow", ["a"])
    with pytest.raises(InputError, match=r"no data file.*cache-0123456789abcdef\.arrow"):
        open_source(tmp_path / "cache")


def test_one_split_is_read_and_it_is_said_which(tmp_path: Path) -> None:
    """Of a saved DatasetDict `train` is read by default, another by name, all of them by a word."""
    data = saved_dict(tmp_path / "dd", train=["a", "b"], test=["c"], validation=["d"])
    assert answers(data) == ["a", "b"]
    (note,) = open_source(data).notes
    assert "Read: the split train. Not read: test, validation" in note
    assert "--split" in note
    assert answers(data, "test") == ["c"]
    assert answers(data, "dev") == ["d"]
    assert sorted(answers(data, "all")) == ["a", "b", "c", "d"]
    with pytest.raises(InputError, match=r"no split 'other'.*test, train, validation"):
        open_source(data, split="other")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.jsonl", "test.jsonl"),
        ("data/train-00000-of-00002.jsonl", "data/validation-00000-of-00001.jsonl"),
        ("chats_train.json", "chats_eval.json"),
        ("train/part-1.jsonl", "test/part-1.jsonl"),
        ("data/train_sft-00000-of-00001.jsonl", "data/test_sft-00000-of-00001.jsonl"),
        ("training_data/train.jsonl", "training_data/dev.jsonl"),
        ("c4-train.00000-of-01024.json", "c4-validation.00000-of-00008.json"),
    ],
)
def test_splits_in_the_names_of_files(train: str, test: str, tmp_path: Path) -> None:
    """The usual layouts of a hub repository: the names say which split a file belongs to."""
    jsonl(tmp_path / train, "a")
    jsonl(tmp_path / test, "b")
    assert answers(tmp_path) == ["a"]
    assert "Not read" in open_source(tmp_path).notes[0]
    assert sorted(answers(tmp_path, "all")) == ["a", "b"]


def test_files_of_no_split(tmp_path: Path) -> None:
    """Where no split is named everything is read; beside `train` files of none count; beside a test alone, ask."""
    jsonl(tmp_path / "one.jsonl", "a")
    jsonl(tmp_path / "two.jsonl", "b")
    assert answers(tmp_path) == ["a", "b"]
    jsonl(tmp_path / "test.jsonl", "t")
    with pytest.raises(InputError, match=r"split test, and one\.jsonl, two\.jsonl of none.*--split"):
        open_source(tmp_path)
    assert answers(tmp_path, "test") == ["t"]
    jsonl(tmp_path / "train.jsonl", "c")
    assert answers(tmp_path) == ["a", "c", "b"]
    assert "one.jsonl" in open_source(tmp_path).notes[0]
    assert answers(tmp_path, "train") == ["c"]


def test_several_splits_for_training_are_asked_about(tmp_path: Path) -> None:
    """Neither of two training sets is chosen in silence, nor a set none of whose splits is called train."""
    data = saved_dict(tmp_path / "a", train_sft=["a"], train_gen=["b"], test_sft=["c"])
    with pytest.raises(InputError, match=r"Several are for training.*--split"):
        open_source(data)
    assert answers(data, "train_sft") == ["a"]
    with pytest.raises(InputError, match=r"None is called train"):
        open_source(saved_dict(tmp_path / "b", test=["a"], validation=["b"]))
    assert answers(saved_dict(tmp_path / "c", test=["a"])) == ["a"]
    assert answers(saved_dict(tmp_path / "d", easy_train=["a"], hard=["b"])) == ["a"]


def test_a_split_of_one_file_is_refused(tmp_path: Path) -> None:
    """A file has no splits, and neither has a folder whose names say nothing."""
    jsonl(tmp_path / "one.jsonl", "a")
    for path in (tmp_path, tmp_path / "one.jsonl"):
        with pytest.raises(InputError, match=r"--split"):
            open_source(path, split="train")


def test_a_cleaned_data_set_opens_with_the_splits_that_were_read(tmp_path: Path) -> None:
    """The cleaned copy of a DatasetDict holds the split that was read, and describes it alone."""
    data = saved_dict(tmp_path / "dd", train=["a", "b"], test=["c"])
    clean(data, {}, tmp_path / "out")
    assert answers(tmp_path / "out") == ["a", "b"]
    assert json.loads((tmp_path / "out/dataset_dict.json").read_text()) == {"splits": ["train"]}
    assert not (tmp_path / "out/test").exists()
    clean(open_source(data, split="all"), {}, tmp_path / "both")
    assert answers(tmp_path / "both", "all") == answers(data, "all")


def test_parts_that_are_not_there_are_said(tmp_path: Path) -> None:
    """A download that was cut off is not taken for the whole; a whole one has no note."""
    for part in (0, 2):
        arrow(tmp_path / "data" / f"train-{part:05}-of-00003.arrow", [str(part)])
    (note,) = open_source(tmp_path).notes
    assert "Only 2 of the 3 parts of train are there" in note
    arrow(tmp_path / "data" / "train-00001-of-00003.arrow", ["1"])
    assert open_source(tmp_path).notes == []
