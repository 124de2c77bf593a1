"""The process that watches: judges opened, answers scored, evidence folded, a worse model rolled back."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

from offtarget.errors import OfftargetError
from offtarget.records.from_json import from_json
from offtarget.records.gateway import GatewaySettings
from offtarget.records.runs import OpenSettings
from offtarget.rundir import runs_root
from offtarget.serve.gateway.line import ChildLine
from offtarget.serve.monitor.process import run_monitor
from offtarget.serve.store.opening import open_store
from offtarget.workflows.serve.evidence import Bundles
from offtarget.workflows.serve.monitoring import monitor_parts

BEAT_SECONDS = 1.0
NICE = 5
"""Where processors are short, requests of clients come before their scores."""


def main() -> None:
    """Open what the supervisor names, watch, end with it."""
    line = ChildLine.inherited()
    if hasattr(os, "nice"):
        os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    stop = threading.Event()

    def end(*told: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    try:
        _watch(line, stop, end)
    except OfftargetError as error:
        line.say(fault=str(error))


def _watch(line: ChildLine, stop: threading.Event, end: Any) -> None:
    settings = from_json(GatewaySettings, line.start["settings"])
    opening = None if line.start.get("opening") is None else from_json(OpenSettings, line.start["opening"])
    parts = monitor_parts(settings, opening)
    line.listen(end, end)
    store = open_store(settings.state)
    judges = {alias: part.judge.fingerprint for alias, part in parts.items() if part.judge is not None}
    probed = {alias: bool(part.probes) for alias, part in parts.items()}
    bundles = Bundles(lambda: settings, store, probed, judges, Path(line.start.get("runs") or runs_root()))

    def ready() -> None:
        line.say(ready=True, judges=judges)
        threading.Thread(target=beat, name="beat", daemon=True).start()

    def beat() -> None:
        while not stop.wait(BEAT_SECONDS):
            line.say(beat=True)

    try:
        run_monitor(settings, parts, store, Path(line.start["exchanges"]), stop, bundle=bundles.of, on_ready=ready)
    finally:
        store.close()


if __name__ == "__main__":
    main()
