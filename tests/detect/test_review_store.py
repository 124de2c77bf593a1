"""Labels on disk: nothing said is lost, nothing is said twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records import Category, Label, Mark
from offtarget.review.store import LabelStore, Leases


def said(row: str, mark: Mark = "ok", who: str = "Ada", note: str = "") -> Label:
    return Label(row, who, mark, Category.DECEPTION if mark == "bad" else None, "random", note, 1.5)


def test_last_word_counts_and_history_keeps_all(tmp_path: Path) -> None:
    """A correction is a further row; the current labels hold the last word, the first words stay readable."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add(said("a:1"))
    store.add(said("a:2", "bad"))
    store.add(said("a:1", "bad"))
    assert [(x.row_id, x.mark) for x in store.labels()] == [("a:1", "bad"), ("a:2", "bad")]
    assert [(x.row_id, x.mark) for x in store.first_labels()] == [("a:1", "ok"), ("a:2", "bad")]
    assert len(store.history()) == 3


def test_a_planted_row_found_after_the_evidence_was_not_found(tmp_path: Path) -> None:
    """The verdict rests on the first word on a planted row and on the last word on any other."""
    store = LabelStore(tmp_path / "labels.sqlite")
    for row, stream in (("control:x", "control"), ("a:1", "random")):
        store.add(Label(row, "Ada", "ok", None, stream))
        store.add(Label(row, "Ada", "bad", Category.DECEPTION, stream))
    assert {x.row_id: x.mark for x in store.counting()} == {"control:x": "ok", "a:1": "bad"}


def test_undo_restores_what_was_before(tmp_path: Path) -> None:
    """Undo takes back a correction first, then the label itself, then says that nothing is left; it deletes nothing."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add(said("a:1"))
    store.add(said("b:1", who="Ben"))
    store.add(said("a:1", "bad"))
    undone = store.undo("Ada")
    assert undone is not None
    assert undone.mark == "bad"
    assert [x.mark for x in store.labels() if x.reviewer == "Ada"] == ["ok"]
    assert store.undo("Ada") is not None
    assert store.undo("Ada") is None
    assert [x.reviewer for x in store.labels()] == ["Ben"]
    assert [e.kind for e in store.history()] == ["label", "label", "label", "undo", "undo"]


def test_same_nonce_is_saved_once(tmp_path: Path) -> None:
    """A form that is sent twice is one label; the same nonce of another person or row is another label."""
    store = LabelStore(tmp_path / "labels.sqlite")
    assert store.add(said("a:1"), "n1")
    assert not store.add(said("a:1", "bad"), "n1")
    assert store.add(said("a:1", who="Ben"), "n1")
    assert store.add(said("a:2"), "n1")
    assert [x.mark for x in store.labels()] == ["ok", "ok", "ok"]


def test_stream_of_a_row_moves_with_later_labels(tmp_path: Path) -> None:
    """Once a row's turn in the random order has come, earlier and later labels of it count as random."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add(Label("a:1", "Ada", "ok", None, "flagged"))
    store.restream("a:1", "random")
    store.add(Label("a:1", "Ben", "ok", None, "double"))
    assert {x.stream for x in store.labels()} == {"random"}
    assert {x.stream for x in store.first_labels()} == {"random"}


@given(st.text(min_size=1), st.text(), st.floats(0, 3600))
@settings(max_examples=30, deadline=None)
def test_any_text_comes_back_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, row: str, note: str, seconds: float
) -> None:
    """Row ids and notes with NUL, surrogates or quotes survive the file."""
    store = LabelStore(tmp_path_factory.mktemp("text") / "labels.sqlite")
    label = Label(row + "\udc80", "Ada", "bad", Category.OTHER, "random", note, seconds, "2026-01-01T00:00:00+00:00")
    store.add(label)
    assert store.labels() == [label]


def test_several_connections_lose_nothing(tmp_path: Path) -> None:
    """Two stores on one file, eight threads: every label arrives."""
    stores = [LabelStore(tmp_path / "labels.sqlite"), LabelStore(tmp_path / "labels.sqlite")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].add(said(f"a:{n}")), range(100)))
    assert {x.row_id for x in stores[0].labels()} == {f"a:{n}" for n in range(100)}


def test_kill_loses_no_label(tmp_path: Path) -> None:
    """Every label that a process reported as saved is there after kill -9."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom offtarget.review.store import LabelStore\n"
        "from offtarget.records import Label\nstore = LabelStore(Path(sys.argv[1]))\nn = 0\n"
        "while True:\n    store.add(Label(f'a:{n}', 'Ada', 'ok', None, 'random'))\n"
        "    print(n, flush=True)\n    n += 1\n"
    )
    path = tmp_path / "labels.sqlite"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(25):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
    last = max([last, *(int(n) for n in rest if n.isdigit())])
    saved = {x.row_id for x in LabelStore(path).labels()}
    assert {f"a:{n}" for n in range(last + 1)} <= saved


def test_what_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    """A file that is no database, or a folder that is missing, gives InputError with the path."""
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"this is no database, only a text that is long enough to be looked at" * 20)
    with pytest.raises(InputError, match=r"labels\.sqlite"):
        LabelStore(path)
    with pytest.raises(InputError, match="missing"):
        LabelStore(tmp_path / "missing" / "labels.sqlite")


def test_full_disk_refuses_the_label_and_keeps_the_others(tmp_path: Path) -> None:
    """When the file cannot grow the label is refused with InputError, and what was saved is still there."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add(said("a:1"))
    store._database._connection.execute("PRAGMA max_page_count=6")
    with pytest.raises(InputError, match="full"):
        store.add(said("a:2", note="x" * 100_000))
    assert [x.row_id for x in store.labels()] == ["a:1"]


def test_file_is_write_ahead_and_fully_synchronous(tmp_path: Path) -> None:
    """The journal is a WAL and every commit waits for the disk."""
    store = LabelStore(tmp_path / "labels.sqlite")
    assert store._database.read("PRAGMA synchronous") == [(2,)]
    store.close()
    other = sqlite3.connect(tmp_path / "labels.sqlite")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_leased_row_is_nobody_elses_until_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row on one screen cannot be claimed by another reviewer, but can again minutes later or once released."""
    leases = Leases(tmp_path / "labels.sqlite")
    clock = [1000.0]
    monkeypatch.setattr("offtarget.review.store.time.time", lambda: clock[0])
    assert leases.claim("a:1", "Ada", "random")
    assert leases.claim("a:1", "Ada", "random")
    assert not leases.claim("a:1", "Ben", "random")
    assert leases.taken("Ben") == {"a:1"}
    clock[0] += 301
    assert leases.claim("a:1", "Ben", "random")
    leases.release("Ben")
    assert leases.claim("a:1", "Ada", "flagged")
    assert leases.stream("a:1", "Ada") == "flagged"
