"""Writing a result and its ledger so that a crash, an error or a full disk leaves nothing half done."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from offtarget.audit.ledger import ledger_path
from offtarget.data.training.stored import PACKED
from offtarget.errors import InputError
from offtarget.rundir import flush_to_disk


class Staging:
    """A hidden folder beside `out` in which everything is written first; left, it is gone."""

    def __init__(self, out: Path, *, folder: bool) -> None:
        self.out, self._folder = out, folder
        self._root = out.parent / f".{out.name}.{os.getpid()}.part"
        self.data = self._root / "data"
        self._rows = self._root / "rows"

    def __enter__(self) -> Staging:
        with write_errors(self.out):
            shutil.rmtree(self._root, ignore_errors=True)
            self._root.mkdir()
            if self._folder:
                self.data.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        if isinstance(error, OSError):
            with write_errors(self.out):
                raise error

    def file(self, name: str) -> Path:
        """Where the cleaned copy of the source file `name` is written."""
        if not self._folder:
            return self.data
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def suffix_of(self, name: str) -> str:
        """`.gz`, `.zst` or nothing: how the copy of `name` is compressed."""
        suffix = Path(name if self._folder else self.out.name).suffix.lower()
        return suffix if suffix in PACKED else ""

    @contextlib.contextmanager
    def ledger_rows(self) -> Iterator[IO[str]]:
        """Where the removals go until the ledger's first line is known."""
        with self._rows.open("w", encoding="utf-8") as file:
            yield file

    def publish(self, head: str) -> None:
        """Move ledger and data to their places, each whole, the ledger first: no cleaned file is ever without one."""
        ledger = self._root / "ledger"
        with ledger.open("wb") as file, self._rows.open("rb") as rows:
            file.write(head.encode())
            shutil.copyfileobj(rows, file)
        written = [ledger, *(sorted(self.data.rglob("*")) if self._folder else [self.data])]
        for path in written:
            if path.is_file():
                flush_to_disk(path)
        ledger.replace(ledger_path(self.out))
        self.data.replace(self.out)
        flush_to_disk(self.out.parent)


@contextlib.contextmanager
def write_errors(out: Path) -> Iterator[None]:
    """Errors of the disk as InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(
                f"The disk is full, writing {out}. Nothing was left behind; free some space, then clean again."
            ) from None
        raise InputError(f"Cannot write {out}: {error.strerror or error}. Choose another folder.") from None
