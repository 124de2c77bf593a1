"""`offtarget canary` against an admin plane that listens: what it prints and does; every mistake is a sentence."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("uvicorn", reason="needs the extra 'review'")

import uvicorn
from at_admin import KEY, READER, At, reading

from offtarget.cli.app import app
from offtarget.errors import OfftargetError
from offtarget.pages.serve.dashboard import DashboardPages
from offtarget.register import state_root


class Bundles:
    """Evidence as the workflows give it: one bundle, with things in it that must not be unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, alias: str) -> str:
        return "serve-1"

    def packed(self, identifier: str) -> Path | None:
        if identifier != "serve-1":
            return None
        path = self.folder / "packed.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("serve-1/run.json", "serve-1/../../evil", "/tmp/evil", "other/file", "serve-1/.hidden"):
                member = tarfile.TarInfo(name)
                member.size = 2
                archive.addfile(member, io.BytesIO(b"{}"))
            link = tarfile.TarInfo("serve-1/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        return path


@pytest.fixture
def listening(at: At) -> Iterator[At]:
    """The admin plane on a port, found as a gateway of this machine is."""
    at.app._evidence = Bundles(at.folder)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(at.app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    at.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    announce(at.url, KEY)
    yield at
    server.should_exit = True
    thread.join(20)
    listener.close()


def announce(url: str, key: str, name: str = "one", pid: int | None = None) -> None:
    folder = state_root() / "gateways" / name
    folder.mkdir(parents=True, exist_ok=True)
    said = {"admin": url, "address": "http://127.0.0.1:1", "key": key, "pid": os.getpid() if pid is None else pid}
    (folder / "admin.json").write_text(json.dumps(said))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["canary", *arguments])


def mistake(*arguments: str) -> str:
    done = run(*arguments)
    assert isinstance(done.exception, OfftargetError | SystemExit), done.exception
    if isinstance(done.exception, SystemExit):
        assert done.exit_code == 2
        return done.output
    assert done.exception.exit_code == 2
    return str(done.exception)


def test_status_reads_like_a_card(listening: At) -> None:
    listening.readings.now["helper", 1] = reading()
    done = run("status", "--alias", "helper")
    assert done.exit_code == 0, done.output
    for part in (
        "UNDECIDED", "helper: tuned against base-model", "5 % of conversations go to the tuned model",
        "200 tuned, 3,800 base", "tuned 1 %, base 0.5 %", "worse by -1 to +5 points",
        "not decisive (1.65; 100 needed)", "at most 1 time in 100", "Last events", "started",
        "harm in 5 % of answers would be seen after about 120 more",
    ):  # fmt: skip
        assert part in done.output, part
    everything = run("status")
    assert "BASE ALONE" in everything.output
    found = json.loads(run("status", "--json").output)
    assert [one["alias"] for one in found["aliases"]] == ["helper", "plain"]
    assert run("status", "--exit-code").exit_code == 3
    listening.readings.now["helper", 1] = reading(8.0, alarm=True)
    assert run("status", "--exit-code").exit_code == 1


def test_orders_from_the_command_line(listening: At) -> None:
    assert "25 % of conversations go to the tuned model" in run("promote", "25%", "--reason", "fine").output
    assert listening.share() == 0.25
    assert "only raises it" in mistake("promote", "10%")
    assert "stays at 25 %" in run("pause", "--who", "ada").output
    assert "goes on at 25 %" in run("resume").output
    assert json.loads(run("rollback", "--reason", "rude", "--json").output)["share"] == 0
    assert listening.share() == 0
    assert "trial 2" in run("resume", "--reason", "mended").output
    assert listening.share() == 0.05
    told = run("events").output
    for part in ("promoted", "paused", "ada", "rolled back", "rude", "mended"):
        assert part in told, part
    assert len(json.loads(run("events", "--json", "--last", "2").output)) == 2
    assert "--force needs the reason" in mistake("promote", "50%", "--force")
    assert "no tuned model" in mistake("rollback", "--alias", "plain")
    assert "It serves: helper, plain" in mistake("status", "--alias", "nobody")
    assert "above 0" in mistake("promote", "0%")
    assert listening.share() == 0.05


def test_evidence_is_unpacked_and_nothing_else(listening: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    done = run("evidence")
    assert done.exit_code == 0, done.output
    assert "offtarget report" in done.output
    assert [str(p.relative_to(tmp_path / "runs")) for p in sorted((tmp_path / "runs").rglob("*"))] == [
        "serve-1", "serve-1/run.json",
    ]  # fmt: skip
    assert json.loads(run("evidence", "serve-1", "--json").output)["id"] == "serve-1"
    assert "no evidence with this id" in mistake("evidence", "serve-2")
    for identifier in ("../serve-1", "a/b", ".hidden"):
        assert "is no id of evidence" in mistake("evidence", identifier)


def test_which_gateway(listening: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    announce("http://127.0.0.1:9", "k", "dead", pid=2**22 + 1)  # one that was killed is passed over
    assert run("status").exit_code == 0
    announce("http://127.0.0.1:9", "k", "two")
    assert "Several gateways" in mistake("status")
    listening.readings.now["helper", 1] = reading(8.0, alarm=True)
    named = run("status", "--admin", listening.url)
    assert named.exit_code == 0
    assert f'offtarget canary rollback --alias helper --reason "..." --admin {listening.url}' in named.output
    assert run("status", "--admin", listening.url.removeprefix("http://"), "--key-file", str(key)).exit_code == 0
    monkeypatch.setenv("OFFTARGET_ADMIN_KEY", "wrong")
    assert "is not that of the gateway" in mistake("status", "--admin", listening.url)
    assert run("status", "--admin", listening.url, "--key-file", str(key)).exit_code == 0
    assert "No gateway answers at http://127.0.0.1:9" in mistake("status", "--admin", "http://127.0.0.1:9")
    assert "is no address" in mistake("status", "--admin", "ftp://x")
    assert "cannot be read" in mistake("status", "--key-file", str(tmp_path / "absent"), "--admin", listening.url)
    key.write_text("two words")
    assert "nothing else" in mistake("status", "--key-file", str(key), "--admin", listening.url)


def test_the_dashboard_opens_by_an_address(listening: At) -> None:
    assert "no dashboard" in mistake("dashboard", "--no-browser")
    listening.app._dashboard = DashboardPages()
    done = run("dashboard", "--no-browser")
    assert done.output.strip() == f"{listening.url}/?token={listening.access.token}"
    assert listening.client(READER).post("/session").status_code == 403
    assert listening.client(None).post("/session").status_code == 401


def test_no_gateway_at_all() -> None:
    for command in (["status"], ["events"], ["rollback"], ["evidence"], ["promote", "10%"]):
        assert "No gateway runs on this machine. Start one with `offtarget serve`" in mistake(*command)


def test_what_is_no_gateway_is_named() -> None:
    """A server that answers with anything else; no request of ours hangs or raises something of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
               b"HTTP/1.1 302 Found\r\nLocation: http://evil\r\nContent-Length: 0\r\n\r\n",
               b"junk\r\n\r\n", b""]  # fmt: skip

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        said: list[Any] = [mistake("status", "--admin", url) for _ in answers]
    finally:
        thread.join(10)
        listener.close()
    assert ["not as the admin plane" in one for one in said[:2]] == [True, True]
    assert "HTTP 302" in said[2]
    assert all("No gateway answers" in one for one in said[3:])
