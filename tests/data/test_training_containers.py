"""Whatever a file wraps its chats in, it gives the same chats; what cannot be told apart is refused with a way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.data.training import open_source, read_rows
from offtarget.detect.cleaning import clean
from offtarget.detect.ledger import Removal
from offtarget.errors import InputError
from offtarget.records import BadRow, Row

Chat = list[dict[str, str]]


def chat(n: int) -> Chat:
    return [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer [{n}], {{x}}."}]


def lines(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def rows_of(chats: list[Chat]) -> list[dict[str, Chat]]:
    return [{"messages": one} for one in chats]


CONTAINERS: dict[str, tuple[str, Callable[[list[Chat]], str]]] = {
    "an object per line": ("jsonl", lambda chats: lines(rows_of(chats))),
    "a list per line": ("jsonl", lines),
    "one list of rows": ("json", lambda chats: json.dumps(rows_of(chats))),
    "one list of rows over many lines": ("json", lambda chats: json.dumps(rows_of(chats), indent=1)),
    "one list of lists": ("json", json.dumps),
    "one list of lists over many lines": ("json", lambda chats: "\n " + json.dumps(chats, indent=2) + "\n"),
    "rows under data": ("json", lambda chats: json.dumps({"data": rows_of(chats)})),
    "rows under data beside others": (
        "json",
        lambda chats: json.dumps({"version": "a [1]", "data": rows_of(chats), "licence": {"name": "x"}}, indent=2),
    ),
    "rows under train, with a test": (
        "json",
        lambda chats: json.dumps({"train": rows_of(chats), "test": rows_of([chat(99)])}),
    ),
    "lists under messages": ("json", lambda chats: json.dumps({"messages": chats})),
    "lists under conversations": ("json", lambda chats: json.dumps({"conversations": chats}, indent=1)),
    "lists under a name of its own": ("json", lambda chats: json.dumps({"my_chats": chats})),
}
MANY = [chat(n) for n in range(7)]


def answers(path: Path) -> list[str]:
    rows = list(read_rows(path))
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.answer for row in rows if isinstance(row, Row)]


def removal(row: Row | BadRow) -> Removal:
    return Removal(
        row_id=row.id,
        file=row.file,
        line=row.line,
        sha256=row.sha256,
        category="other",
        reason="test",
        decided_by="reviewer ann",
    )


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_chats(name: str, tmp_path: Path) -> None:
    """All chats of a file are read, and nothing around them is taken for one."""
    suffix, write = CONTAINERS[name]
    path = tmp_path / f"data.{suffix}"
    path.write_text(write(MANY))
    assert answers(path) == [f"Answer [{n}], {{x}}." for n in range(7)]
    assert all(row.prompt.startswith("Question") for row in read_rows(path) if isinstance(row, Row))


@pytest.mark.parametrize("name", CONTAINERS)
@settings(max_examples=15)
@given(st.sets(st.integers(0, 6), max_size=6))
def test_cleaning_keeps_the_container(tmp_path_factory: pytest.TempPathFactory, name: str, wanted: set[int]) -> None:
    """A cleaned file is the same container with the other chats; without removals it is the same bytes."""
    suffix, write = CONTAINERS[name]
    folder = tmp_path_factory.mktemp("clean")
    path, out = folder / f"data.{suffix}", folder / f"out.{suffix}"
    path.write_text(write(MANY))
    rows = list(read_rows(path))
    clean(path, {rows[n].id: removal(rows[n]) for n in wanted}, out)
    assert answers(out) == [f"Answer [{n}], {{x}}." for n in range(7) if n not in wanted]
    if not wanted:
        assert out.read_bytes() == path.read_bytes()
    if suffix == "json":
        whole, before = json.loads(out.read_text()), json.loads(path.read_text())
        assert type(whole) is type(before)
        if isinstance(whole, dict):
            assert list(whole) == list(before)
            assert sum(whole[key] != before[key] for key in whole) == bool(wanted)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_turns_is_one_chat(indent: int | None, tmp_path: Path) -> None:
    """A file that holds nothing but the turns of a chat is that chat, and is cleaned as a whole."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps(chat(1) + chat(2), indent=indent))
    (row,) = read_rows(path)
    assert isinstance(row, Row)
    assert [m.role for m in row.messages] == ["user", "assistant", "user", "assistant"]
    clean(path, {}, tmp_path / "out.json")
    assert (tmp_path / "out.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "system", "content": "S"}, *chat(1), {"role": "system", "content": "S"}, *chat(2)],
        [{**turn, "conversation_id": n} for n in range(2) for turn in chat(n)],
    ],
)
def test_a_list_of_the_turns_of_several_chats_is_no_chat(turns: Chat, tmp_path: Path) -> None:
    """Turns of several chats in one list are not read as one long chat."""
    path = tmp_path / "flat.json"
    path.write_text(json.dumps(turns, indent=1))
    (row,) = read_rows(path)
    assert isinstance(row, BadRow)
    assert row.error == "several-chats"
    assert "messages" in row.detail


@pytest.mark.parametrize(
    "turn", [{"role": "user", "content": "Q"}, {"from": "gpt", "value": "A", "conversation_id": 1}]
)
def test_one_turn_per_record_is_refused_with_the_way_out(turn: dict[str, Any], tmp_path: Path) -> None:
    """A line, a record or a column of turns is no row; the sentence says how to make rows of them."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "t.jsonl").write_text(lines([turn, turn]))
    (tmp_path / "t.csv").write_text(",".join(turn) + "\n" + ",".join(map(str, turn.values())) + "\n")
    parquet.write_table(pyarrow.Table.from_pylist([turn]), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.csv", "t.parquet"):
        with pytest.raises(InputError, match=r"a single turn.*put the turns.*into one row") as caught:
            open_source(tmp_path / name)
        assert ("conversation_id" in str(caught.value)) == ("conversation_id" in turn)


def test_a_second_list_of_rows_is_not_passed_over(tmp_path: Path) -> None:
    """Rows under two names of one object: the second is said, not left out in silence."""
    path = tmp_path / "two.json"
    path.write_text(json.dumps({"data": rows_of(MANY[:2]), "examples": rows_of(MANY[2:])}))
    *rows, last = read_rows(path)
    assert len(rows) == 2
    assert isinstance(last, BadRow)
    assert "'examples'" in last.detail


def test_an_object_of_rows_says_what_was_read(tmp_path: Path) -> None:
    """What stands beside the rows is said not to be read."""
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"info": "x", "data": rows_of(MANY)}))
    assert any("'data'" in note and "not read" in note for note in open_source(path).notes)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Q", "completion": "A", "data": [{"text": "T"}]},
        {"messages": chat(1), "examples": [{"prompt": "Q", "completion": "A"}]},
    ],
)
def test_a_row_with_lists_is_a_row(row: dict[str, Any], tmp_path: Path) -> None:
    """A file of one row is not taken for a container because of a list in it."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(row))
    (read,) = read_rows(path)
    assert isinstance(read, Row)
    assert read.answer in ("A", "Answer [1], {x}.")
    assert read.unread in (("data",), ("examples",))


def test_a_cut_off_container_is_malformed(tmp_path: Path) -> None:
    """An end that is missing is a record of its own, as for a bare array."""
    path = tmp_path / "cut.json"
    path.write_text(json.dumps({"data": rows_of(MANY)})[:-9])
    assert isinstance(list(read_rows(path))[-1], BadRow)


def test_lists_that_are_no_chats_are_refused(tmp_path: Path) -> None:
    """Lists of something else in every line are named, not read as elements of one array."""
    path = tmp_path / "rows.jsonl"
    path.write_text(lines([rows_of(MANY[:2]), rows_of(MANY[2:])]))
    with pytest.raises(InputError, match="each line is a list"):
        open_source(path)
