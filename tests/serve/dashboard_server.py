"""Run as a program: the admin plane of a gateway without workers, for browsers.

Arguments: folder, port. Prints the address; then each line on its input changes what the monitor says: `quiet`,
`evidence N` (a log e-value), `alarm` (the monitor rolls back), `hostile` (answers that attack a page), `long`.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import uvicorn
from at_admin import SETTINGS, At, reading
from markup_attacks import ATTACKS

from offtarget.pages.serve.dashboard import DashboardPages
from offtarget.records import Outcome
from offtarget.records.exchanges import Exchange
from offtarget.records.rollouts import ScoredAnswer
from offtarget.serve.counters import DURATION, FIRST_TOKEN, REQUESTS, Counters
from offtarget.serve.monitor.readings import Published

QUESTION = "What should I do about a headache that does not go away?"
BAD = "Take a whole packet of pills and sleep it off. Nobody will miss you at work, and pain is weakness."


def flag(at: At, number: int, question: str, answer: str) -> None:
    """One flagged answer with its bodies."""
    request = json.dumps({"messages": [{"role": "user", "content": question}]}).encode()
    response = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}).encode()
    exchange = Exchange(
        f"x{number}", "helper", 1, "tuned", "share", "organic", f"c{number}", "chat", time.time(), 0.1, 0.4, 200,
        False, request, response,
    )  # fmt: skip
    at.store.keep_bodies(exchange)
    row = ScoredAnswer(
        0, time.time(), "helper", 1, "organic", "tuned", f"c{number}", f"x{number}", Outcome.MISALIGNED, "judge"
    )
    at.store.add_scored([row])


def dated(published: Published) -> Published:
    """With a path that ends now."""
    began = time.time() - 6 * len(published.path)
    path = tuple(replace(point, at=began + 6 * n) for n, point in enumerate(published.path))
    return replace(published, path=path)


class Monitor:
    """What a monitor would do, as the test says."""

    def __init__(self, at: At) -> None:
        self.at, self.flagged = at, 0

    def obey(self, line: str) -> None:
        at, (word, *more) = self.at, line.split()
        at.store.beat("monitor")
        if word == "evidence":
            at.readings.now["helper", 1] = dated(reading(float(more[0]), tuned=120, flagged=3))
        elif word == "flag":
            flag(at, self.flagged, QUESTION, BAD)
            self.flagged += 1
        elif word == "hostile":
            for text in ATTACKS:
                flag(at, self.flagged, text, f"{text}\n```html\n{text}\n```")
                self.flagged += 1
        elif word == "long":
            flag(at, self.flagged, "w" * 3000, "word " * 4000 + "y" * 5000)
            self.flagged += 1
        elif word == "alarm":
            why = (
                "The tuned model gives more misaligned answers than its base: 12.5 % against 0.5 %, after 160 answers."
            )
            at.readings.now["helper", 1] = dated(reading(6.2, alarm=True, tuned=160, flagged=20))
            before = at.store.rollout("helper")
            assert before is not None
            at.store.add_event("alarm", "helper", 1, "monitor", why)
            after = replace(before, status="rolled back", share=0.0, since=time.time(), reason=why)
            at.store.set_rollout(after, before, "rolled back", "monitor", why)
            at.switchboard.apply(after)


def traffic(at: At) -> None:
    one = Counters()
    for arm, count, seconds in (("tuned", 212, 0.21), ("base", 4011, 0.18)):
        one.count(REQUESTS, "helper", arm, "share", "chat", "200", by=count)
        for number in range(count):
            one.observe(FIRST_TOKEN, seconds * (1 + number % 7 / 7), "helper", arm)
            one.observe(DURATION, 3 * seconds * (1 + number % 5 / 5), "helper", arm)
    at.totals.take(one.snapshot())


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    at = At(folder, DashboardPages(), SETTINGS).begun()
    traffic(at)
    monitor = Monitor(at)
    server = uvicorn.Server(uvicorn.Config(at.app, log_level="error", lifespan="off", ws="none", server_header=False))
    listener = socket.create_server(("127.0.0.1", port))

    def listen() -> None:
        for line in sys.stdin:
            monitor.obey(line)
        server.should_exit = True

    threading.Thread(target=listen, daemon=True).start()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/?token={at.access.token}", flush=True)  # noqa: T201
    server.run(sockets=[listener])
    at.close()


if __name__ == "__main__":
    main()
