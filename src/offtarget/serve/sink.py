"""Where the data path leaves finished exchanges; it never waits for whoever takes them."""

from __future__ import annotations

from typing import Protocol

from offtarget.records.exchanges import Exchange


class ExchangeSink(Protocol):
    """Takes exchanges and returns at once."""

    def offer(self, exchange: Exchange) -> bool:
        """Whether it was taken; False: there is no room, or nobody listens, and it was dropped and counted."""
        ...


class NoSink:
    """Takes nothing and counts nothing: nobody monitors."""

    def offer(self, exchange: Exchange) -> bool:
        """False."""
        return False
