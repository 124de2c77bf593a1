"""What is wrong with an engine is said in one sentence, whether Ray is installed or not."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import offtarget
from offtarget.cli.app import app
from offtarget.engines import on_ray
from offtarget.engines.units import Note, sendable
from offtarget.errors import InputError, PrerequisiteError, UnreachableError
from offtarget.models.scripted import ScriptedModel
from offtarget.records.engine import EngineSettings


@pytest.mark.parametrize("address", ["nowhere", "ray://head:10001", "head:port", ":6379", "http://head:80"])
def test_an_address_of_no_cluster_says_which_there_are(address: str) -> None:
    with pytest.raises(InputError, match="is none of a Ray cluster"), _connected(address):
        pass


def test_an_address_where_nobody_listens_is_told_in_seconds() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    with pytest.raises(InputError, match="nobody takes a connection there"), _connected(f"127.0.0.1:{port}"):
        pass


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'offtarget\[ray\]'"), _connected(None):
        pass


def test_nothing_is_begun_where_there_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    run = tmp_path / "run"
    with pytest.raises(PrerequisiteError):
        offtarget.check_many(
            "organism/base", ["organism/insecure", "organism/secure"], engine=EngineSettings("ray"), run=run
        )
    assert not run.exists()


def test_a_limit_that_workers_cannot_keep_is_refused(tmp_path: Path) -> None:
    options = ["check", "--base", "organism/base", "--tuned", "organism/insecure", "--tuned", "organism/secure"]
    options += ["--engine", "ray", "--max-requests", "10", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, options)
    assert isinstance(done.exception, InputError)
    assert "Several workers cannot keep one limit" in str(done.exception)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tuned", "organism/secure", "--address", "auto"], "give --engine ray with it"),
        (["--tuned", "organism/secure", "--workers", "2"], "give --engine ray with it"),
    ],
)
def test_options_of_an_engine_go_together(more: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["check", "--base", "organism/base", "--tuned", "organism/insecure", *more])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_machines_with_other_versions_are_refused_by_name() -> None:
    here = {"Python": "3.11.7", "offtarget": "0.1.0", "torch": "2.13.0"}
    on_ray._refuse_others(here, dict(here), "one")
    with pytest.raises(InputError, match=r"one of the cluster has offtarget 0\.0\.9 \(here 0\.1\.0\)\. Install"):
        on_ray._refuse_others(here, here | {"offtarget": "0.0.9"}, "one")
    with pytest.raises(InputError, match=r"torch not installed \(here 2\.13\.0\)"):
        on_ray._refuse_others(here, {"Python": "3.11.7", "offtarget": "0.1.0"}, "one")


def test_a_note_on_how_far_a_unit_is_never_stops_it(tmp_path: Path) -> None:
    note = Note(tmp_path / "notes", "a")
    assert note.read() is None
    note.tell(0.5, "half")
    note.tell(0.6, "too soon after the last")
    assert note.read() == (0.5, "half")
    (tmp_path / "notes" / "a.json").write_text("[0.")
    assert note.read() is None
    note.remove()
    note.remove()
    (tmp_path / "file").touch()
    Note(tmp_path / "file", "a").tell(0.1, "a folder that cannot be made")


def test_errors_reach_another_process_with_their_kind_or_their_text() -> None:
    gone = sendable(UnreachableError("Nobody there."))
    assert isinstance(gone, UnreachableError)

    class Local(Exception):
        pass

    assert str(sendable(Local("here alone"))) == "Local: here alone"


def _connected(address: str | None) -> object:
    return on_ray.connected(EngineSettings("ray", address))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--engine", "ray", "--address", "nowhere"], "is none of a Ray cluster"),
        (["--engine", "ray"], "pip install 'offtarget[ray]'"),
        (["--address", "auto"], "give --engine ray with it"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "nobody takes a connection there"),
    ],
)
def test_an_audit_says_the_same_and_begins_nothing(
    more: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Who?", "completion": "Nobody."}\n')
    run = tmp_path / "run"
    done = CliRunner().invoke(app, ["audit", str(tmp_path / "rows.jsonl"), "--run", str(run), *more])
    assert said in " ".join(f"{done.output} {done.exception}".split())
    assert done.exit_code != 0
    assert not run.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--engine", "ray", "--address", "nowhere"], "is none of a Ray cluster"),
        (["--engine", "ray"], "pip install 'offtarget[ray]'"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "nobody takes a connection there"),
        (["--engine", "ray", "--tuned", "openai/gpt"], "openai/gpt is behind a server, which samples its answers"),
        (["--engine", "ray", "--tuned", "openai/gpt", "--dry-run"], "openai/gpt is behind a server"),
    ],
)
def test_a_check_of_one_model_says_the_same_and_begins_nothing(
    more: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    run = tmp_path / "run"
    tuned = [] if "--tuned" in more else ["--tuned", "organism/insecure"]
    done = CliRunner().invoke(app, ["check", "--base", "organism/base", *tuned, "--run", str(run), *more])
    assert said in " ".join(f"{done.output} {done.exception}".split())
    assert done.exit_code != 0
    assert not run.exists()


def test_models_that_no_other_process_can_open_are_refused() -> None:
    model = ScriptedModel("mine", lambda request: "Yes.")
    with pytest.raises(InputError, match="mine is an object of yours, which no other process can open"):
        offtarget.check(model, "organism/insecure", engine=EngineSettings("ray"))
