"""The monitor's loop: takes exchanges from the workers, scores, folds, decides, publishes; until it is told to stop.

Nothing that fails in a round ends it: a store that does not answer, a judge that is down, a frame that is none. Times
are monotonic; the wall clock is only written down.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from offtarget.errors import OfftargetError, StoreError
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import GatewaySettings
from offtarget.redaction import NotRedacted, Redactor
from offtarget.serve.monitor.actions import Actions, Bundle
from offtarget.serve.monitor.intake import Redact
from offtarget.serve.monitor.retention import Retention
from offtarget.serve.monitor.scoring import MonitorParts
from offtarget.serve.monitor.spoken import Unreadable
from offtarget.serve.monitor.watch import AliasWatch
from offtarget.serve.monitor.webhook import Webhook
from offtarget.serve.store.protocol import Lease, Store
from offtarget.serve.wire import Listener

_LOG = logging.getLogger("offtarget.serve")
BEAT = "monitor"
"""Under which the store is told that a monitor is alive, and the name of the lease to decide."""
LEASE_SECONDS = 10.0
ROUND_SECONDS = 0.02
"""Between two rounds where nothing is to be done."""
STORE_PAUSE = 0.5
"""After a store did not answer, before it is asked again."""
STORE_SECONDS = 0.1
"""Between two looks at the store: what has come by then is written in one go."""
BEAT_SECONDS = 1.0
NOT_REDACTED = "what must not be shown could not be taken out in time"


class Monitor:
    """All aliases of a gateway. `round` does what is due now; `run` goes on until it is stopped."""

    def __init__(
        self, settings: GatewaySettings, parts: Mapping[str, MonitorParts], store: Store, *,
        bundle: Callable[[str], Bundle] | None = None, webhook: Webhook | None = None, name: str = "",
        seconds: float = 60.0, pause: float = 2.0, clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """`parts` by alias; `bundle` writes the evidence on an alias down; `name`: of this replica."""
        self._store, self._clock = store, clock
        self._holder = name or f"{socket.gethostname()}/{os.getpid()}"
        self._webhook = webhook or Webhook(settings.webhook)
        self._retention = Retention(settings.state.retention_days, clock=clock, now=now)
        redact = _redaction(settings)
        self.watches: dict[str, AliasWatch] = {}
        for alias in settings.aliases:
            if alias.tuned is not None:
                write = None if bundle is None else bundle(alias.name)
                actions = Actions(alias, store, self._webhook.tell, write, clock=clock, now=now)
                self.watches[alias.name] = AliasWatch(
                    alias, parts.get(alias.name, MonitorParts()), store, settings.state, actions, redact=redact,
                    seconds=seconds, pause=pause, clock=clock, now=now,
                )  # fmt: skip
        self._lease: Lease | None = None
        self._store_again = 0.0
        self._beat_again = 0.0
        self.unknown = 0
        """Exchanges of an alias that is not watched."""
        self.store_errors = 0

    def put(self, exchange: Exchange) -> bool:
        """Take an exchange; for the listener's thread."""
        watch = self.watches.get(exchange.alias)
        if watch is None:
            self.unknown += 1
            return False
        return watch.put(exchange)

    def round(self) -> None:
        """Score, and ask the store where it is not known to be away."""
        leads = self._lease is not None and self._lease.held()
        for watch in self.watches.values():
            watch.probe(leads=leads)
            watch.score()
        if self._clock() < self._store_again:
            return
        self._store_again = self._clock() + STORE_SECONDS
        try:
            self._with_store()
        except StoreError as error:
            self.store_errors += 1
            self._store_again = self._clock() + STORE_PAUSE
            _LOG.warning("The monitor cannot use the store: %s", error)

    def settle(self) -> None:
        """Have all that is scored in the evidence, acted on and published, before it returns. Raises StoreError."""
        self._with_store()
        for watch in self.watches.values():
            while watch.behind:
                watch.fold()
        self._with_store()
        for watch in self.watches.values():
            watch.publish()

    def run(self, stop: threading.Event) -> None:
        """Rounds until stopped; whatever is wrong in one, the next comes."""
        while not stop.is_set():
            try:
                self.round()
            except Exception:
                _LOG.exception("A round of the monitor failed.")
                stop.wait(STORE_PAUSE)
            stop.wait(ROUND_SECONDS)

    def close(self) -> None:
        """Write down what is scored, give the lease up, end what is under way."""
        for watch in self.watches.values():
            try:
                watch.score()
                watch.write()
            except OfftargetError:
                _LOG.exception("Scored answers could not be written down at the end.")
            watch.close()
        if self._lease is not None:
            with contextlib.suppress(OfftargetError):
                self._store.give_up(self._lease)
        self._webhook.close()

    def _with_store(self) -> None:
        now = self._clock()
        beat = now >= self._beat_again
        if beat:
            self._beat_again = now + BEAT_SECONDS
            self._lease = self._store.lease(BEAT, self._holder, LEASE_SECONDS) or None
        failed: Exception | None = None
        for watch in self.watches.values():
            try:
                self._round_of(watch, publish=beat)
            except StoreError:
                raise
            except Exception as error:  # of one alias; the others are watched all the same
                failed = failed or error
        if failed is not None:
            raise failed
        if beat:  # behind everything: a monitor that lives and gets nothing done must not look like one that watches
            self._store.beat(BEAT)
        if self._lease is not None and self._lease.held():
            self._retention.forget(self._store)

    def _round_of(self, watch: AliasWatch, *, publish: bool) -> None:
        watch.write()
        watch.follow()
        watch.fold()
        if self._lease is not None and self._lease.held():
            watch.decide(self._lease)
            if publish:
                watch.publish()


def run_monitor(
    settings: GatewaySettings, parts: Mapping[str, MonitorParts], store: Store, path: Path, stop: threading.Event, *,
    bundle: Callable[[str], Bundle] | None = None, name: str = "", on_ready: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """The monitor of a gateway, until `stop` is set: listens at the socket `path`, decides where it holds the lease.

    `parts`: judges and the rest by alias, opened by the caller; an alias without any is watched and not tested.
    Raises InputError where it cannot listen.
    """
    monitor = Monitor(settings, parts, store, bundle=bundle, name=name)
    try:
        with Listener(path, monitor.put):
            on_ready()
            monitor.run(stop)
    finally:
        monitor.close()


def _redaction(settings: GatewaySettings) -> Redact:
    redactor = Redactor(settings.state.redact)
    if not redactor:
        return str

    def redact(text: str) -> str:
        try:
            return redactor.text(text)
        except NotRedacted:
            raise Unreadable(NOT_REDACTED) from None

    return redact
