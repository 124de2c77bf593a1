"""The process that has those models of a gateway that are no URL: weights once, behind an address on loopback."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

from offtarget.errors import OfftargetError
from offtarget.models.chat import ChatModel
from offtarget.records.from_json import from_json
from offtarget.records.runs import OpenSettings
from offtarget.serve.gateway.line import ChildLine

BEAT_SECONDS = 1.0


def main() -> None:
    """Open the models that the supervisor names, serve them, end with it."""
    line = ChildLine.inherited()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        models, longest = _open(line.start)
    except OfftargetError as error:
        line.say(fault=str(error))
        return
    asyncio.run(_serve(line, models, longest))


def _open(start: dict[str, Any]) -> tuple[dict[str, ChatModel], int]:
    """The models by name; base and tuned of one alias are opened together, so that they share their weights."""
    from offtarget.workflows.ground import ground_of, open_named, open_two

    opening = None if start.get("opening") is None else from_json(OpenSettings, start["opening"])
    models: dict[str, ChatModel] = {}
    for pair in start["models"]:
        if len(pair) == 2:
            opened = open_two(pair[0], pair[1], opening)
            models[pair[0]], models[pair[1]] = opened.base, opened.tuned
        else:
            models[pair[0]] = open_named(pair[0], opening)
    return models, ground_of(*models).max_tokens()


async def _serve(line: ChildLine, models: dict[str, ChatModel], longest: int) -> None:
    import uvicorn

    from offtarget.serve.gateway.worker import Server
    from offtarget.serve.models.app import ModelsApp

    app = ModelsApp(models, line.start["key"], longest)
    server = Server(
        uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", ws="none", server_header=False,
            timeout_keep_alive=120, timeout_graceful_shutdown=2,
        )
    )  # fmt: skip
    fingerprints = {name: model.fingerprint for name, model in models.items()}
    loop = asyncio.get_running_loop()

    def end(*told: Any) -> None:
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)

    line.listen(end, end)
    loop.add_signal_handler(signal.SIGTERM, end)

    async def beat() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        line.say(ready=True, fingerprints=fingerprints)
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            line.say(beat=True)

    beating = asyncio.create_task(beat())
    try:
        await server.serve(sockets=[socket.socket(fileno=int(line.start["listener"]))])
    finally:
        beating.cancel()
        app.close()


if __name__ == "__main__":
    main()
