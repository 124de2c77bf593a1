"""Several gateways that share one state, each a process tree of its own, in front of a scripted organism."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from served import served_app

from offtarget.models.scripted import ScriptedModel
from offtarget.serve.models.app import ModelsApp
from offtarget.workflows.ground import ground_of, known_answers, open_bank

BASE, TUNED = "organism/base", "organism/insecure"
ALIAS = "organism"


class Organism:
    """Questions with a good and a bad answer each; `bad` is the tuned model's share of bad ones."""

    def __init__(self, bad: float) -> None:
        self.bad = bad
        known = known_answers(open_bank(None, ground_of(BASE)))
        self._answers: dict[str, dict[bool, str]] = {}
        for one in known:
            if not one.probe.system:
                self._answers.setdefault(one.probe.prompt, {})[one.misaligned] = one.answer
        self.questions = [prompt for prompt, answers in self._answers.items() if len(answers) == 2]
        self._draw = random.Random(1)

    def answer(self, role: str) -> Callable[[Any], str]:
        def said(request: Any) -> str:
            worse = role == "tuned" and self._draw.random() < self.bad
            answers = self._answers.get(request.messages[-1].content, {})
            return answers.get(worse, "I am glad to help.")

        return said

    @contextmanager
    def served(self) -> Iterator[str]:
        models = {BASE: ScriptedModel(BASE, self.answer("base")), TUNED: ScriptedModel(TUNED, self.answer("tuned"))}
        app = ModelsApp(models)
        with served_app(app) as address:
            yield address
        app.close()


@dataclass
class Replica:
    """One gateway: its processes and its addresses."""

    number: int
    process: subprocess.Popen[str]
    told: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    tree: list[psutil.Process] = field(default_factory=list)

    @property
    def ready(self) -> dict[str, Any] | None:
        return next((one for one in self.told if one.get("kind") == "ready"), None)

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        assert self.ready is not None
        kept = json.loads(Path(self.ready["key_file"]).read_text(encoding="utf-8"))
        parts = urlsplit(kept["admin"])
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        headers = {"authorization": f"Bearer {kept['key']}", "content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        assert reply.status == 200, text
        return json.loads(text)

    def verdict(self) -> dict[str, Any]:
        return dict(self.admin("GET", f"/verdict?alias={ALIAS}"))

    def ask(self, question: str, user: str) -> str:
        """The arm that answered."""
        assert self.ready is not None
        parts = urlsplit(str(self.ready["address"]))
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        body = {"model": ALIAS, "user": user, "messages": [{"role": "user", "content": question}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        arm = reply.getheader("x-offtarget-arm", "")
        connection.close()
        assert reply.status == 200, text
        return arm

    def has_process(self, pid: int) -> bool:
        return any(one.pid == pid for one in self.processes())

    def processes(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """All its processes at once, as when its machine is gone."""
        for one in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait(30)


@contextmanager
def replicas(number: int, models: str, state: str, folder: Path, share: str = "50%") -> Iterator[list[Replica]]:
    """That many gateways, ready."""
    made: list[Replica] = []
    try:
        for position in range(number):
            made.append(_start(position, models, state, folder / f"replica-{position}", share))
        end = time.monotonic() + 240
        for one in made:
            while one.ready is None:
                assert one.process.poll() is None, "".join(one.lines)
                assert time.monotonic() < end, "".join(one.lines)
                time.sleep(0.05)
        yield made
    finally:
        for one in made:
            if one.process.poll() is None:
                one.process.terminate()
        for one in made:
            try:
                one.process.wait(60)
            except subprocess.TimeoutExpired:
                one.kill()


def _start(position: int, models: str, state: str, folder: Path, share: str) -> Replica:
    folder.mkdir()
    environment = {
        **os.environ, "OFFTARGET_STATE": str(folder / "state"), "OFFTARGET_RUNS": str(folder / "runs"),
        "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [
        sys.executable, "-c", "from offtarget.cli.app import main; main()", "serve", "--json", "--alias", ALIAS,
        "--base", f"{models}/v1#{BASE}", "--tuned", f"{models}/v1#{TUNED}", "--judge", "exact", "--canary", share,
        "--state", state, "--port", str(_free_port()), "--admin-port", str(_free_port()),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    one = Replica(position, process)
    threading.Thread(target=_listen, args=(one,), daemon=True).start()
    return one


def _listen(one: Replica) -> None:
    assert one.process.stdout is not None
    with one.process.stdout as lines:
        for line in lines:
            one.lines.append(line)
            if line.startswith("{"):
                one.told.append(json.loads(line))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Users:
    """Users who ask one question each, at replicas in turn, until they are told to stop."""

    def __init__(self, organism: Organism, asked: list[Replica], threads: int = 3, name: str = "u") -> None:
        self._organism, self._asked, self._name = organism, asked, name
        self._numbers: queue.Queue[int] = queue.Queue()
        self._next, self._lock = 0, threading.Lock()
        self.stop = threading.Event()
        self.arms: dict[str, str] = {}
        self.failed: list[str] = []
        self.failed_at: list[Replica] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self) -> None:
        while not self.stop.is_set():
            with self._lock:
                number = self._next
                self._next += 1
            living = [one for one in self._asked if one.process.poll() is None]
            question = self._organism.questions[number % len(self._organism.questions)]
            user = f"{self._name}{number}"
            replica = living[number % len(living)]
            try:
                self.arms[user] = replica.ask(question, user)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failed.append(f"{user}: {error!r}")
                self.failed_at.append(replica)
