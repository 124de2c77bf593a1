"""`offtarget canary watch`: judges a log of answers of both models that another gateway gave, beside the path.

What stands in the log takes the way of our own exchanges: the monitor scores, folds and decides, and the admin plane
tells. Nothing is routed here; whoever routes asks for the verdict and the share.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, StoreError
from offtarget.numbers import many
from offtarget.pages.serve.dashboard import DashboardPages
from offtarget.records.exchanges import Exchange
from offtarget.records.from_json import from_json
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, StateSettings, Upstream
from offtarget.records.overview import Overview
from offtarget.records.rollouts import Rollout
from offtarget.records.runs import OpenSettings
from offtarget.review.security import Access
from offtarget.review.server import PageServer
from offtarget.rundir import runs_root, to_jsonable
from offtarget.serve.admin.app import AdminApp
from offtarget.serve.admin.keys import Keys, sha256_of
from offtarget.serve.admin.operations import Operations
from offtarget.serve.admin.overview import Overviews
from offtarget.serve.admin.totals import Totals
from offtarget.serve.cell import Cell
from offtarget.serve.monitor.process import Monitor
from offtarget.serve.monitor.readings import StoredReadings
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store
from offtarget.serve.switchboard import Switchboard
from offtarget.serve.traffic.entries import Arms, BadLine, read_line
from offtarget.serve.traffic.growing import Growing, Line, Place
from offtarget.workflows.serve.evidence import Bundles
from offtarget.workflows.serve.monitoring import monitor_parts

_LOG = logging.getLogger("offtarget.serve")
POLL_SECONDS = 0.2
"""Between two looks at a log that did not grow."""
WAITING = 500
"""Exchanges that may wait for the judge; the log waits, and nothing is dropped."""
PLACE_SECONDS = 10.0
"""Between two times that the place in the log is written down."""
NAMED = 5
"""Bad lines of a kind that are told one by one; of the others the number."""
APPLY_SECONDS = 0.1
"""Between two looks at what is in force."""
OTHERS = 20
"""Names of other models that are remembered."""
TOO_LONG = "it is longer than is read"


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Which log is judged, and how."""

    traffic: Path
    base: tuple[str, ...] = ("base",)
    """Names of the base model in the log; the first is shown."""
    tuned: tuple[str, ...] = ("tuned",)
    alias: str = "traffic"
    canary: CanarySettings = field(default_factory=lambda: CanarySettings(probe_seconds=0.0))
    sampled: bool = False
    """Whether `canary.share` is known to be the share in the log, so that no more base answers are judged than that
    needs; else all are."""
    state: StateSettings = field(default_factory=lambda: StateSettings(url="sqlite:watch.sqlite"))
    host: str = "127.0.0.1"
    port: int = 8081
    """Of the admin plane; 0: a free one."""
    key_sha256: str = ""
    """Of the admin key; empty: one is made at the start and told once."""
    reader_key_sha256: str = ""
    """Of a key that sees everything and orders nothing; empty: there is none."""
    webhook: str = ""
    once: bool = False
    """Whether it ends with the log, in place of waiting for more; then nothing is served."""


@dataclass(slots=True)
class Watched:
    """What became of the lines so far."""

    lines: int = 0
    answers: int = 0
    """Handed to the monitor."""
    passed_over: int = 0
    """Of other models, or no answers."""
    others: Counter[str] = field(default_factory=Counter)
    """The names of those other models, a few of them."""
    not_sampled: int = 0
    """Of the base, more than the evidence needs."""
    rolled_back: int = 0
    """That came while the tuned model was rolled back."""
    bad: Counter[str] = field(default_factory=Counter)
    """Lines, or parts of them, that could not be read, by why."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that is said while the log is watched."""

    kind: str
    """`ready`, `line`, `state`, `alarm` or `stopped`."""
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


OnTold = Callable[[Told], None]


def watch(
    settings: WatchSettings,
    *,
    opening: OpenSettings | None = None,
    on_told: OnTold = lambda told: None,
    stop: threading.Event | None = None,
) -> tuple[Watched, Overview]:
    """Judge a log until `stop` is set, or to its end; returns what was read and how the tuned model stands then.

    What was judged is remembered in the state, and the next call goes on there. Raises InputError for what is wrong
    before anything is judged.
    """
    gateway = _gateway(settings)
    parts = monitor_parts(gateway, opening)
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        store = open_store(settings.state)
        stack.callback(store.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offtarget-watch-")))
        cell = Cell.create(folder / "cell", 1)
        stack.callback(cell.close)
        switchboard = Switchboard(gateway.aliases, cell, folder)
        judges = {name: part.judge.fingerprint for name, part in parts.items() if part.judge is not None}
        bundles = Bundles(lambda: gateway, store, {}, judges, runs_root())
        monitor = Monitor(gateway, parts, store, bundle=bundles.of)
        stack.callback(monitor.close)
        operations, server = _orders(settings, gateway, switchboard, store, bundles)
        stack.callback(operations.close)
        rollout = operations.begin(settings.alias, _models(settings))
        assert rollout is not None
        switchboard.apply(rollout)
        reader = Reader(settings, store, monitor, switchboard, on_told)
        stack.callback(reader.close)
        if server is not None:
            stack.enter_context(server.beside())
            on_told(_ready(settings, server.url, reader))
        _run(reader, monitor, stop, once=settings.once)
        overview = Overviews(lambda: gateway, switchboard, store, Totals(), StoredReadings(store)).overview()
    return reader.watched, overview


def _orders(
    settings: WatchSettings, gateway: GatewaySettings, switchboard: Switchboard, store: Store, bundles: Bundles
) -> tuple[Operations, PageServer | None]:
    """What carries out orders, and the admin plane that takes them; None where nothing is served."""
    if settings.once:
        return Operations(lambda: gateway, switchboard, store), None
    made: list[AdminApp] = []

    def make(access: Access, hosts: Collection[str]) -> AdminApp:
        keys = Keys(settings.key_sha256 or sha256_of(access.token), settings.reader_key_sha256)
        made.append(
            AdminApp(
                lambda: gateway, switchboard, store, Totals(), StoredReadings(store), keys=keys, access=access,
                hosts=hosts, dashboard=DashboardPages(), evidence=bundles,
            )
        )  # fmt: skip
        return made[0]

    server = PageServer(make, settings.host, settings.port, what="The verdict")
    return made[0].operations, server


def _gateway(settings: WatchSettings) -> GatewaySettings:
    if not settings.base or not settings.tuned:
        raise InputError("Name the base and the tuned model as the log names them.")
    both = sorted(set(settings.base) & set(settings.tuned))
    if both:
        raise InputError(f"'{both[0]}' is given as base and as tuned; the log must name them apart.")
    alias = Alias(settings.alias, Upstream("", settings.base[0]), Upstream("", settings.tuned[0]), settings.canary)
    return GatewaySettings(
        (alias,), admin_host=settings.host, admin_port=settings.port, state=settings.state, webhook=settings.webhook
    )


def _models(settings: WatchSettings) -> str:
    text = "|".join((*sorted(settings.base), "", *sorted(settings.tuned)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _run(reader: Reader, monitor: Monitor, stop: threading.Event, *, once: bool) -> None:
    """Rounds of the monitor, with the log in between, in one thread."""
    while not stop.is_set():
        moved = reader.step(last=once)
        try:
            monitor.round()
        except Exception:  # as in `Monitor.run`: whatever is wrong in one round, the next comes
            if once:
                raise
            _LOG.exception("A round of the monitor failed.")
            stop.wait(POLL_SECONDS)
        reader.follow()
        if once and reader.ended and reader.idle:
            break
        stop.wait(0.0 if moved else POLL_SECONDS if reader.idle else 0.002)
    reader.remember()
    reader.settle()


class Reader:
    """Hands the lines of a log to the monitor, as fast as it judges, and remembers how far it came."""

    def __init__(
        self, settings: WatchSettings, store: Store, monitor: Monitor, switchboard: Switchboard, on_told: OnTold
    ) -> None:
        """Goes on where the state says that the last one stopped. Raises InputError, StoreError."""
        self._settings, self._store, self._on_told = settings, store, on_told
        self._switchboard = switchboard
        self._watch = monitor.watches[settings.alias]
        self._monitor = monitor
        self._arms = Arms(frozenset(settings.base), frozenset(settings.tuned))
        self._name = f"place in {settings.traffic.resolve()}"
        place = _place(store.reading(self._name))
        self.log = Growing(settings.traffic, place)
        if not self.log.went_on and place.offset:
            on_told(
                Told("line", f"{settings.traffic} is another file than the one read before: read from its beginning.")
            )
        self._lines: Iterator[Line] = iter(())
        self._reached: Place | None = None
        self._rollout: Rollout | None = None
        self._applied = -APPLY_SECONDS
        self._again = 0.0
        self.watched = Watched()
        self.ended = False
        """Whether the last step came to the end of the log."""

    @property
    def idle(self) -> bool:
        """Whether everything that was read is judged and written down."""
        return self._watch.idle

    def step(self, *, last: bool = False) -> bool:
        """Read some lines, where the monitor has room; whether there were any."""
        self._remember_now_and_then()
        self.ended = False
        if time.monotonic() - self._applied > APPLY_SECONDS:
            self.apply()
        if len(self._watch.inbox) >= WAITING or self._reached is not None:
            return False
        rollout = self._rollout
        if rollout is None:
            return False
        moved = False
        for line in self.log.lines(last=last):
            moved = True
            self._take(line, rollout.number, rollout.status == "rolled back")
            if len(self._watch.inbox) >= WAITING:
                return True
        self.ended = True
        return moved

    def remember(self) -> None:
        """Write down how far everything is judged; nothing where that is not so, or the store does not answer."""
        if not self.idle:
            return
        with contextlib.suppress(StoreError):
            self._store.put_reading(self._name, to_jsonable(self._reached or self.log.place()))
            self._reached = None

    def settle(self) -> None:
        """Have all that is judged in the evidence, acted on and published, where the store answers."""
        with contextlib.suppress(StoreError):
            self._monitor.settle()
            self.apply()

    def follow(self) -> None:
        """Put in force what the monitor has just done."""
        if self._watch.rollout != self._rollout:
            self.apply()

    def apply(self) -> None:
        """Put in force what the state says, so that it is told."""
        with contextlib.suppress(StoreError):
            self._rollout = self._store.rollout(self._settings.alias)
        if self._rollout is not None:
            self._switchboard.apply(self._rollout)
        self._applied = time.monotonic()

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()

    def _remember_now_and_then(self) -> None:
        """Now and then nothing is read until all is judged: then nothing is missing before the place."""
        now = time.monotonic()
        if self._reached is None and now >= self._again and self.watched.lines:
            self._reached = self.log.place()
        if self._reached is not None and self.idle:
            self.remember()
            self._again = now + PLACE_SECONDS

    def _take(self, line: Line, rollout: int, rolled_back: bool) -> None:
        self.watched.lines += 1
        try:
            if line.too_long:
                raise BadLine(TOO_LONG)
            found = read_line(line.text, self._arms, self._settings.alias, rollout, time.time())
        except BadLine as error:
            self._bad(line.number, str(error))
            return
        self.watched.passed_over += found.passed_over
        for name in found.others:
            if name in self.watched.others or len(self.watched.others) < OTHERS:
                self.watched.others[name] += 1
        for why in found.bad:
            self._bad(line.number, why)
        for exchange in found.exchanges:
            if rolled_back:
                self.watched.rolled_back += 1
            elif exchange.arm == "base" and not self._sampled(exchange):
                self.watched.not_sampled += 1
            else:
                self.watched.answers += 1
                self._monitor.put(exchange)

    def _sampled(self, exchange: Exchange) -> bool:
        """Whether a base conversation is judged; settled by its name, before the answer is looked at."""
        if not self._settings.sampled:
            return True
        share = self._switchboard.in_force(self._settings.alias).base_sample
        return int.from_bytes(hashlib.sha256(b"base\0" + exchange.conversation.encode()).digest()[:7]) / 2**56 < share

    def _bad(self, number: int, why: str) -> None:
        self.watched.bad[why] += 1
        count = self.watched.bad[why]
        if count <= NAMED:
            more = " Further ones are counted and not told." if count == NAMED else ""
            text = f"{self._settings.traffic}, line {number}: {why}. It is passed over.{more}"
            self._on_told(Told("line", text, {"line": number, "why": why}))


def _place(kept: Any) -> Place:
    try:
        return from_json(Place, kept) if kept else Place()
    except (TypeError, ValueError):
        return Place()


def _ready(settings: WatchSettings, url: str, reader: Reader) -> Told:
    address, _, key = url.partition("/?token=")
    place = reader.log.place()
    where = f"goes on at line {place.line + 1}" if reader.log.went_on else "reads from its beginning"
    lines = [
        f"Watching {settings.traffic}: {where}.",
        f"Verdict:   {address}/verdict",
        f"Dashboard: {url}" if not settings.key_sha256 else f"Dashboard: {address}/",
    ]
    if not settings.key_sha256:
        lines.append(f"Key:       {key}")
    return Told(
        "ready", "\n".join(lines), {"admin": address, "dashboard": url, "key": "" if settings.key_sha256 else key}
    )


def summary(watched: Watched, *, judged: bool = True) -> str:
    """What became of the lines, as a sentence or two; `judged`: whether there is a judge."""
    came_to = "handed to the judge" if judged else "found and not judged"
    parts = [f"{many(watched.lines, 'line')} read, {many(watched.answers, 'answer')} {came_to}."]
    if watched.passed_over:
        names = ", ".join(f"'{name}'" for name, _ in watched.others.most_common(3))
        more = f": {names}{', ...' if len(watched.others) > 3 else ''}" if names else ""
        parts.append(f"{many(watched.passed_over, 'entry', 'entries')} of other models or no answers{more}.")
    if watched.not_sampled:
        parts.append(f"{many(watched.not_sampled, 'base answer')} more than the evidence needs.")
    if watched.rolled_back:
        parts.append(f"{many(watched.rolled_back, 'answer')} came while the tuned model was rolled back.")
    for why, count in watched.bad.most_common():
        parts.append(f"{many(count, 'line')} could not be read: {why}.")
    return " ".join(parts)
