"""Exchanges that wait to be scored: bounded, each conversation once, first come first served.

Dropped is the newest, where there is no room before it is looked at. One line for both arms: were the arms dropped
apart, a burst of odd questions could reach the scores of one of them more often than of the other, and look like harm.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque

from offtarget.records.exchanges import Exchange

MOST_BYTES = 48 * 1024 * 1024
MOST = 20_000
REMEMBERED = 100_000
"""Conversations that are known as seen; an older one may be judged again, and the store then keeps its first score."""


class Inbox:
    """A bounded line; `put` may be called in any thread and never waits."""

    def __init__(self, most_bytes: int = MOST_BYTES, most: int = MOST, remembered: int = REMEMBERED) -> None:
        self._most_bytes, self._most, self._remembered = most_bytes, most, remembered
        self._line: deque[Exchange] = deque()
        self._bytes = 0
        self._seen: dict[bytes, None] = {}
        self._lock = threading.Lock()
        self.counts: dict[str, int] = dict.fromkeys(("arrived", "repeated", "dropped", "asked", "conversations"), 0)
        """`arrived` in all; `repeated`: of a conversation that has its score; `dropped`: there was no room; `asked`:
        requests of users, and of how many `conversations`."""

    def put(self, exchange: Exchange) -> bool:
        """Whether it waits now. A dropped exchange takes its conversation with it: only a first one ever counts."""
        key, asked = _key(exchange), exchange.source != "probe"
        with self._lock:
            self.counts["arrived"] += 1
            self.counts["asked"] += asked
            if key in self._seen:
                self.counts["repeated"] += 1
                return False
            self._seen[key] = None
            self.counts["conversations"] += asked
            if len(self._seen) > self._remembered:
                del self._seen[next(iter(self._seen))]
            if self._bytes >= self._most_bytes or len(self._line) >= self._most:
                self.counts["dropped"] += 1
                return False
            self._line.append(exchange)
            self._bytes += _weight(exchange)
            return True

    def take(self) -> Exchange | None:
        """The one that has waited longest; None where none does."""
        with self._lock:
            if not self._line:
                return None
            exchange = self._line.popleft()
            self._bytes -= _weight(exchange)
            return exchange

    def __len__(self) -> int:
        return len(self._line)


def _weight(exchange: Exchange) -> int:
    return len(exchange.request) + len(exchange.response) + 1024


def _key(exchange: Exchange) -> bytes:
    named = f"{exchange.alias}\0{exchange.rollout}\0{exchange.source}\0{exchange.arm}\0{exchange.conversation}"
    return hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=16).digest()
