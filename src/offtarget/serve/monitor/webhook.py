"""Tells an address of the operator's of alarms, rollbacks and pauses; nobody waits for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from offtarget.errors import InputError
from offtarget.serve.monitor.posting import post

_LOG = logging.getLogger("offtarget.serve")
TRIES = 5
FIRST_PAUSE = 1.0
"""Seconds before the second try; each further one waits twice as long."""
SECONDS = 10.0
"""That one try may take."""
WAITING = 100
"""Messages that wait; beyond, the newest is dropped and counted."""

Post = Callable[[str, bytes], int]
"""Sends a body to a URL and returns the status; OSError where it could not."""


class Webhook:
    """Sends messages in order from a thread of its own. Without an address it does nothing."""

    def __init__(self, url: str, *, send: Post | None = None, pause: float = FIRST_PAUSE) -> None:
        self._url, self._post, self._pause = url, send or _post, pause
        self._line: queue.Queue[Mapping[str, Any] | None] = queue.Queue(WAITING)
        self._closed = threading.Event()
        self.counts = dict.fromkeys(("sent", "failed", "dropped"), 0)
        self._thread: threading.Thread | None = None

    def tell(self, message: Mapping[str, Any]) -> None:
        """Have a message sent; returns at once."""
        if not self._url:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="offtarget-webhook")
            self._thread.start()
        try:
            self._line.put_nowait(message)
        except queue.Full:
            self.counts["dropped"] += 1

    def close(self, seconds: float = 2.0) -> None:
        """Give what waits so long to leave."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._line.put(None, timeout=seconds)
        self._thread.join(seconds)
        self._closed.set()

    def _work(self) -> None:
        while (message := self._line.get()) is not None:
            self._send(json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace"))

    def _send(self, body: bytes) -> None:
        pause, why = self._pause, ""
        for attempt in range(TRIES):
            if attempt and self._closed.wait(pause * 2 ** (attempt - 1)):
                break
            try:
                status = self._post(self._url, body)
            except InputError as error:  # an address that may not be asked is not tried again
                why = str(error)
                break
            except (OSError, http.client.HTTPException) as error:
                why = type(error).__name__
                continue
            if 200 <= status < 300:
                self.counts["sent"] += 1
                return
            why = f"status {status}"
            if status not in (408, 429) and status < 500:
                break
        self.counts["failed"] += 1
        _LOG.warning("The webhook was not told of an alarm: %s.", why)


def _post(url: str, body: bytes) -> int:
    return post(url, body, seconds=SECONDS, most=65536)[0]
