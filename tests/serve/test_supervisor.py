"""The processes of a gateway: they start, die and come back, reload and end, and no request is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Models, Served, arm, ask, gateway, scripted_models, settings_for

from offtarget.errors import InputError, StoreError
from offtarget.records.gateway import Alias, GatewaySettings, Upstream
from offtarget.serve.gateway.supervisor import models_of


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFTARGET_STATE", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with scripted_models() as opened:
        yield opened


def children() -> list[int]:
    """Processes that this one started and that run."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.long
def test_it_answers_and_leaves_nothing_behind(models: Models, tmp_path: Path) -> None:
    """Both models answer under one name; with the end of the gateway its processes and its key file are gone."""
    before = set(children())
    with gateway(settings_for(models.address, tmp_path, workers=2)) as served:
        with httpx.Client(base_url=served.address) as client:
            arms = {arm(ask(client, f"user-{number}")) for number in range(40)}
            assert client.get("/readyz").status_code == 200
        assert arms == {"base", "tuned"}
        assert served.ready is not None
        key_file = Path(served.ready.fields["key_file"])
        assert key_file.stat().st_mode & 0o77 == 0
        assert served.admin("GET", "/readyz").status_code == 200
        assert set(children()) > before
    assert set(children()) <= before
    assert not key_file.exists()


@pytest.mark.long
def test_a_conversation_stays_with_its_model_over_a_restart(models: Models, tmp_path: Path) -> None:
    """The split is salted by what the gateway keeps; a second start asks the store, too, and begins no new rollout."""
    settings = settings_for(models.address, tmp_path)
    found = []
    for _ in range(2):
        with gateway(settings) as served, httpx.Client(base_url=served.address) as client:
            found.append([arm(ask(client, f"user-{number}")) for number in range(20)])
    assert found[0] == found[1]
    assert set(found[0]) == {"base", "tuned"}


def test_a_killed_worker_is_replaced(models: Models, tmp_path: Path) -> None:
    """With one worker of two gone every request is answered, and it comes back."""
    with gateway(settings_for(models.address, tmp_path, workers=2)) as served:
        pids = workers_of(served)
        os.kill(pids[0], signal.SIGKILL)
        for number in range(30):
            with httpx.Client(base_url=served.address, timeout=10) as client:
                assert arm(ask(client, f"user-{number}"))
        served.until(lambda: len(workers_of(served)) == 2 and pids[0] not in workers_of(served))
        assert any("ended by signal 9" in one.text for one in served.told)


def workers_of(served: Served) -> list[int]:
    return processes("gateway.worker")


def processes(module: str) -> list[int]:
    """Children that run a module of this name."""
    found = []
    for pid in children():
        with contextlib.suppress(OSError):
            if module in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


@pytest.mark.long
def test_a_rollback_reaches_every_worker(models: Models, tmp_path: Path, record_property: Any) -> None:
    """Once the order is answered no worker asks the tuned model; how long that took is told, in milliseconds."""
    with (
        gateway(settings_for(models.address, tmp_path, share=1.0, workers=3)) as served,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(httpx.Client(base_url=served.address)) for _ in range(12)]
        assert {arm(ask(client)) for client in clients} == {"tuned"}
        seen: list[tuple[float, str]] = []
        halt = threading.Event()

        def keep_asking(client: httpx.Client) -> None:
            while not halt.is_set():
                began = time.monotonic()
                seen.append((began, arm(ask(client))))

        threads = [threading.Thread(target=keep_asking, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        admin = stack.enter_context(served.admin_client())
        assert admin.get("/status").status_code == 200
        ordered = time.monotonic()
        reply = admin.post("/rollouts/assistant/rollback", json={"who": "test", "why": "to see"})
        answered = time.monotonic()
        time.sleep(0.5)
        halt.set()
        for thread in threads:
            thread.join(10)
    assert reply.status_code == 200, reply.text
    late = [began - ordered for began, who in seen if who == "tuned" and began > answered]
    assert late == [], "the tuned model was asked after the order was answered"
    last = max(began - ordered for began, who in seen if who == "tuned")
    record_property("last request to the tuned model, ms after the order", round(1000 * last, 1))
    assert last < 5.0


@pytest.mark.long
def test_a_rollback_written_by_another_process_is_followed(
    models: Models, tmp_path: Path, record_property: Any
) -> None:
    """What a monitor or a replica writes into the store is in force a moment later; a restart changes nothing."""
    settings = settings_for(models.address, tmp_path, share=1.0)
    with gateway(settings) as served, httpx.Client(base_url=served.address) as client:
        assert arm(ask(client)) == "tuned"
        from offtarget.serve.store.opening import open_store

        store = open_store(settings.state)
        before = store.rollout("assistant")
        assert before is not None
        after = replace(before, status="rolled back", share=0.0, reason="Harm was seen.")
        began = time.monotonic()
        assert store.set_rollout(after, before, "rolled back", "monitor", "Harm was seen.") is not None
        served.until(lambda: arm(ask(client)) == "base", 10)
        record_property("followed after, ms", round(1000 * (time.monotonic() - began)))
        store.close()
        served.until(lambda: "rolled back" in served.events())
    with gateway(settings) as served, httpx.Client(base_url=served.address) as client:
        assert {arm(ask(client, f"user-{number}")) for number in range(10)} == {"base"}


CONFIG = """\
port: 0
admin: {{port: 0}}
workers: 2
state: {{url: "sqlite:{folder}/gateway.sqlite"}}
models:
  assistant:
    base: {{url: "{address}", model: base}}
    tuned: {{url: "{address}", model: tuned}}
    canary: {{share: 50%}}
{more}"""


@contextlib.contextmanager
def reloadable(models: Models, folder: Path) -> Iterator[tuple[Served, Path]]:
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.format(address=models.address, folder=folder, more=""), encoding="utf-8")
    with gateway(config=config) as served:
        yield served, config


@contextlib.contextmanager
def load(address: str, clients: int = 6) -> Iterator[tuple[list[str], list[int]]]:
    """Clients that ask all the time, half of them over new connections: what failed, and how many were answered."""
    halt, failed, count = threading.Event(), list[str](), [0]

    def keep_asking(name: str, kept: bool) -> None:
        client = httpx.Client(base_url=address, timeout=20)
        while not halt.is_set():
            try:
                arm(ask(client, name))
                count[0] += 1
            except Exception as error:
                failed.append(repr(error))
            if not kept:
                client.close()
                client = httpx.Client(base_url=address, timeout=20)
        client.close()

    threads = [threading.Thread(target=keep_asking, args=(f"u{n}", n % 2 == 0)) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield failed, count
    finally:
        halt.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.long
def test_reload_under_load_loses_no_request(models: Models, tmp_path: Path) -> None:
    """Clients with connections that stay open, and clients with new ones, notice nothing of three reloads."""
    with reloadable(models, tmp_path) as (served, config):
        with load(served.address) as (failed, count):
            for number in range(3):
                more = f"  other-{number}: {{base: {{url: '{models.address}', model: base}}}}\n"
                config.write_text(CONFIG.format(address=models.address, folder=tmp_path, more=more), encoding="utf-8")
                reload(served)
                served.until(lambda so_far=number: served.events().count("reloaded") == so_far + 1, 60)
                names = [one["id"] for one in httpx.get(f"{served.address}/v1/models").json()["data"]]
                assert names == ["assistant", f"other-{number}"]
        assert failed == []
        assert count[0] > 50


@pytest.mark.long
def test_an_idle_client_does_not_hold_up_the_end(models: Models, tmp_path: Path) -> None:
    """A worker that a reload has replaced waits for connections that are kept open, and ends with the gateway."""
    with reloadable(models, tmp_path) as (served, _), httpx.Client(base_url=served.address) as client:
        assert arm(ask(client))
        reload(served)
        served.until(lambda: "reloaded" in served.events(), 60)
        assert len(workers_of(served)) > 2
        began = time.monotonic()
        served.stop.set()
        assert served.ended.wait(60)
        assert time.monotonic() - began < 25
    assert processes("gateway.worker") == []


@pytest.mark.long
def test_what_happens_beside_the_data_path_costs_no_request(models: Models, tmp_path: Path) -> None:
    """The monitor killed, the state locked; a rollback is in force all the same."""
    with gateway(settings_for(models.address, tmp_path)) as served, load(served.address, 4) as (failed, count):
        (monitor,) = processes("monitor_process")
        os.kill(monitor, signal.SIGKILL)
        with contextlib.closing(sqlite3.connect(tmp_path / "gateway.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(6.0)
            answered = count[0]
            reply = served.admin("POST", "/rollouts/assistant/rollback", json={"who": "test", "why": "locked"})
            assert reply.status_code == 200
            assert reply.json()["share"] == 0.0
            with httpx.Client(base_url=served.address) as client:
                assert {arm(ask(client, f"user-{number}")) for number in range(20)} == {"base"}
            other.execute("ROLLBACK")
        assert answered > 20
        served.until(lambda: "rolled back" in served.events(), 30)
    assert failed == []


def reload(served: Served) -> None:
    assert served.reload is not None
    served.reload()


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  assistant:\n    base: {url: htt", "not valid YAML"),
        ("models: {assistant: {base: {url: 'http://169.254.169.254/', model: m} } }", "metadata"),
        (CONFIG.replace("port: 0\n", "port: 9\n", 1), "'port' can only be changed by starting"),
    ],
)
def test_a_bad_file_changes_nothing(models: Models, tmp_path: Path, text: str, said: str) -> None:
    """Half a file, a forbidden address, another port: the old settings stay, and that is said."""
    with reloadable(models, tmp_path) as (served, config):
        text = text.replace("{address}", models.address).replace("{folder}", str(tmp_path)).replace("{more}", "")
        config.write_text(text.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
        reload(served)
        served.until(lambda: "reload refused" in served.events())
        refused = next(one for one in served.told if one.fields.get("event") == "reload refused")
        assert said in refused.text
        with httpx.Client(base_url=served.address) as client:
            assert {arm(ask(client, f"user-{number}")) for number in range(20)} == {"base", "tuned"}


@pytest.mark.long
def test_a_judge_that_cannot_be_opened_is_refused(models: Models, tmp_path: Path) -> None:
    """At the start nothing is served; at a reload the old settings stay, and with them their monitor."""
    chosen = settings_for(models.address, tmp_path)
    canary = replace(chosen.aliases[0].canary, judge="hf/./nowhere")
    wrong = replace(chosen, aliases=(replace(chosen.aliases[0], canary=canary),))
    with pytest.raises(InputError, match="nowhere"), gateway(wrong):
        pass
    with reloadable(models, tmp_path) as (served, config):
        sides = "base: {url: 'ADDRESS', model: base}, tuned: {url: 'ADDRESS', model: tuned}"
        more = "  other: {" + sides.replace("ADDRESS", models.address) + ", canary: {judge: hf/./nowhere}}\n"
        config.write_text(CONFIG.format(address=models.address, folder=tmp_path, more=more), encoding="utf-8")
        reload(served)
        served.until(lambda: "reload refused" in served.events(), 60)
        assert any("nowhere" in one.text for one in served.told if one.kind == "event")
        assert served.admin("GET", "/readyz").status_code == 200


@pytest.mark.long
def test_another_measure_begins_anew(models: Models, tmp_path: Path) -> None:
    """Evidence by two alphas is none: a second trial of the same models begins, unless the first was rolled back."""
    with reloadable(models, tmp_path) as (served, config):
        text = config.read_text(encoding="utf-8")
        for number, alpha in enumerate(("0.2", "0.2", "0.1")):
            config.write_text(text.replace("share: 50%", f"share: 50%, alpha: {alpha}"), encoding="utf-8")
            reload(served)
            served.until(lambda so_far=number: served.events().count("reloaded") == so_far + 1, 60)
        found = [one for one in served.told if one.fields.get("event") == "started"]
        assert [one.fields["rollout"] for one in found] == [1, 2, 3]
        assert "judged by other settings" in found[-1].text
        assert served.admin("POST", "/rollouts/assistant/rollback", json={"who": "t", "why": "t"}).status_code == 200
        config.write_text(text, encoding="utf-8")
        reload(served)
        served.until(lambda: served.events().count("reloaded") == 4, 60)
        assert served.events().count("started") == 3
        with httpx.Client(base_url=served.address) as client:
            assert {arm(ask(client, f"user-{number}")) for number in range(10)} == {"base"}


@pytest.mark.long
def test_a_reload_that_fails_late_leaves_no_worker_with_its_settings(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state takes no new rollout when the new workers are at work: they go, and nobody gets their model."""
    with scripted_models(lambda who: f"other {who}") as others, reloadable(models, tmp_path) as (served, config):

        def refuse(*_: Any) -> None:
            raise StoreError("The state is locked.")

        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(f'tuned: {{url: "{models.address}"', f'tuned: {{url: "{others.address}"'))
        before = set(workers_of(served))
        monkeypatch.setattr("offtarget.serve.admin.operations.Operations.begin", refuse)
        reload(served)
        served.until(lambda: "reload refused" in served.events(), 60)
        said = []
        for number in range(40):
            with httpx.Client(base_url=served.address) as client:
                said.append(ask(client, f"user-{number}").json()["choices"][0]["message"]["content"])
        assert not [one for one in said if "other" in one]
        assert {"I am base.", "I am tuned."} == set(said)
        served.until(lambda: set(workers_of(served)) == before)


@pytest.mark.long
def test_a_rollout_of_other_models_on_the_same_state_opens_nothing_here(models: Models, tmp_path: Path) -> None:
    """A rolled back model stays so when another gateway begins a rollout of another model on the same state."""
    settings = settings_for(models.address, tmp_path, share=1.0)
    with scripted_models(lambda who: f"other {who}") as others:
        tuned = replace(settings.aliases[0].tuned or settings.aliases[0].base, url=others.address)
        second = replace(settings, aliases=(replace(settings.aliases[0], tuned=tuned),))
        with gateway(settings) as served, httpx.Client(base_url=served.address) as client:
            assert arm(ask(client)) == "tuned"
            assert served.admin("POST", "/rollouts/assistant/rollback", json={"who": "t", "why": "t"}).is_success
            with gateway(second) as other, httpx.Client(base_url=other.address) as beside:
                assert arm(ask(beside)) == "tuned"
                served.until(lambda: any("other models" in one.text for one in served.told))
                assert {arm(ask(client, f"user-{number}")) for number in range(10)} == {"base"}


@pytest.mark.long
def test_without_a_monitor_the_rollout_is_paused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would see harm, and that is what the event says; traffic goes on."""
    monkeypatch.setattr("offtarget.serve.gateway.supervisor.MONITOR_SECONDS", 0.3)
    monkeypatch.setattr("offtarget.serve.gateway.supervisor.WATCH_SECONDS", 0.05)
    with gateway(settings_for(models.address, tmp_path)) as served:
        (monitor,) = processes("monitor_process")
        os.kill(monitor, signal.SIGKILL)
        served.until(lambda: "paused" in served.events())
        assert any("no monitor" in one.text for one in served.told)
        with httpx.Client(base_url=served.address) as client:
            assert {arm(ask(client, f"user-{number}")) for number in range(20)} == {"base", "tuned"}
        served.until(lambda: monitor not in processes("monitor_process") and bool(processes("monitor_process")), 30)


@pytest.mark.long
def test_with_a_monitor_that_lives_and_gets_nothing_done_the_rollout_is_paused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is no monitor: one that writes no sign of life into the state sees no harm."""
    monkeypatch.setattr("offtarget.serve.gateway.supervisor.MONITOR_SECONDS", 0.3)
    monkeypatch.setattr("offtarget.serve.gateway.supervisor.WATCH_SECONDS", 0.05)
    monkeypatch.setattr("offtarget.serve.gateway.supervisor.BEAT_SECONDS", 0.0)
    with gateway(settings_for(models.address, tmp_path)) as served:
        served.until(lambda: "paused" in served.events())
        assert len(processes("monitor_process")) == 1


@pytest.mark.long
def test_what_fails_while_events_are_followed_does_not_end_the_following(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback that another process writes is in force although something else went wrong before."""
    from offtarget.serve.store.opening import open_store
    from offtarget.serve.switchboard import Switchboard

    settings, apply, failed = settings_for(models.address, tmp_path, share=1.0), Switchboard.apply, list[bool]()

    def broken(self: Switchboard, rollout: Any) -> Any:
        if threading.current_thread().name == "events" and len(failed) < 2:
            failed.append(True)
            raise KeyError("what nobody thought of")
        return apply(self, rollout)

    monkeypatch.setattr(Switchboard, "apply", broken)
    with gateway(settings) as served, httpx.Client(base_url=served.address) as client:
        with contextlib.closing(open_store(settings.state)) as store:
            before = store.rollout("assistant")
            assert before is not None
            after = replace(before, status="rolled back", share=0.0)
            assert store.set_rollout(after, before, "rolled back", "monitor", "Harm was seen.") is not None
        served.until(lambda: arm(ask(client)) == "base", 10)
        assert failed == [True, True]


def test_a_port_in_use_is_a_sentence(models: Models, tmp_path: Path) -> None:
    """Nothing is started."""
    before = children()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("port", "admin_port"):
            settings = replace(settings_for(models.address, tmp_path), **{name: port})
            with pytest.raises(InputError, match=f"Port {port} on 127.0.0.1 is in use"), gateway(settings):
                pass
    assert children() == before
    assert not (tmp_path / "gateway.sqlite").exists()


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        (Alias("a", Upstream("", "organism/base"), Upstream("", "organism/bse")), "no 'organism/bse'"),
        (Alias("a", Upstream("", "organism/base"), Upstream("", "organism/base")), "are the same model"),
        (Alias("a", Upstream("http://127.0.0.1:1", "")), "cannot be asked"),
        (Alias("a", Upstream("http://nowhere.invalid/v1", "m")), "is not found"),
    ],
)
def test_models_that_cannot_be_are_refused_at_the_start(tmp_path: Path, alias: Alias, said: str) -> None:
    """Before anything listens."""
    with pytest.raises(InputError, match=said), gateway(GatewaySettings((alias,), port=0, admin_port=0)):
        pass


def started(folder: Path, address: str, environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """`offtarget serve` in a process of its own, and its address."""
    command = ["serve", "--base", f"{address}#base", "--tuned", f"{address}#tuned", "--canary", "100%", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "offtarget", *command, "--alias", "assistant", "--admin-port", "0", "--json"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        value = json.loads(line)
        if value["kind"] == "ready":
            return process, value["address"]
    raise AssertionError("it ended before it was ready")


@pytest.mark.long
def test_it_ends_while_it_starts(tmp_path: Path) -> None:
    """Ctrl-C is heard while models are opened, and leaves no process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "offtarget", "serve", "--port", "0", "--admin-port", "0", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["kind"] == "starting"
        end = time.monotonic() + 30
        while not (opening := grandchildren(process.pid)) and time.monotonic() < end:
            time.sleep(0.02)
        assert opening
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert [pid for pid in opening if Path(f"/proc/{pid}").exists()] == []
        assert '"ready"' not in process.stdout.read()
    finally:
        process.kill()
        process.communicate()


def grandchildren(parent: int) -> list[int]:
    """Processes that this one's child started."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.mark.long
def test_sighup_reads_the_settings_again(models: Models, tmp_path: Path) -> None:
    """Said as a line of the log, and in force."""
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(address=models.address, folder=tmp_path, more=""), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "offtarget", "serve", "--config", str(config), "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        address = next(one["address"] for one in lines if one["kind"] == "ready")
        more = f"  other: {{base: {{url: '{models.address}', model: base}}}}\n"
        config.write_text(CONFIG.format(address=models.address, folder=tmp_path, more=more), encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        assert next(one for one in lines if one.get("event") in ("reloaded", "reload refused"))["event"] == "reloaded"
        names = [one["id"] for one in httpx.get(f"{address}/v1/models").json()["data"]]
        assert names == ["assistant", "other"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_other_weights_under_the_same_name_are_another_rollout() -> None:
    """What an earlier model showed says nothing about them."""
    settings = GatewaySettings((Alias("a", Upstream("", "hf/./base"), Upstream("", "hf/./base+./adapter")),))
    found = {models_of(settings, "a", {"hf/./base+./adapter": print_}) for print_ in ("1", "2", "1")}
    assert len(found) == 2


@pytest.mark.long
def test_sigterm_finishes_what_is_open(tmp_path: Path) -> None:
    """A request that is under way is answered whole, and the command ends with 0."""

    def slow(who: str) -> str:
        time.sleep(1.5)
        return f"I am {who}."

    with scripted_models(slow) as models:
        process, address = started(tmp_path, models.address, {})
        try:
            answers: list[str] = []
            with httpx.Client(base_url=address, timeout=20) as client:
                thread = threading.Thread(target=lambda: answers.append(arm(ask(client))))
                thread.start()
                time.sleep(0.5)
                process.send_signal(signal.SIGTERM)
                thread.join(20)
            assert answers == ["tuned"]
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.communicate()


@pytest.mark.long
def test_without_a_supervisor_nothing_goes_to_the_tuned_model(models: Models, tmp_path: Path) -> None:
    """Its workers close every switch, finish and end, so that the port is free again."""
    process, address = started(tmp_path, models.address, {})
    shared = shared_folder(process.pid)
    with httpx.Client(base_url=address) as client:
        assert arm(ask(client)) == "tuned"
        process.kill()
        process.communicate()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                assert arm(ask(client)) == "base"
            except httpx.HTTPError:
                break
            time.sleep(0.05)
        listening = True
        while listening and time.monotonic() < end:
            try:
                httpx.get(f"{address}/healthz")
                time.sleep(0.1)
            except httpx.HTTPError:
                listening = False
        assert not listening
    while shared.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not shared.exists()


@pytest.mark.long
def test_with_a_supervisor_that_hangs_nothing_goes_to_the_tuned_model(models: Models, tmp_path: Path) -> None:
    """It would hear of no rollback. Once it goes on, so does the share."""
    stale = 8.0  # in every process of the gateway, as it starts: 30 s would be spent waiting
    (tmp_path / "sitecustomize.py").write_text(f"from offtarget.serve import cell\ncell.STALE_SECONDS = {stale}\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    process, address = started(tmp_path, models.address, {"PYTHONPATH": path})
    try:
        with httpx.Client(base_url=address, timeout=30) as client:
            assert arm(ask(client)) == "tuned"
            process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            wanted("base", client, stale + 15)
            assert time.monotonic() - began > stale / 2, "the share closed for another reason"
            process.send_signal(signal.SIGCONT)
            wanted("tuned", client, 15)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def wanted(model: str, client: httpx.Client, seconds: float) -> None:
    """Ask until this model answers."""
    end = time.monotonic() + seconds
    while arm(ask(client)) != model:
        assert time.monotonic() < end, f"{model} does not answer"
        time.sleep(0.2)


def shared_folder(gateway: int) -> Path:
    """What the processes of a gateway share, by the memory that one of them has mapped."""
    lines = Path(f"/proc/{gateway}/maps").read_text().splitlines()
    return next(Path(line.split()[-1]).parent for line in lines if line.endswith("/cell-0"))


def test_a_locked_state_is_a_sentence(models: Models, tmp_path: Path) -> None:
    """What is no database is not written over."""
    (tmp_path / "gateway.sqlite").write_bytes(b"this is no database, but somebody's file" * 50)
    with pytest.raises(InputError, match=r"gateway\.sqlite"), gateway(settings_for(models.address, tmp_path)):
        pass
    assert sqlite3.sqlite_version
