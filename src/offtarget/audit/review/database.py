"""One SQLite file shared by threads, browsers and processes; what is committed survives kill -9 and power cuts."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from offtarget.errors import InputError

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
