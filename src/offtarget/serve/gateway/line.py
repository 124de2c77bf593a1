"""The line between the supervisor and each process it starts: JSON, one value a line, over a pair of sockets.

The first line, from the supervisor, holds everything a process is started with, keys included, so that none stands in
a command line or an environment. The end of the line is the end of the other side.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from offtarget.rundir import to_jsonable

LONGEST = 16 * 1024 * 1024
"""Bytes of one line."""


def encoded(value: Mapping[str, Any]) -> bytes:
    """A value as a line."""
    return json.dumps(to_jsonable(dict(value)), separators=(",", ":"), allow_nan=False).encode() + b"\n"


class ChildLine:
    """The end that a started process has. Safe in threads."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._file = ours.makefile("rb")
        self._lock = threading.Lock()
        self.start: dict[str, Any] = self._next() or {}
        """What the process is started with; empty where the supervisor is gone already."""

    @classmethod
    def inherited(cls) -> ChildLine:
        """The line whose descriptor is the first argument of this process."""
        return cls(socket.socket(fileno=int(sys.argv[1])))

    def say(self, **fields: Any) -> None:
        """Tell the supervisor; nothing where it is gone."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(encoded(fields))

    def listen(self, told: Callable[[dict[str, Any]], None], gone: Callable[[], None]) -> None:
        """Call `told` with every further value, and `gone` once when the supervisor has ended; in a thread."""

        def read() -> None:
            while (value := self._next()) is not None:
                told(value)
            gone()

        threading.Thread(target=read, name="supervisor", daemon=True).start()

    def _next(self) -> dict[str, Any] | None:
        try:
            line = self._file.readline(LONGEST)
            value = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None
