"""The store of one gateway: a file, written ahead (WAL), that several processes of one machine may use at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, StoreError
from offtarget.records.rollouts import CanaryEvent
from offtarget.serve.store.bodies import BodyKeeper
from offtarget.serve.store.protocol import Forgotten
from offtarget.serve.store.sql import Row, SqlStore, Transaction

WAIT_SECONDS = 5.0
"""For a database that another process, or a thread for its connection, has locked."""
POLL_SECONDS = 0.04
"""Between two questions for events of other processes."""


class SqliteStore(SqlStore):
    """A `Store` in a file."""

    _bytes = "BLOB"

    def __init__(self, path: Path, keeper: BodyKeeper, wait_seconds: float = WAIT_SECONDS) -> None:
        """Raises InputError for a file that is no store or cannot be made, StoreError where it is locked or full."""
        super().__init__(keeper)
        self.path, self._wait = path, wait_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._ended = False
        try:
            with self._writing() as writing:
                row = writing.one("PRAGMA user_version")
                assert row is not None
                version = self._bring_up_to_date(writing, int(row[0]), str(path))
                writing.run(f"PRAGMA user_version = {version}")
        except BaseException:
            self.close()
            raise

    def wait_for_events(self, after: int, seconds: float) -> tuple[CanaryEvent, ...]:
        """See `Store`; asks every 40 ms."""
        end = time.monotonic() + seconds
        while True:
            events = self.events(after)
            left = end - time.monotonic()
            if events or left <= 0 or self._ended:
                return events
            time.sleep(min(POLL_SECONDS, left))

    def forget(self, before: float, most: int = 1_000_000) -> Forgotten:
        """See `Store`; what was deleted is overwritten in the file, and the log beside it is emptied."""
        gone = super().forget(before, most)
        if gone.bodies or gone.scored:
            with self._held() as connection, suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def close(self) -> None:
        """See `Store`."""
        self._ended = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _tell(self, transaction: Transaction) -> None:
        """Others ask by themselves."""

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._held() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield _SqliteTransaction(connection)
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        with self._held() as connection:
            connection.execute("BEGIN")
            yield _SqliteTransaction(connection)
            connection.execute("COMMIT")

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time; errors in words, and what was begun is undone."""
        if not self._lock.acquire(timeout=self._wait):
            raise StoreError(f"{self.path} is busy in this process for more than {self._wait:g} s. Try again.")
        try:
            if self._connection is None:
                self._connection = self._opened()
            yield self._connection
        except sqlite3.Error as error:
            raise self._in_words(error) from None
        finally:
            if self._connection is not None and self._connection.in_transaction:
                try:
                    self._connection.execute("ROLLBACK")
                except sqlite3.Error:  # nobody knows what such a connection would do next
                    self._connection.close()
                    self._connection = None
            self._lock.release()

    def _opened(self) -> sqlite3.Connection:
        try:
            # made here, since SQLite would let everybody read it
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise InputError(
                f"The state cannot be kept in {self.path}: {error.strerror}. Name a file that can be written in "
                "state.url, as sqlite:PATH."
            ) from None
        connection = sqlite3.connect(
            self.path, timeout=self._wait, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged survives a power cut
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA journal_size_limit = 16777216")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _in_words(self, error: sqlite3.Error) -> InputError | StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return InputError(f"{self.path} is no SQLite file. Name another file in state.url, as sqlite:PATH.")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            what = f"is locked by another process for more than {self._wait:g} s"
        elif code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            what = f"cannot be written or read: is the disk full? ({error})"
        else:
            what = f"cannot be used: {error}"
        return StoreError(f"{self.path} {what}. Nothing was written.")


class _SqliteTransaction(Transaction):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: Any) -> int:
        return self._connection.execute(sql, values).rowcount

    def rows(self, sql: str, *values: Any) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def now(self) -> tuple[str, float]:
        """Seconds since this machine started, which no clock that is set changes, and which start that was."""
        return _BOOT, time.monotonic()


def _boot() -> str:
    """Which start of the machine this is; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


_BOOT = _boot()
