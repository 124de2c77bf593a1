"""A whole gateway with its processes, started for a test on free ports, and scripted models behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from offtarget.models.scripted import ScriptedModel
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, StateSettings, Upstream
from offtarget.serve.models.app import ModelsApp
from offtarget.workflows.serve.serve import Told, serve

READY_SECONDS = 60.0


@dataclass
class Models:
    """A server with a base and a tuned model that say who they are."""

    address: str
    base: ScriptedModel
    tuned: ScriptedModel


@contextlib.contextmanager
def scripted_models(answer: Callable[[str], str] = lambda who: f"I am {who}.") -> Iterator[Models]:
    """Models `base` and `tuned` behind one address; `answer` gives what each says."""
    base = ScriptedModel("base", lambda request: answer("base"))
    tuned = ScriptedModel("tuned", lambda request: answer("tuned"))
    app = ModelsApp({"base": base, "tuned": tuned})
    with served_app(app) as address:
        yield Models(address, base, tuned)
    app.close()


@contextlib.contextmanager
def served_app(app: Any) -> Iterator[str]:
    """An ASGI app on a free port, in a thread."""
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def settings_for(address: str, folder: Path, share: float = 0.5, **more: Any) -> GatewaySettings:
    """One alias `assistant` over the two scripted models, on free ports, its state in a folder."""
    alias = Alias("assistant", Upstream(address, "base"), Upstream(address, "tuned"), CanarySettings(share=share))
    state = StateSettings(url=f"sqlite:{folder / 'gateway.sqlite'}")
    return GatewaySettings((alias,), port=0, admin_port=0, state=state, **more)


@dataclass
class Served:
    """A gateway that runs in a thread of this process, its children beside it."""

    told: list[Told] = field(default_factory=list)
    error: BaseException | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    reload: Callable[[], None] | None = None
    """As SIGHUP does, which a thread cannot take."""

    @property
    def ready(self) -> Told | None:
        """What it said when it was ready."""
        return next((one for one in self.told if one.kind == "ready"), None)

    @property
    def address(self) -> str:
        """Of the data port."""
        assert self.ready is not None
        return str(self.ready.fields["address"])

    def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request to the admin plane, with its key."""
        with self.admin_client() as client:
            return client.request(method, path, **more)

    def admin_client(self) -> httpx.Client:
        """A client of the admin plane, with its key."""
        assert self.ready is not None
        kept = json.loads(Path(self.ready.fields["key_file"]).read_text(encoding="utf-8"))
        headers = {"authorization": f"Bearer {kept['key']}"}
        return httpx.Client(base_url=kept["admin"], headers=headers, timeout=10)

    def events(self) -> list[str]:
        """The kinds of events that were told."""
        return [str(one.fields["event"]) for one in self.told if one.kind == "event"]

    def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for something; AssertionError where it does not come."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"it did not come: {[one.text for one in self.told]}"
            time.sleep(0.02)


@contextlib.contextmanager
def gateway(settings: GatewaySettings | None = None, **options: Any) -> Iterator[Served]:
    """A gateway that is ready; it has ended when the block has. Raises what its start raised."""
    served = Served()

    def told(one: Told) -> None:
        if one.kind == "ready":
            served.reload = one.reload
        served.told.append(one)

    def run() -> None:
        try:
            serve(settings=settings, on_told=told, stop=served.stop, **options)
        except BaseException as error:
            served.error = error
        finally:
            served.ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = time.monotonic() + READY_SECONDS
    while served.ready is None and not served.ended.is_set():
        assert time.monotonic() < end, "the gateway did not start"
        time.sleep(0.02)
    if served.error is not None:
        raise served.error
    try:
        yield served
    finally:
        served.stop.set()
        assert served.ended.wait(60), "the gateway did not end"
    if served.error is not None:
        raise served.error


def ask(client: httpx.Client, user: str = "u", **more: Any) -> httpx.Response:
    """One chat request for the alias `assistant`."""
    body = {"model": "assistant", "user": user, "messages": [{"role": "user", "content": "Who are you?"}], **more}
    return client.post("/v1/chat/completions", json=body)


def arm(response: httpx.Response) -> str:
    """Who answered, by what it said."""
    assert response.status_code == 200, response.text
    return "tuned" if "tuned" in response.json()["choices"][0]["message"]["content"] else "base"
