"""A whole gateway, all its processes: secrets stay where they belong, and no client can hold it up or get behind it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Served, gateway, served_app, settings_for

from offtarget.records.gateway import ApiKey, GatewayLimits, Upstream

CLIENT = "sk-client-4f1d9c7be20a55"
WRONG = "sk-wrong-90aa17cc3de4f2"
BASE, TUNED = "sk-upstream-base-71be09d2", "sk-upstream-tuned-c4410f8a"
WEBHOOK = "webhook-secret-5d20ee91"
PRIVATE = "private-words-of-a-client-b7e3"
KEYS = (ApiKey("team", hashlib.sha256(CLIENT.encode()).hexdigest()),)
HEADERS = {"authorization": f"Bearer {CLIENT}"}
LIMITS = GatewayLimits(body_bytes=1_000_000, body_seconds=1.0, connections=2000)
pytestmark = [pytest.mark.timeout(180)]


class Models:
    """An ASGI app in the place of both models: keeps the headers it gets; one tuned answer in three fails."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self._count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        model = json.loads(body or b"{}").get("model", "base")
        self._count += 1
        status = 500 if model == "tuned" and self._count % 3 == 0 else 200
        message = {"role": "assistant", "content": f"I am {model}."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        said: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice]}
        if status == 500:  # a server that says more than it should
            said = {"error": {"message": f"no memory; {scope['headers']}"}}
        headers = [(b"content-type", b"application/json"), (b"set-cookie", f"key={TUNED}".encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFTARGET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


@contextlib.contextmanager
def running(tmp_path: Path, models: Models, **more: Any) -> Iterator[Served]:
    """A gateway with client keys before models that have keys of their own."""
    with served_app(models) as address:
        settings = settings_for(address, tmp_path, keys=KEYS, limits=LIMITS, **more)
        (alias,) = settings.aliases
        alias = replace(alias, base=Upstream(address, "base", key=BASE), tuned=Upstream(address, "tuned", key=TUNED))
        with gateway(replace(settings, aliases=(alias,))) as served:
            yield served


def chat(client: httpx.Client, number: int = 0, **more: Any) -> httpx.Response:
    body = {"model": "assistant", "user": f"u{number}", "messages": [{"role": "user", "content": PRIVATE}], **more}
    return client.post("/v1/chat/completions", json=body)


@pytest.mark.long
def test_no_key_is_in_a_log_an_error_the_state_or_the_evidence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Requests that succeed, fail and are refused; then everything that the gateway wrote or said is looked through."""
    models, said = Models(), dict[str, bytes]()
    webhook = f"http://127.0.0.1:9/hook/{WEBHOOK}"
    with running(tmp_path, models, webhook=webhook) as served:
        with httpx.Client(base_url=served.address, headers=HEADERS, timeout=20) as client:
            answers = [chat(client, number) for number in range(60)]
            assert {answer.status_code for answer in answers} == {200}
            refused = [
                client.post("/v1/chat/completions", content=f'{{"model": "{CLIENT}'.encode()),
                client.post("/v1/chat/completions", json={"model": CLIENT, "messages": []}),
                client.post("/v1/chat/completions", content=b"{}", headers={"authorization": f"Bearer {WRONG}"}),
                client.get(f"/v1/{CLIENT}"),
                client.get(f"/v1/models/{CLIENT}"),
            ]
            assert all(answer.status_code >= 400 for answer in refused)
        for number, answer in enumerate(answers + refused):
            said[f"answer {number}"] = answer.content + str(answer.headers).encode()
        admin_key = json.loads(Path(served.ready.fields["key_file"]).read_text())["key"]  # type: ignore[union-attr]
        for path in ("/status", "/metrics", "/events", "/verdict"):
            said[path] = served.admin("GET", path).content
        with httpx.Client(base_url=served.admin_client().base_url) as stranger:
            said["stranger"] = stranger.get("/status", headers={"authorization": f"Bearer {WRONG}"}).content
        made = served.admin("POST", "/rollouts/assistant/evidence", json={})
        assert made.status_code < 300, made.text
        said["evidence"] = unpacked(served, made.json())
        assert served.admin("POST", "/rollouts/assistant/rollback", json={"why": "a test"}).status_code < 300
        key_file = Path(served.ready.fields["key_file"])  # type: ignore[union-attr]
        for file in tmp_path.rglob("*"):
            if file.is_file() and file != key_file and not file.is_symlink():
                said[str(file)] = file.read_bytes()
    printed = capfd.readouterr()
    said["printed"] = (printed.out + printed.err).encode()
    said["told"] = json.dumps([[one.text, str(one.fields)] for one in served.told]).encode()
    assert any(name.endswith(".sqlite") for name in said)
    secrets = {"client": CLIENT, "wrong": WRONG, "base": BASE, "tuned": TUNED, "webhook": WEBHOOK, "admin": admin_key}
    kept = {(name, which) for name, text in said.items() for which, key in secrets.items() if key.encode() in text}
    assert not kept
    leaked = [name for name, text in said.items() if PRIVATE.encode() in text and not holds_bodies(name)]
    assert not leaked, "a client's words are in answers, the state and the evidence alone"


def holds_bodies(name: str) -> bool:
    return bool(re.search(r"\.sqlite(-wal)?$|/runs/|^evidence$", name))


def unpacked(served: Served, made: Any) -> bytes:
    """All files of a bundle of evidence, one after the other."""
    name = made.get("id") or made.get("evidence")
    packed = served.admin("GET", f"/evidence/{name}")
    assert packed.status_code == 200, packed.text
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        parts = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
        return b"\n".join(part.read() for part in parts if part is not None)


@pytest.mark.long
def test_what_a_client_sends_about_itself_stays_here(tmp_path: Path) -> None:
    """Credentials in every header that may hold some, and headers that nobody knows: none reaches a model."""
    models = Models()
    with running(tmp_path, models) as served, httpx.Client(base_url=served.address, headers=HEADERS) as client:
        private = {
            "cookie": f"session={PRIVATE}", "x-api-key": PRIVATE, "api-key": PRIVATE, "proxy-authorization": PRIVATE,
            "x-forwarded-for": PRIVATE, "x-goog-api-key": PRIVATE, "x-amz-security-token": PRIVATE,
            "openai-organization": PRIVATE,
            "x-stainless-os": PRIVATE, "x-offtarget-key": PRIVATE, "referer": PRIVATE, "x-unknown": PRIVATE,
        }  # fmt: skip
        for number in range(10):
            answer = client.post(
                "/v1/chat/completions",
                headers=private,
                json={"model": "assistant", "messages": [], "user": f"{number}"},
            )
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
    assert models.headers
    for headers in models.headers:
        assert headers["authorization"] in (f"Bearer {BASE}", f"Bearer {TUNED}")
        assert PRIVATE not in str(headers)
        assert CLIENT not in str(headers)


@pytest.mark.long
def test_a_clients_key_opens_nothing_on_the_admin_plane(tmp_path: Path) -> None:
    with running(tmp_path, Models()) as served:
        root = str(served.admin_client().base_url)
        with httpx.Client(base_url=root, headers=HEADERS, timeout=10) as client:
            for path in ("/status", "/verdict", "/events", "/metrics", "/evidence/serve-1", "/"):
                assert client.get(path, follow_redirects=False).status_code in (401, 403), path
            for order in ("rollback", "pause", "resume", "promote", "evidence"):
                assert client.post(f"/rollouts/assistant/{order}", json={"share": 1.0}).status_code == 401
        with httpx.Client(base_url=served.address, headers=HEADERS) as client:
            for path in ("/status", "/metrics", "/rollouts/assistant/rollback", "/v1/../status", "/verdict"):
                assert client.get(path).status_code == 404, path
            assert client.post("/rollouts/assistant/rollback", json={}).status_code == 404
        assert served.admin("GET", "/status").json()["aliases"][0]["share"] > 0


def connect(served: Served) -> socket.socket:
    host, port = served.address.removeprefix("http://").removesuffix("/v1").rstrip("/").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head(length: int) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", f"authorization: Bearer {CLIENT}"]
    return "\r\n".join([*lines, "content-type: application/json", f"content-length: {length}"]).encode() + b"\r\n\r\n"


def read_all(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            data += more
    return data


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def workers() -> list[int]:
    """Workers that this process started, or a child of it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"gateway.worker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc, which only Linux has")
@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_refused_and_not_kept(tmp_path: Path, chunked: bool) -> None:
    models = Models()
    with running(tmp_path, models) as served, connect(served) as connection:
        (pid,) = workers()
        before = memory_mb(pid)
        start = head(100 * 2**20)
        if chunked:
            start = re.sub(rb"content-length: \d+", b"transfer-encoding: chunked", start)
        connection.sendall(start)
        sent = 0
        piece = b"x" * 65536
        with contextlib.suppress(OSError):  # it closes the connection under us
            while sent < 100 * 2**20:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                sent += len(piece)
        assert sent < 50 * 2**20
        assert memory_mb(pid) - before < 30
        with httpx.Client(base_url=served.address, headers=HEADERS) as client:
            assert chat(client).status_code == 200
    assert all(int(headers["content-length"]) < 10_000 for headers in models.headers)


@pytest.mark.long
def test_a_byte_now_and_then_ends_with_a_status(tmp_path: Path) -> None:
    """A body that comes too slowly gets 408 after the time that is set, however regularly its bytes come."""
    with running(tmp_path, Models()) as served, connect(served) as connection:
        connection.sendall(head(1000))
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.1):
                with contextlib.suppress(OSError):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            answer = read_all(connection)
        finally:
            stop.set()
            thread.join()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"request_timeout" in answer


@pytest.mark.long
def test_idle_connections_keep_nobody_out(tmp_path: Path) -> None:
    """A thousand connections that say nothing or half a head; a client beside them is answered as ever."""
    with running(tmp_path, Models()) as served, contextlib.ExitStack() as stack:
        for number in range(1000):
            idle = stack.enter_context(connect(served))
            if number % 2:
                idle.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: gate")
        with httpx.Client(base_url=served.address, headers=HEADERS, timeout=20) as client:
            assert {chat(client, number).status_code for number in range(20)} == {200}
        assert served.admin("GET", "/readyz").status_code == 200


@pytest.mark.long
def test_its_files_are_its_users_alone(tmp_path: Path) -> None:
    """Key, memory, sockets and state: nobody else of the machine reads them."""
    with running(tmp_path, Models()) as served:
        with httpx.Client(base_url=served.address, headers=HEADERS) as client:
            assert chat(client).status_code == 200
        time.sleep(0.2)
        files = [file for file in (tmp_path / "state").rglob("*") if not file.is_dir()]
        assert files
        for file in [*files, *tmp_path.glob("gateway.sqlite*")]:
            shared = file.stat().st_mode & 0o077
            inside = [parent for parent in file.parents if parent.is_relative_to(tmp_path) and parent != tmp_path]
            assert not shared or any(not parent.stat().st_mode & 0o077 for parent in inside), file
