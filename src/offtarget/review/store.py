"""Labels on disk, append-only and saved at once; and who has which row on the screen, in the same SQLite file.

Labels are undone and corrected by further rows, never changed in place; what is committed survives kill -9 and power
cuts. Two people never get the same new row, and nobody keeps one for long.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from offtarget.errors import InputError
from offtarget.records import Category, Label, Stream

BUSY_SECONDS = 30
"""How long a writer waits for another process before it gives up."""

_RESCUE = "If the file is damaged, restore a copy; labels.jsonl beside it has the labels as of the last verdict."


class Database:
    """A connection in WAL mode with synchronous=FULL: a commit returns after the disk has it."""

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._said_plainly():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # File names may hold bytes that are no UTF-8; they come back as they went in.
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "surrogatepass")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            for statement in filter(None, map(str.strip, schema.split(";"))):
                self._connection.execute(statement)
        self._opened = _identity(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written together or not at all, with no other writer in between.

        Raises InputError, saying what the system said, when the file cannot be written.
        """
        with self._lock, self._said_plainly():
            self._refuse_another_file()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _refuse_another_file(self) -> None:
        """SQLite would go on writing into a file that was deleted or replaced, where nobody finds it again."""
        if _identity(self.path) != self._opened:
            raise InputError(f"{self.path} was deleted or replaced while it was in use. Restore it and start again.")

    def read(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a query."""
        with self._lock, self._said_plainly():
            self._refuse_another_file()
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: labels cannot be read or written ({error}). {_RESCUE}") from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def text(value: str) -> bytes:
    """Text as bytes for `CAST(? AS TEXT)`: SQLite's own binding refuses lone surrogates."""
    return value.encode("utf-8", "surrogatepass")


_LABELS = """
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('label', 'undo', 'stream')),
  row_id TEXT NOT NULL, reviewer TEXT NOT NULL, mark TEXT, category TEXT, stream TEXT NOT NULL,
  note TEXT NOT NULL, seconds REAL, at TEXT NOT NULL, nonce TEXT NOT NULL, undoes INTEGER REFERENCES events (id)
);
CREATE UNIQUE INDEX IF NOT EXISTS once ON events (row_id, reviewer, nonce) WHERE nonce <> ''
"""
_COLUMNS = "id, kind, row_id, reviewer, mark, category, stream, note, seconds, at, undoes"
LEASE_SECONDS = 300.0
"""A row is another's again after this long without a label."""

_LEASES = """
CREATE TABLE IF NOT EXISTS served (
  row_id TEXT NOT NULL, reviewer TEXT NOT NULL, stream TEXT NOT NULL, until REAL NOT NULL,
  PRIMARY KEY (row_id, reviewer)
)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history."""

    id: int
    """Grows by one with every event."""
    kind: Literal["label", "undo", "stream"]
    """`stream`: a row that came up as flagged has had its turn in the random order and counts there from now on."""
    label: Label
    """What was said, or what was undone."""
    undoes: int | None
    """The event an undo takes back."""


class LabelStore:
    """The labels of one audit in one file; any number of processes may use it at once.

    Raises InputError where the file cannot be opened or written (disk full, no database, no permission).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, _LABELS)

    def add(self, label: Label, nonce: str = "") -> bool:
        """Save a label; on return it is on disk. False when the same (row, reviewer, nonce) was saved before."""
        with self._database.transaction() as connection:
            known = connection.execute(
                "SELECT 1 FROM events WHERE nonce = ? AND nonce <> '' AND reviewer = CAST(? AS TEXT)"
                " AND row_id = CAST(? AS TEXT)",
                (nonce, text(label.reviewer), text(label.row_id)),
            ).fetchone()
            if known:
                return False
            _insert(connection, "label", replace(label, at=label.at or _now()), nonce)
        return True

    def undo(self, reviewer: str, among: Callable[[str], bool] = lambda row_id: True) -> Label | None:
        """Take back the reviewer's last label that still stands; what the row was before counts again.

        `among`: whether a row may be touched at all.
        """
        with self._database.transaction() as connection:
            standing = [e for e in _standing(self.history()) if e.label.reviewer == reviewer and among(e.label.row_id)]
            if not standing:
                return None
            taken_back = standing[-1]
            _insert(connection, "undo", replace(taken_back.label, at=_now()), "", taken_back.id)
        return taken_back.label

    def restream(self, row_id: str, stream: Stream) -> None:
        """Count a row's labels, those there are and those to come, in another stream."""
        with self._database.transaction() as connection:
            _insert(connection, "stream", Label(row_id, "", "skip", None, stream, at=_now()), "")

    def labels(self) -> list[Label]:
        """The current word of each reviewer on each row, in the order in which rows were first labelled."""
        events = self.history()
        return _in_streams(_last(events, conditions=False), events)

    def conditions(self) -> list[Label]:
        """The current word of each person on each suspected condition; `row_id` is its key."""
        return _last(self.history(), conditions=True)

    def first_labels(self) -> list[Label]:
        """Each reviewer's first word on each row, undone ones aside: given before the page showed any evidence."""
        events = self.history()
        first: dict[tuple[str, str], Label] = {}
        for event in (e for e in _standing(events) if e.label.stream != "condition"):
            first.setdefault((event.label.row_id, event.label.reviewer), event.label)
        return _in_streams(first.values(), events)

    def counting(self) -> list[Label]:
        """The labels a verdict rests on: the current word on data and on conditions, the first on planted rows.

        A planted row that was found only after the page showed its evidence was not found.
        """
        planted = [label for label in self.first_labels() if label.stream == "control"]
        return [label for label in self.labels() if label.stream != "control"] + planted + self.conditions()

    def history(self) -> list[Event]:
        """Everything that was ever said, oldest first."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM events ORDER BY id")  # noqa: S608 - fixed columns
        return [_event(row) for row in rows]

    def version(self) -> int:
        """Grows with every event of any process; equal versions mean equal labels."""
        (row,) = self._database.read("SELECT coalesce(max(id), 0) FROM events")
        return int(str(row[0]))

    def close(self) -> None:
        """Close the file; what was added is on disk already."""
        self._database.close()


class Leases:
    """Rows served to reviewers, with the stream each was served in; in the same file as the labels."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _LEASES)

    def claim(self, row_id: str, reviewer: str, stream: Stream, *, shared: bool = False) -> bool:
        """Reserve a row; False when another reviewer has it. `shared` rows may be with several at once."""
        now = time.time()
        with self._database.transaction() as connection:
            other = connection.execute(
                "SELECT 1 FROM served WHERE row_id = CAST(? AS TEXT) AND reviewer <> CAST(? AS TEXT) AND until > ?",
                (text(row_id), text(reviewer), now),
            ).fetchone()
            if other and not shared:
                return False
            until = 0.0 if shared else now + LEASE_SECONDS
            connection.execute(
                "INSERT INTO served VALUES (CAST(? AS TEXT), CAST(? AS TEXT), ?, ?) ON CONFLICT (row_id, reviewer)"
                " DO UPDATE SET stream = excluded.stream, until = excluded.until",
                (text(row_id), text(reviewer), stream, until),
            )
        return True

    def taken(self, reviewer: str) -> set[str]:
        """Rows that other reviewers have on the screen now."""
        rows = self._database.read(
            "SELECT row_id FROM served WHERE reviewer <> CAST(? AS TEXT) AND until > ?", text(reviewer), time.time()
        )
        return {str(row[0]) for row in rows}

    def stream(self, row_id: str, reviewer: str) -> Stream | None:
        """The stream in which a row was served to a reviewer; None when it never was."""
        rows = self._database.read(
            "SELECT stream FROM served WHERE row_id = CAST(? AS TEXT) AND reviewer = CAST(? AS TEXT)",
            text(row_id),
            text(reviewer),
        )
        return rows[0][0] if rows else None  # type: ignore[return-value]

    def release(self, reviewer: str) -> None:
        """Give back all rows of a reviewer who leaves."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE served SET until = 0 WHERE reviewer = CAST(? AS TEXT)", (text(reviewer),))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _standing(events: Sequence[Event]) -> list[Event]:
    undone = {e.undoes for e in events}
    return [e for e in events if e.kind == "label" and e.id not in undone]


def _last(events: Sequence[Event], *, conditions: bool) -> list[Label]:
    """Each reviewer's last word that stands, on conditions or on rows."""
    standing = [e.label for e in _standing(events) if (e.label.stream == "condition") is conditions]
    return list({(label.row_id, label.reviewer): label for label in standing}.values())


def _in_streams(labels: Iterable[Label], events: Iterable[Event]) -> list[Label]:
    moved = {e.label.row_id: e.label.stream for e in events if e.kind == "stream"}
    return [replace(label, stream=moved.get(label.row_id, label.stream)) for label in labels]


def _insert(connection: Any, kind: str, label: Label, nonce: str, undoes: int | None = None) -> None:
    mark = None if kind == "stream" else label.mark
    connection.execute(
        "INSERT INTO events (kind, row_id, reviewer, mark, category, stream, note, seconds, at, nonce, undoes) VALUES"
        " (?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?)",
        (
            kind, text(label.row_id), text(label.reviewer), mark, label.category, label.stream, text(label.note),
            label.seconds, label.at, nonce, undoes,
        ),
    )  # fmt: skip


def _event(row: tuple[Any, ...]) -> Event:
    id_, kind, row_id, reviewer, mark, category, stream, note, seconds, at, undoes = row
    label = Label(row_id, reviewer, mark or "skip", Category(category) if category else None, stream, note, seconds, at)
    return Event(id_, kind, label, undoes)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
