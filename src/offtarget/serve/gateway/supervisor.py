"""The supervisor: holds the sockets, starts and restarts every process, keeps the switches, reloads, drains.

It imports no model and judges nothing; those are processes whose modules are handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn

from offtarget.errors import InputError, OfftargetError, StoreError
from offtarget.records.gateway import GatewaySettings
from offtarget.records.rollouts import CanaryEvent
from offtarget.register import state_root
from offtarget.review.security import Access, allowed_hosts
from offtarget.serve.admin.app import AdminApp, Dashboard, EvidenceSource
from offtarget.serve.admin.keys import Keys, sha256_of
from offtarget.serve.admin.operations import Operations
from offtarget.serve.admin.totals import CounterReceiver, Totals
from offtarget.serve.cell import CLOSED, STALE_SECONDS, Cell
from offtarget.serve.gateway.child import Child
from offtarget.serve.gateway.listening import address_of, listen
from offtarget.serve.gateway.worker import Server, WorkerStart
from offtarget.serve.monitor.readings import StoredReadings
from offtarget.serve.store.opening import open_store
from offtarget.serve.store.protocol import Store
from offtarget.serve.switchboard import Switchboard

WORKER = "offtarget.serve.gateway.worker"
STOP_SECONDS = 30.0
"""What open requests get when the gateway ends."""
START_SECONDS = 60.0
MONITOR_SECONDS = 60.0
"""Without a monitor for so long the share pauses."""
BEAT_SECONDS = 30.0
"""A monitor that wrote no sign of life into the state for so long does not count as one."""
WATCH_SECONDS = 1.0
"""Between two looks at whether there is a monitor."""
EVENT_SECONDS = 0.5
"""Longest wait for an event of the store before it is asked again."""
_AGAIN = 0.5
"""Seconds between two tries at a store that fails."""
_OTHERS = (
    "Another gateway on this state began rollout {1} of '{0}' with other models than stand behind it here. All its "
    "traffic goes to the base here. Give both gateways the same models, or each a state of its own."
)

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Called with a kind (`starting`, `ready`, `event`, ...), a sentence, and fields; no bodies and no keys."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A process that the gateway starts beside its workers: the one that monitors, or the one that has the models."""

    name: str
    module: str
    start: Mapping[str, Any]
    """Beside it the process is told `settings`, `exchanges`, `counts` and `folder`."""
    patience: float = 900.0
    """Seconds until it is ready; opening a large model takes minutes."""


@dataclass(slots=True)
class Running:
    """What is running, for whoever started it and for the admin plane."""

    address: str
    admin_address: str
    settings: GatewaySettings
    folder: Path
    admin_key: str = field(default="", repr=False)
    """Empty where the settings hold its hash, and nobody here knows the key."""
    key_file: Path | None = None
    dashboard: str = field(default="", repr=False)
    """Address of the dashboard, with the secret that opens it; empty: there is none."""


def gateway_folder(settings: GatewaySettings) -> Path:
    """Where a gateway keeps what must outlive it beside its state: by state and port, in the state of this machine."""
    url = settings.state.url
    scheme, _, rest = url.partition(":")
    place = str(Path(rest).expanduser().resolve()) if scheme == "sqlite" else url
    return state_root() / "gateways" / f"{hashlib.sha256(place.encode()).hexdigest()[:12]}-{settings.port}"


def models_of(settings: GatewaySettings, alias: str, fingerprints: Mapping[str, str]) -> str:
    """Fingerprint of what stands behind an alias: another tuned model or base is another rollout.

    `fingerprints`: of own models by name, since other weights may come under the same name.
    """
    found = next(one for one in settings.aliases if one.name == alias)
    sides = [found.base, found.tuned]
    text = "|".join(f"{one.url}#{one.model}#{fingerprints.get(one.model, '')}" for one in sides if one is not None)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_secret(settings: GatewaySettings, folder: Path) -> bytes:
    """What salts the split: of this gateway for ever; of replicas, which share a server, what they all know."""
    if not settings.state.url.startswith("sqlite:"):
        return hashlib.sha256(b"split of conversations\0" + settings.state.url.encode()).digest()
    path = folder / "split"
    with contextlib.suppress(OSError, ValueError):
        kept = bytes.fromhex(path.read_text(encoding="ascii"))
        if len(kept) == 32:
            return kept
    made = secrets.token_bytes(32)
    _write_private(path, made.hex())
    return made


def admin_config(app: Any) -> uvicorn.Config:
    """How uvicorn serves the admin plane."""
    return uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", ws="none", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip


class Supervisor:
    """One gateway from its start to its end, in one event loop. Safe to call from other threads where it says so."""

    def __init__(
        self,
        settings: GatewaySettings,
        tell: Tell,
        *,
        models: Extra | None = None,
        monitor: Extra | None = None,
        read: Callable[[], GatewaySettings] | None = None,
        evidence: Callable[[Callable[[], GatewaySettings], Store], EvidenceSource] | None = None,
        dashboard: Dashboard | None = None,
    ) -> None:
        """`models` has the upstreams without a URL; `read` gives the settings anew, `evidence` bundles of evidence."""
        self.settings = settings
        """As they were given: upstreams of this package have no URL."""
        self._tell, self._read = tell, read
        self._evidence, self._dashboard = evidence, dashboard
        self._models, self._monitor = models, monitor
        self._own_key = secrets.token_urlsafe(24)
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fingerprints: Mapping[str, str] = {}
        self._workers: list[Child] = []
        self._retired: list[Child] = []
        """Workers that others have followed, until they have finished."""
        self._started = 0
        self._extras: dict[str, Child] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._ended = threading.Event()
        self._ready = False
        self._looked = time.monotonic()
        """When the state was last looked at for events."""

    # -- what others ask of it

    def stop(self) -> None:
        """Finish what is open and end; the second time without finishing. From any thread."""
        self._loop.call_soon_threadsafe(self._told_to_stop)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            for child in (*self._workers, *self._retired, *self._extras.values()):
                child.kill()
        self._stop.set()

    def reload(self) -> None:
        """Read the settings again and put them in force. From any thread; what came of it is an event and told."""
        self._loop.call_soon_threadsafe(lambda: self._keep(self._loop.create_task(self._reload())))

    @property
    def ready(self) -> bool:
        """Whether every process works."""
        children = [*self._workers, *self._extras.values()]
        return self._ready and all(child.ready for child in children)

    def processes(self) -> dict[str, int | None]:
        """Process numbers by name, of those that run now."""
        return {child.name: child.pid for child in (*self._workers, *self._extras.values())}

    # -- its life

    async def run(self, began: Callable[[Running], None]) -> None:
        """Start everything, call `began`, serve until `stop`. Raises InputError before anything is served."""
        settings = self.settings
        with contextlib.ExitStack() as stack:
            self._listener = stack.enter_context(listen(settings.host, settings.port, "Clients", "--port"))
            admin = stack.enter_context(
                listen(settings.admin_host, settings.admin_port, "Administrators", "--admin-port")
            )
            self._own = stack.enter_context(listen("127.0.0.1", 0, "The models", "--port"))
            self._folder = _memory_folder()
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self.running = self._running(admin)
            stack.callback(self._forget_running)
            self.store: Store = open_store(settings.state)
            stack.callback(self.store.close)
            self._cell = Cell.create(self._folder / "cell-0", len(settings.aliases))
            self.switchboard = Switchboard(settings.aliases, self._cell, self.running.folder)
            self.totals = Totals()
            stack.callback(CounterReceiver(self._counts, self.totals).close)
            self._access = Access()
            if self._dashboard is not None:
                self.running.dashboard = f"{self.running.admin_address}/?token={self._access.token}"
            self.operations = Operations(lambda: self.settings, self.switchboard, self.store)
            self._admin = self._admin_app()
            stack.callback(self.operations.close)
            follower = threading.Thread(target=self._follow, args=(self._last_event(),), name="events", daemon=True)
            try:
                if await self._begun():
                    follower.start()
                    await self._serve(admin, began)
            finally:
                await self._end(follower)

    async def _begun(self) -> bool:
        """Start all processes; False where the gateway was told to end before they were ready."""

        async def begin() -> None:
            await self._start_extra(self._models)
            if self._models is not None:
                self._tell("starting", "The models are open.", {"process": self._models.name})
            self._begin_rollouts(self.settings)
            await self._start_extra(self._monitor)
            if self._monitor is not None:
                self._tell(
                    "starting", "The monitor is ready; the workers are started.", {"process": self._monitor.name}
                )
            self._workers = await self._new_workers(self._cell)

        beginning, stopped = asyncio.ensure_future(begin()), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({beginning, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not beginning.done():
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            return False
        beginning.result()
        return True

    async def _serve(self, admin: socket.socket, began: Callable[[Running], None]) -> None:
        server = Server(admin_config(self._admin))
        serving = asyncio.create_task(server.serve(sockets=[admin]))
        watching = asyncio.create_task(self._watch_monitor())
        beating = asyncio.create_task(self._beat())
        self.operations.write_rollbacks()
        self._ready = True
        began(self.running)
        await self._stop.wait()
        self._ready = False
        self._tell("stopping", "No new requests are taken; open ones are finished.", {"seconds": STOP_SECONDS})
        server.should_exit = True
        watching.cancel()
        beating.cancel()
        await asyncio.wait({serving}, timeout=5)
        serving.cancel()

    async def _end(self, follower: threading.Thread) -> None:
        self._ended.set()
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*(child.end(STOP_SECONDS) for child in (*self._workers, *self._retired)))
        await asyncio.gather(*(child.end(5.0) for child in self._extras.values()))
        if follower.is_alive():
            await asyncio.to_thread(follower.join, EVENT_SECONDS + 10)

    def _from_thread(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._tell, kind, text, fields)

    def _admin_app(self) -> AdminApp:
        key = self.running.admin_key
        return AdminApp(
            lambda: self.settings,
            self.switchboard,
            self.store,
            self.totals,
            StoredReadings(self.store),
            keys=Keys(sha256_of(key) if key else self.settings.admin_key_sha256, self.settings.admin_reader_key_sha256),
            access=self._access,
            hosts=allowed_hosts(self.settings.admin_host),
            ready=lambda: "" if self.ready else "A process of the gateway is not ready.",
            evidence=None if self._evidence is None else self._evidence(lambda: self.settings, self.store),
            dashboard=self._dashboard,
            told=lambda text, fields: self._from_thread("admin", text, fields),
            url=self.running.address,
        )

    # -- processes

    @property
    def _counts(self) -> Path:
        return self._folder / "counts"

    @property
    def _exchanges(self) -> str:
        return str(self._folder / "exchanges") if self._monitor is not None else ""

    def served(self, settings: GatewaySettings) -> GatewaySettings:
        """The settings with the address of the process that has the models, where a model has no other."""
        address = address_of(self._own, "127.0.0.1")

        def placed(upstream: Any) -> Any:
            if upstream is None or upstream.url:
                return upstream
            return replace(upstream, url=address, key=self._own_key)

        aliases = tuple(replace(a, base=placed(a.base), tuned=placed(a.tuned)) for a in settings.aliases)
        return replace(settings, aliases=aliases)

    async def _start_extra(self, extra: Extra | None) -> None:
        if extra is not None:
            self._extras[extra.name] = await self._ready_extra(extra)

    async def _ready_extra(self, extra: Extra) -> Child:
        """The process, at work. Raises InputError, and leaves none running, where it cannot be."""
        descriptors = (self._own.fileno(),) if extra is self._models else ()
        child = Child(extra.name, extra.module, self._start_of(extra), self._said, descriptors)
        child.begin()
        try:
            await child.until_ready(extra.patience)
        except BaseException:
            await child.end(0.0)
            raise
        return child

    def _start_of(self, extra: Extra) -> Mapping[str, Any]:
        return {
            **extra.start,
            "settings": self.served(self.settings),
            "listener": self._own.fileno(),
            "key": self._own_key,
            "exchanges": self._exchanges,
            "counts": str(self._counts),
            "cell": str(self._cell.path),
            "folder": str(self.running.folder),
        }

    async def _new_workers(self, cell: Cell) -> list[Child]:
        """Workers on a cell, all of them ready. Raises InputError, and leaves none running, where one is not."""
        # a worker needs neither the state nor the admin plane, so it does not get their keys
        told = replace(self.served(self.settings), state=type(self.settings.state)(), webhook="")
        told = replace(told, admin_key_sha256="", admin_reader_key_sha256="")
        start = WorkerStart(
            told,
            self._listener.fileno(),
            str(cell.path),
            self._exchanges,
            str(self._counts),
            split_secret(self.settings, self.running.folder).hex(),
            str(self.running.folder / "pins"),
        )
        fields = {name: getattr(start, name) for name in WorkerStart.__dataclass_fields__}
        made = []
        for _ in range(self.settings.workers):
            self._started += 1
            made.append(Child(f"worker-{self._started}", WORKER, fields, self._said, (self._listener.fileno(),)))
        for child in made:
            child.begin()
        try:
            await asyncio.gather(*(child.until_ready(START_SECONDS) for child in made))
        except BaseException:
            await asyncio.gather(*(child.end(0.0) for child in made))
            raise
        return made

    def _said(self, name: str, value: Mapping[str, Any]) -> None:
        if "died" in value:
            code = value["died"]
            how = f"by signal {-code}" if isinstance(code, int) and code < 0 else f"with code {code}"
            why = f" {value['fault']}" if value["fault"] else ""
            said = f"The process {name} ended {how} and is started again in {value['again_in']:g} s.{why}"
            self._tell("process", said, {"process": name, "code": code})
        elif isinstance(value.get("fingerprints"), dict):
            self._fingerprints = value["fingerprints"]
        elif isinstance(value.get("tell"), str):
            self._tell("process", value["tell"], {"process": name})

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    # -- rollouts

    def _all_models(self, settings: GatewaySettings) -> dict[str, str]:
        return {one.name: models_of(settings, one.name, self._fingerprints) for one in settings.aliases}

    def _begin_rollouts(self, settings: GatewaySettings) -> None:
        models = self._all_models(settings)
        self.switchboard.serves(models)
        for alias in settings.aliases:
            rollout = self.operations.begin(alias.name, models[alias.name])
            if rollout is not None:
                self.switchboard.apply(rollout)

    def _apply_all(self) -> None:
        """Put in force what the store says; where it does not answer, the follower does once it does."""
        with contextlib.suppress(OfftargetError):
            for rollout in self.store.rollouts():
                self.switchboard.apply(rollout)

    def _last_event(self) -> int:
        newest = self.store.newest_events(1)
        return newest[0].number if newest else 0

    def _follow(self, after: int) -> None:
        """Put in force what the store says, whoever wrote it; in a thread."""
        failed = False
        while not self._ended.is_set():
            self._looked = time.monotonic()
            try:
                for event in self.store.wait_for_events(after, EVENT_SECONDS):
                    rollout = self.store.rollout(event.alias) if event.alias else None
                    if rollout is not None:
                        self.switchboard.apply(rollout)
                        if self.switchboard.is_of_others(rollout):
                            self._from_thread("state", _OTHERS.format(rollout.alias, rollout.number), {})
                    after = event.number
                    self._loop.call_soon_threadsafe(self._tell_event, event)
                failed = False
            except Exception as error:  # whoever follows no longer hears of no rollback any more
                if self._loop.is_closed():
                    return
                if not failed and not self._ended.is_set():
                    why = str(error) if isinstance(error, OfftargetError) else type(error).__name__
                    said = f"The state cannot be read: {why} The switches stay as they are."
                    self._from_thread("state", said, {})
                failed = True
                self._ended.wait(_AGAIN)

    def _tell_event(self, event: CanaryEvent) -> None:
        fields = {"event": event.kind, "alias": event.alias, "rollout": event.rollout, "who": event.who}
        self._tell("event", event.why, {**fields, "number": event.number, "at": event.at})

    async def _beat(self) -> None:
        """Tell the workers that this process lives and hears of rollbacks; one that hangs does neither."""
        beaten = time.monotonic()
        while True:
            now = time.monotonic()
            if now - self._looked < STALE_SECONDS:
                if now - beaten > STALE_SECONDS:
                    why = f"The gateway did not hear of rollbacks for {now - beaten:.0f} seconds."
                    self._tell("state", f"{why} All traffic went to the base meanwhile.", {})
                self._cell.beat()
                beaten = now
            await asyncio.sleep(WATCH_SECONDS)

    async def _watch_monitor(self) -> None:
        if self._monitor is None:
            return
        seen, paused = time.monotonic(), False
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = time.monotonic()
            if self._extras[self._monitor.name].ready and await asyncio.to_thread(self._monitor_beats):
                seen, paused = now, False
            elif now - seen > MONITOR_SECONDS and not paused:
                paused = await asyncio.to_thread(self._pause_all)

    def _monitor_beats(self) -> bool:
        """Whether a monitor gets something done, as the state knows; a process alone may live and do nothing."""
        try:
            age = self.store.age("monitor")
        except OfftargetError:  # nobody can be told by a state that does not answer
            return True
        return age is not None and age < BEAT_SECONDS

    def _pause_all(self) -> bool:
        """Whether every rollout is paused, since nobody watches it."""
        why = f"There was no monitor for {MONITOR_SECONDS:.0f} seconds, so nobody would see harm."
        try:
            age = self.store.age("monitor")
            if age is not None and age < MONITOR_SECONDS:  # that of another replica goes on
                return False
            for rollout in self.store.rollouts():
                if rollout.status == "running":
                    self.operations.pause(rollout.alias, "gateway", why)
        except OfftargetError as error:
            self._loop.call_soon_threadsafe(self._tell, "state", f"A rollout cannot be paused: {error}", {})
            return False
        return True

    # -- reload

    async def _reload(self) -> None:
        async with self._reloading:
            try:
                if self._read is None:
                    raise InputError(
                        "This gateway was started without a settings file; there is nothing to read again."
                    )
                fresh = await asyncio.to_thread(self._read)
                self._refuse_fixed(fresh)
                await self._replace(fresh)
            except OfftargetError as error:
                await self._told_reload("reload refused", f"The settings stay as they were. {error}")
            else:
                await self._told_reload("reloaded", "The settings were read again and are in force.")

    async def _told_reload(self, kind: Any, why: str) -> None:
        try:
            await asyncio.to_thread(self.store.add_event, kind, "", 0, "gateway", why)
        except StoreError as error:  # the event would have been told by whoever follows them
            self._tell("reload", f"{why} (The state does not take this event: {error})", {"event": kind})

    def _refuse_fixed(self, fresh: GatewaySettings) -> None:
        """InputError for what only a start can change."""
        for name in (
            "host",
            "port",
            "admin_host",
            "admin_port",
            "admin_key_sha256",
            "admin_reader_key_sha256",
            "state",
        ):
            if getattr(fresh, name) != getattr(self.settings, name):
                raise InputError(f"'{name}' can only be changed by starting the gateway anew.")
        if _own_models(fresh) - _own_models(self.settings):
            raise InputError("Models that the gateway serves itself can only be added by starting it anew.")

    async def _replace(self, fresh: GatewaySettings) -> None:
        """New workers take over, then the old ones finish; InputError, and nothing is changed, where they cannot."""
        before, old_cell, old = self.settings, self._cell, self._workers
        # Other models get a cell of their own, which is closed: none of them is asked before its rollout has begun, and
        # none of the old ones after it, where their answers would count as those of the new ones.
        same = _behind(fresh) == _behind(before)
        cell = old_cell if same else Cell.create(self._folder / f"cell-{self._started}", len(fresh.aliases))
        self.settings = fresh
        monitor: Child | None = None
        workers: list[Child] = []
        longest = max(
            a.upstream(role).timeouts.total for s in (before, fresh) for a in s.aliases for role in ("base", "tuned")
        )
        try:
            monitor = None if self._monitor is None else await self._ready_extra(self._monitor)
            workers = await self._new_workers(cell)
            self.switchboard.renew(fresh.aliases, cell, self._all_models(fresh))
            await asyncio.to_thread(self._begin_rollouts, fresh)
        except BaseException:
            self.settings = before
            self.switchboard.renew(before.aliases, old_cell, self._all_models(before))
            if not same:
                cell.write_all([CLOSED] * cell.slots)
            for child in workers:  # they are at work by now, with settings that are not in force
                self._keep(asyncio.create_task(self._retire(child, longest)))
            await asyncio.to_thread(self._apply_all)
            if monitor is not None:
                await monitor.end(0.0)
            raise
        self._cell, self._workers = cell, workers
        if not same:  # nobody writes there any more: what old workers still get goes to the base
            old_cell.write_all([CLOSED] * old_cell.slots)
        for child in old:
            self._keep(asyncio.create_task(self._retire(child, longest)))
        if monitor is not None and self._monitor is not None:  # it has the socket already, and waits for the lease
            earlier, self._extras[self._monitor.name] = self._extras[self._monitor.name], monitor
            await earlier.end(5.0)

    async def _retire(self, child: Child, seconds: float) -> None:
        """Let a worker finish that others have followed."""
        self._retired.append(child)
        await child.end(seconds, idle_too=True)
        self._retired.remove(child)

    # -- where it is

    def _running(self, admin: socket.socket) -> Running:
        settings = self.settings
        folder = gateway_folder(settings)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = "" if settings.admin_key_sha256 else secrets.token_urlsafe(24)
        running = Running(
            address=address_of(self._listener, settings.host),
            admin_address=address_of(admin, settings.admin_host),
            settings=settings,
            folder=folder,
            admin_key=key,
            key_file=folder / "admin.json",
        )
        said = {"admin": running.admin_address, "address": running.address, "key": key, "pid": os.getpid()}
        _write_private(folder / "admin.json", json.dumps(said))
        return running

    def _forget_running(self) -> None:
        with contextlib.suppress(OSError):
            (self.running.folder / "admin.json").unlink()


def _own_models(settings: GatewaySettings) -> set[str]:
    sides = [side for alias in settings.aliases for side in (alias.base, alias.tuned) if side is not None]
    return {side.model for side in sides if not side.url}


def _behind(settings: GatewaySettings) -> list[object]:
    """The names in order, with the models behind each."""
    return [(a.name, [(s.url, s.model) for s in (a.base, a.tuned) if s is not None]) for a in settings.aliases]


def _memory_folder() -> Path:
    """A folder for what processes share while they run: in memory where the system has such a place."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    return Path(tempfile.mkdtemp(prefix="offtarget-", dir=shared if os.access(shared, os.W_OK) else None))


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
