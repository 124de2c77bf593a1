"""The store that several gateways share: a Postgres database, with its own clock and its own order of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from offtarget.errors import InputError, OfftargetError, PrerequisiteError, StoreError
from offtarget.records.rollouts import CanaryEvent
from offtarget.serve.store.bodies import BodyKeeper
from offtarget.serve.store.sql import Row, SqlStore, Transaction

if TYPE_CHECKING:
    import psycopg

WAIT_SECONDS = 5
"""For a connection, a lock, or the end of a statement."""
ASK_SECONDS = 1.0
"""Between two questions for events, should a notification be lost (a pooler between here and the server)."""

_CHANNEL = "offtarget_events"
_UPDATE_LOCK = 0x0FF7A26E
"""Of `pg_advisory_xact_lock`: one process brings tables up to date at a time."""
_REFUSED = ("28", "3D", "42", "3F")
"""Classes of SQLSTATE that no later try changes: user or password, database, rights and tables, schema."""


class PostgresStore(SqlStore):
    """A `Store` in a Postgres database (12 or later); its tables begin with `offtarget_`."""

    _bytes = "BYTEA"

    def __init__(self, url: str, keeper: BodyKeeper, wait_seconds: float = WAIT_SECONDS) -> None:
        """Raises InputError for a bad URL or a server that cannot be used, PrerequisiteError without psycopg."""
        super().__init__(keeper)
        self._wait = wait_seconds
        self._parameters, self.shown = _read(url)
        self._lock, self._listening = threading.Lock(), threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._listener: psycopg.Connection | None = None
        self._ended = False
        try:
            self._prepare()
        except BaseException as error:
            self.close()
            if not isinstance(error, StoreError):
                raise
            raise InputError(f"{error} Is the server there, and is state.url right?") from None

    def _prepare(self) -> None:
        with self._writing() as writing:
            writing.rows("SELECT pg_advisory_xact_lock(?)", _UPDATE_LOCK)
            writing.run("CREATE TABLE IF NOT EXISTS offtarget_version (value INTEGER NOT NULL)")
            row = writing.one("SELECT value FROM offtarget_version")
            before = int(row[0]) if row else 0
            version = self._bring_up_to_date(writing, before, self.shown)
            if version > before:
                writing.run("DELETE FROM offtarget_version")
                writing.run("INSERT INTO offtarget_version (value) VALUES (?)", version)

    def wait_for_events(self, after: int, seconds: float) -> tuple[CanaryEvent, ...]:
        """See `Store`; the server tells of an event as it is committed."""
        import psycopg

        end = time.monotonic() + seconds
        with self._listening:
            try:
                if self._listener is None:
                    self._listener = self._opened()
                    self._listener.execute(f"LISTEN {_CHANNEL}")
                while True:
                    events = self.events(after)
                    left = end - time.monotonic()
                    if events or left <= 0 or self._ended:
                        return events
                    for _ in self._listener.notifies(timeout=min(left, ASK_SECONDS), stop_after=1):
                        pass
            except psycopg.Error as error:
                self._listener = _closed(self._listener)
                raise self._in_words(error) from None

    def close(self) -> None:
        """See `Store`."""
        self._ended = True
        with self._lock:
            self._connection = _closed(self._connection)
        with self._listening:
            self._listener = _closed(self._listener)

    def _tell(self, transaction: Transaction) -> None:
        transaction.rows("SELECT pg_notify(?, '')", _CHANNEL)

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        import psycopg

        if not self._lock.acquire(timeout=self._wait):
            raise StoreError(f"{self.shown} is busy in this process for more than {self._wait:g} s. Try again.")
        try:
            connection = self._begun()
            try:
                yield _PostgresTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                try:
                    connection.execute("ROLLBACK")
                except psycopg.Error:
                    self._connection = _closed(connection)
                raise
        except psycopg.Error as error:
            raise self._in_words(error) from None
        finally:
            self._lock.release()

    _reading = _writing

    def _begun(self) -> psycopg.Connection:
        """A connection in a transaction. One that broke while nothing was asked of it is replaced once."""
        import psycopg

        if self._connection is not None:
            try:
                self._connection.execute("BEGIN")
            except psycopg.Error:
                self._connection = _closed(self._connection)
            else:
                return self._connection
        self._connection = self._opened()
        self._connection.execute("BEGIN")
        return self._connection

    def _opened(self) -> psycopg.Connection:
        import psycopg

        milliseconds = int(self._wait * 1000)
        ours = {
            "connect_timeout": max(2, int(self._wait)),
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": 10,
            "application_name": "offtarget",
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
        }
        parameters = {**ours, **self._parameters}
        return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)

    def _in_words(self, error: psycopg.Error) -> OfftargetError:
        text = " ".join(str(error).split())
        for secret in {self._parameters.get("password"), quote(str(self._parameters.get("password") or ""))} - {
            None,
            "",
        }:
            text = text.replace(str(secret), "***")
        if error.sqlstate and error.sqlstate.startswith(_REFUSED):
            return InputError(f"{self.shown} cannot be used: {text}. See state.url.")
        return StoreError(f"{self.shown} does not answer as it should: {text}.")


class _PostgresTransaction(Transaction):
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, *values: Any) -> int:
        return self._execute(sql, values).rowcount

    def rows(self, sql: str, *values: Any) -> list[Row]:
        return list(self._execute(sql, values).fetchall())

    def now(self) -> tuple[str, float]:
        row = self.one("SELECT EXTRACT(EPOCH FROM clock_timestamp())::double precision")
        assert row is not None
        return "", float(row[0])

    def _execute(self, sql: str, values: tuple[Any, ...]) -> psycopg.Cursor[Any]:
        # every statement is a constant of this package; values are never put into its text
        return self._connection.execute(sql.replace("?", "%s").encode(), values)


def _read(url: str) -> tuple[dict[str, Any], str]:
    """Parameters of a connection, and how the server is called in messages: without the password."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise PrerequisiteError.for_extra("psycopg", "postgres", "A state in Postgres") from None
    try:
        parameters: dict[str, Any] = dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        # its text may repeat the URL, and with it the password
        raise InputError(
            "state.url is no address of Postgres: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with characters "
            "such as @, / and % in the password written as %40, %2F and %25."
        ) from None
    user = f"{parameters['user']}@" if parameters.get("user") else ""
    port = f":{parameters['port']}" if parameters.get("port") else ""
    host, database = parameters.get("host", "localhost"), parameters.get("dbname", "")
    return parameters, f"postgresql://{user}{host}{port}/{database}"


def _closed(connection: psycopg.Connection | None) -> psycopg.Connection | None:
    """None, in place of a connection that is closed."""
    if connection is not None:
        connection.close()
    return None
