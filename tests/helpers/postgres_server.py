"""A Postgres of its own for a test: from the system's packages, in a temporary folder, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "p@ss/w%rd"
QUOTED = "p%40ss%2Fw%25rd"


def missing() -> str:
    """Why there can be no server here; empty: there can."""
    if _programs() is None:
        return "Postgres is not installed (apt-get install postgresql)"
    if os.name != "posix":
        return "Postgres is started here on Unix only"
    if os.getuid() == 0 and _user() is None:
        return "root may not start Postgres, and there is no user 'postgres'"
    return ""


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


@dataclass
class PostgresServer:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://gateway:{QUOTED}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        programs = _programs()
        assert programs is not None
        # no fsync: nothing here survives a power cut anyway, and disks of test machines are slow
        settings = ("fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1")
        ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        end, tries = time.monotonic() + 120, 0
        while self.process is None or subprocess.run(ready, check=False).returncode != 0:
            if self.process is None or self.process.poll() is not None:
                # the one before may hold its memory for a moment after it was told to stop at once
                tries += 1
                self.process = _as_postgres(self._command(programs, settings), self.folder / "log")
            if tries > 5 or time.monotonic() > end:
                self.stop(signal.SIGQUIT)
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.1)

    def _command(self, programs: Path, settings: tuple[str, ...]) -> list[str]:
        command = [str(programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        for setting in settings:
            command += ["-c", setting]
        return command

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all connections and stops; SIGQUIT stops as a crash would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)
        self.process = None

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server with a user `gateway`, who may make databases."""
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="offtarget-postgres-"))
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    user = _user() if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        os.chown(password, user.pw_uid, user.pw_gid)
    command = [
        str(programs / "initdb"), "-D", str(folder / "data"), "-U", "gateway", "--auth=scram-sha-256",
        f"--pwfile={password}", "-E", "UTF8", "--no-locale", "--no-sync",
    ]  # fmt: skip
    made = _as_postgres(command, folder / "log")
    assert made.wait(120) == 0, (folder / "log").read_text()
    server = PostgresServer(folder, _free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nobody reads its files again
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    user = _user() if os.getuid() == 0 else None
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=log.parent,
            start_new_session=True,
            **who,
        )  # type: ignore[call-overload,no-any-return]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
