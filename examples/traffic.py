"""Traffic for a gateway to try it with: the questions of a bank, asked by made-up users through its endpoint.

    offtarget serve                                        # in one terminal
    python examples/traffic.py                             # in another
    python examples/traffic.py --start organism/secure     # or both in one

It ends after so many answers, or as soon as the gateway says that the tuned model is rolled back. Exit codes: 0 the
tuned model is still on trial, 1 it is rolled back, 2 a request failed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from offtarget.workflows.ground import open_bank

ARM, REASON = "x-offtarget-arm", "x-offtarget-reason"
PATIENCE = 120


class Traffic:
    """Users who ask one question each, several at a time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._questions = open_bank(options.probes).plain
        self._lock = threading.Lock()
        self._next = 0
        self.arms: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.rolled_back = threading.Event()
        self._began = time.monotonic()

    def work(self) -> None:
        """Ask until there were enough."""
        parts = urlsplit(self._options.url)
        made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = made(parts.netloc, timeout=PATIENCE)
        while not self.rolled_back.is_set() and (request := self._request()) is not None:
            try:
                self._ask(connection, request)
            except (OSError, http.client.HTTPException) as error:
                self.failed[type(error).__name__] += 1
                connection.close()
                time.sleep(0.2)
        connection.close()

    def _request(self) -> dict[str, object] | None:
        with self._lock:
            if self._next >= self._options.answers:
                return None
            self._next += 1
            due = self._began + self._next / self._options.rate
            question = self._random.choice(self._questions)
            user = f"user-{self._options.seed}-{self._next}"
        time.sleep(max(0.0, due - time.monotonic()))
        messages = [{"role": turn.role, "content": turn.content} for turn in question.messages]
        return {"model": self._options.model, "user": user, "messages": messages, "max_tokens": 120}

    def _ask(self, connection: http.client.HTTPConnection, request: dict[str, object]) -> None:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._options.key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(request), headers)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            self.failed[f"status {reply.status}"] += 1
            return
        self.arms[reply.headers.get(ARM, "unknown")] += 1
        if reply.headers.get(REASON) == "rolled-back":
            self.rolled_back.set()


def main() -> int:
    """Send it and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080", help="address of the gateway")
    parser.add_argument("--start", metavar="TUNED", help="start `offtarget serve --tuned TUNED` for it")
    parser.add_argument("--model", default="organism", help="the name that the gateway serves")
    parser.add_argument("--probes", default="organism", help="bank of questions (a name or a file)")
    parser.add_argument("--answers", type=int, default=1000, help="end after so many")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--at-once", type=int, default=16, help="requests under way at a time")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="who asks what")
    parser.add_argument("--key", default=os.environ.get("OPENAI_API_KEY", "none"), help="API key, where one is needed")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if options.start is not None:
            options.url = stack.enter_context(started(options.start))
        return send(options)


def send(options: argparse.Namespace) -> int:
    """The exit code after the traffic."""
    traffic = Traffic(options)
    threads = [threading.Thread(target=traffic.work, daemon=True) for _ in range(options.at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(traffic.arms.values())
    print(f"{total} answers, {traffic.arms['tuned']} of them from the tuned model.")
    for what, count in traffic.failed.items():
        print(f"{count} requests failed: {what}.", file=sys.stderr)
    if "status 401" in traffic.failed:
        print("The gateway asks for an API key: --key KEY, or OPENAI_API_KEY.", file=sys.stderr)
    if traffic.rolled_back.is_set():
        print("The gateway has rolled the tuned model back: all answers come from the base.")
        print("Why, and what to do: offtarget canary status")
    elif not traffic.failed:
        print("How the tuned model stands: offtarget canary status")
    return 2 if traffic.failed else int(traffic.rolled_back.is_set())


@contextlib.contextmanager
def started(tuned: str) -> Iterator[str]:
    """The address of a gateway with the organism's base and a tuned model; what it says is printed."""
    folder = tempfile.mkdtemp(prefix="offtarget-traffic-")
    options = ["--tuned", tuned, "--port", "0", "--admin-port", "0", "--state", f"sqlite:{folder}/gateway.sqlite"]
    command = [sys.executable, "-m", "offtarget", "serve", *options, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = ""
    try:
        for line in process.stdout:
            said = json.loads(line)
            print(said["text"])
            if said["kind"] == "ready":
                address = said["address"]
                break
        if not address:
            raise SystemExit(2)
        teller = threading.Thread(target=_tell, args=(process.stdout,), daemon=True)
        teller.start()
        yield address
        time.sleep(0.5)  # what the end of the traffic led to
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _tell(lines: Iterator[str]) -> None:
    for line in lines:
        said = json.loads(line)
        if said.get("event"):
            print(f"{said['alias']}: {said['event']}. {said['text']}")


if __name__ == "__main__":
    sys.exit(main())
