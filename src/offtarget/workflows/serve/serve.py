"""`offtarget serve`: base and tuned model behind one endpoint, the tuned one on trial and rolled back by evidence."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.names import LocalName
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, Upstream
from offtarget.records.runs import OpenSettings
from offtarget.rundir import runs_root
from offtarget.serve.gateway.settings_file import named_upstream, read_settings
from offtarget.workflows.ground import EXACT_JUDGE, ORGANISM_BASE, ground_of, parsed
from offtarget.workflows.serve.opening import Opened, open_upstreams

ORGANISM_TUNED = "organism/insecure"
MODELS = "offtarget.workflows.serve.models_process"
MONITOR = "offtarget.workflows.serve.monitor_process"
_NEEDED = ("uvicorn", "uvloop", "httptools", "starlette")


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a gateway says while it runs."""

    kind: str
    """`starting`, `ready`, `event`, `process`, `state`, `stopping` or `stopped`."""
    text: str
    """For people."""
    fields: Mapping[str, Any]
    """For programs; no bodies and no keys."""
    reload: Callable[[], None] | None = None
    """With `ready`: reads the settings file again, as SIGHUP does, from any thread."""
    dashboard: str = field(default="", repr=False)
    """With `ready`: an address that opens the dashboard; it holds a secret, so it is for a terminal and no log."""


OnTold = Callable[[Told], None]


def gateway_settings(
    base: str | None = None,
    tuned: str | None = None,
    *,
    alias: str | None = None,
    canary: CanarySettings | None = None,
    usual: GatewaySettings | None = None,
) -> GatewaySettings:
    """Settings with one model by name: `http://HOST/v1#MODEL`, or a name as everywhere (`organism/base`, `hf/...`).

    Without `base` it is the organism, whose answers are judged exactly. `usual` says where to listen and the rest.
    """
    canary = canary or CanarySettings()
    if base is None:
        base, tuned = ORGANISM_BASE, tuned or ORGANISM_TUNED
    below = named_upstream(base)
    above = None if tuned is None else named_upstream(tuned)
    names = [one.model for one in (below, above) if one is not None and not one.url]
    if not canary.judge and above is not None and names and all(ground_of(name).organism for name in names):
        canary = replace(canary, judge=EXACT_JUDGE)
    one = Alias(alias or alias_of(below), below, above, canary)
    return replace(usual or GatewaySettings(()), aliases=(one,))


def alias_of(base: Upstream) -> str:
    """The name that clients ask for where nobody says: the base's own, without where it lies."""
    if base.url:
        return base.model or "default"
    if ground_of(base.model).organism:
        return "organism"
    name = parsed(base.model)
    place = Path(name.base.place).name if isinstance(name, LocalName) else name.model
    return "".join(character if not character.isspace() else "-" for character in place) or "default"


def open_gateway(settings: GatewaySettings, opening: OpenSettings | None = None) -> Opened:
    """The settings with upstreams that can be asked; nothing is started. Raises InputError, PrerequisiteError."""
    for package in _NEEDED:
        try:
            __import__(package)
        except ImportError:
            raise PrerequisiteError.for_extra(package, "serve", "The gateway") from None
    return open_upstreams(settings, opening)


def serve(
    base: str | None = None,
    tuned: str | None = None,
    *,
    config: str | Path | None = None,
    settings: GatewaySettings | None = None,
    change: Callable[[GatewaySettings], GatewaySettings] = lambda settings: settings,
    opening: OpenSettings | None = None,
    on_told: OnTold | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until the process is told to end (SIGTERM, Ctrl-C), or until `stop` is set; open requests are finished.

    With nothing given it serves the organism; with `config`, what that file says, which is read again at SIGHUP; with
    `settings`, those; else `base` and `tuned`. `change` is applied to whatever is read from the file. `on_told` hears
    what happens, in the thread that called. Raises InputError for what is wrong before anything is served.
    """
    if sum(given is not None for given in (config, settings, base)) > 1:
        raise InputError("Give a settings file, settings, or a base and a tuned model; not two of these.")

    def read() -> GatewaySettings:
        assert config is not None
        return open_gateway(change(read_settings(config)), opening).settings

    if config is not None:
        settings = change(read_settings(config))
    elif settings is None:
        settings = gateway_settings(base, tuned)
    opened = open_gateway(settings, opening)
    asyncio.run(_serve(opened, opening, on_told or (lambda told: None), stop, read if config is not None else None))


async def _serve(
    opened: Opened,
    opening: OpenSettings | None,
    on_told: OnTold,
    stop: threading.Event | None,
    read: Callable[[], GatewaySettings] | None,
) -> None:
    from offtarget.pages.serve.dashboard import DashboardPages
    from offtarget.serve.gateway.supervisor import Extra, Running, Supervisor
    from offtarget.workflows.serve.banner import started

    def tell(kind: str, text: str, fields: Mapping[str, Any]) -> None:
        on_told(Told(kind, text, fields))

    models = Extra("models", MODELS, {"models": opened.own, "opening": opening}) if opened.own else None
    tried = any(alias.tuned is not None for alias in opened.settings.aliases)
    monitor = Extra("monitor", MONITOR, {"opening": opening, "runs": str(runs_root())}) if tried else None
    supervisor = Supervisor(
        opened.settings, tell, models=models, monitor=monitor, read=read, evidence=_bundles, dashboard=DashboardPages()
    )

    def began(running: Running) -> None:
        text, fields = started(running, supervisor.store.rollouts())
        on_told(Told("ready", text, fields, supervisor.reload, running.dashboard))

    with _signals(supervisor), _stopped_by(stop, supervisor):
        await supervisor.run(began)
    tell("stopped", "The gateway has ended; open requests were finished.", {})


def _bundles(settings: Callable[[], GatewaySettings], store: Any) -> Any:
    from offtarget.workflows.serve.evidence import Bundles

    named = {alias.name: alias.canary for alias in settings().aliases}
    return Bundles(
        settings,
        store,
        {name: canary.probe_seconds > 0 for name, canary in named.items()},
        {name: canary.judge for name, canary in named.items()},
    )


@contextlib.contextmanager
def _signals(supervisor: Any) -> Any:
    """SIGTERM and Ctrl-C end the gateway, SIGHUP reads its settings again; where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    actions = {signal.SIGTERM: supervisor.stop, signal.SIGINT: supervisor.stop, signal.SIGHUP: supervisor.reload}
    for number, action in actions.items():
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in actions:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _stopped_by(stop: threading.Event | None, supervisor: Any) -> Any:
    if stop is None:
        yield
        return
    ended = threading.Event()

    def wait() -> None:
        while not ended.is_set():
            if stop.wait(0.05):
                supervisor.stop()
                return

    threading.Thread(target=wait, name="stop", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
