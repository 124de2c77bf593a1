"""Mistakes on the command line: what is wrong, where, and what to do; exit code 2, no traceback, nothing loaded."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.workflows.ready import ready


def said(*command: str, **environment: str) -> Result:
    """What a mistaken command is answered with."""
    return CliRunner().invoke(app, list(command), env={"COLUMNS": "200", **environment})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("chek", ["no command 'chek'", "Did you mean check?"]),
        ("repair", ["no command 'repair'", "Did you mean direction repair?"]),
        ("calibrat", ["no command 'calibrat'", "Did you mean judge calibrate?"]),
        ("frobnicate", ["no command 'frobnicate'", "There are: audit,"]),
        ("direction fnd", ["no command 'fnd'", "Did you mean find?"]),
        ("check --tolerence 0.1", ["no option --tolerence", "Did you mean --tolerance", "offtarget check --help-all"]),
        ("check --zzz 0.1", ["no option --zzz.", "All options: offtarget check --help-all"]),
        ("check --tolerance 5", ["'--tolerance'", "5 is 500 %, and 5 % is 0.05"]),
        ("check --tolerance 5x", ["'--tolerance'", "'5x' is no share. Write it as 0.05 or 5%"]),
        ("check --tolerance=-1%", ["'--tolerance'", "from 0 on and below 1, not -0.01"]),
        ("check --margin 0", ["'--margin'", "above 0 and below 1, not 0"]),
        ("check --alpha nan", ["'--alpha'", "not nan"]),
        ("check --average-margin 2", ["'--average-margin'", "2 % is 0.02"]),
        ("check --top-p 90", ["'--top-p'", "90 % is 0.9"]),
        ("check --look-at 10", ["'--look-at'", "10 % is 0.1"]),
        ("check --judge-finds 80", ["'--judge-finds'", "80 % is 0.8"]),
        ("check --base-at-most 1", ["'--base-at-most'", "1 % is 0.01"]),
        ("audit --noise-limit 5", ["'--noise-limit'", "5 % is 0.05"]),
        ("audit --spreading-limit 1", ["'--spreading-limit'", "1 % is 0.01"]),
        ("alternatives --held-out 20", ["'--held-out'", "20 % is 0.2"]),
        ("alternatives --least-gain 10", ["'--least-gain'", "10 % is 0.1"]),
        ("redteam --margin 10", ["'--margin'", "10 % is 0.1"]),
        ("redteam --base organism/base", ["Give --base and --tuned, or --resume RUN"]),
        ("check --judge-by guess", ["'--judge-by'", "'auto', 'probabilities', 'samples'"]),
        ("check --base organism/base", ["Give --base and --tuned, or --resume RUN"]),
    ],
)
def test_a_mistake_is_named_with_the_way_out(command: str, words: list[str]) -> None:
    done = said(*command.split(" "))
    assert done.exit_code == 2
    assert [word for word in words if word not in done.output] == []
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("text", ["0.05", "5%", "5 %", " 5% "])
def test_a_share_may_be_said_in_per_cent(text: str) -> None:
    """It is the very number that 0.05 is: a run that goes on compares them."""
    from offtarget.cli.shares import BETWEEN

    assert BETWEEN.convert(text, None, None) == 0.05


def check(*options: str) -> Result:
    """What a check of the organism with these options is answered with."""
    tuned = () if "--tuned" in options else ("--tuned", "organism/insecure")
    return said("check", "--base", "organism/base", *tuned, *options, "--quiet")


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Opening any model is an error; the folder in which the test works."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded before the mistake was found")

    for place in ("offtarget.workflows.ground.open_pair", "offtarget.workflows.ground.open_model"):
        monkeypatch.setattr(place, refuse)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LAB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("nothing_loaded")
def test_what_is_no_model_name_among_candidates_is_answered_before_any_is_checked() -> None:
    done = check("--tuned", "organism/insecure", "--tuned", "gpt2")
    assert isinstance(done.exception, InputError)
    assert "try hf/gpt2." in str(done.exception)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    ("name", "try_"),
    [
        ("gpt2", "try hf/gpt2."),
        ("Qwen/Qwen2.5-0.5B-Instruct", "try hf/Qwen/Qwen2.5-0.5B-Instruct."),
        ("insecure", "try organism/insecure."),
        ("Organism/Insecure", "try organism/insecure."),
        ("gpt-4o-mini", "try openai/gpt-4o-mini."),
        ("./model", "it is a path here: try hf/./model."),
        ("./adapter", "it is the folder of an adapter, which goes on its base: try hf/BASE+./adapter."),
        ("what ever?", "'what ever?' is not a model name. Model names look like"),
    ],
)
@pytest.mark.parametrize("option", ["--base", "--tuned", "--judge"])
def test_what_is_no_model_name_is_answered_with_one(name: str, try_: str, option: str, nothing_loaded: Path) -> None:
    """Whichever of the models it is, before any weights are loaded."""
    (nothing_loaded / "model").mkdir()
    (nothing_loaded / "adapter").mkdir()
    (nothing_loaded / "adapter/adapter_config.json").write_text("{}")
    done = check(option, name)
    assert isinstance(done.exception, InputError)  # which `main` turns into a sentence and exit code 2
    assert try_ in str(done.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tuned organism/base", "Base and tuned are the same model, organism/base"),
        ("--probes nowhere.yaml", "nowhere.yaml"),
        ("--judge hf/./nowhere", "nowhere does not exist"),
        ("--judge openai/gpt-4o", "openai/gpt-4o needs a key: set OPENAI_API_KEY"),
        ("--judge openai-api/lab/x", "needs the server's address: set LAB_BASE_URL"),
        ("--confirm-with openai/gpt-4o", "needs a key: set OPENAI_API_KEY"),
        ("--data nowhere.jsonl", "--data: nowhere.jsonl does not exist"),
        ("--certificate nowhere.json", "--certificate: nowhere.json does not exist"),
        ("--base hf/./nowhere", "nowhere does not exist"),
        ("--tuned organism/base+./nowhere", "nowhere does not exist"),
        ("--run taken", "taken already exists and is not an empty folder"),
        ("--run file/run", "No run can be kept in file/run: of"),
        ("--endpoints nowhere.yaml --judge openai-api/lab/x", "nowhere.yaml"),
    ],
)
def test_what_cannot_be_used_is_found_before_weights_are_loaded(options: str, words: str, nothing_loaded: Path) -> None:
    (nothing_loaded / "taken").mkdir()
    (nothing_loaded / "taken/notes.txt").touch()
    (nothing_loaded / "file").touch()
    done = check(*options.split())
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)


def test_a_server_that_is_not_there_is_found_before_weights_are_loaded(
    nothing_loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not after all retries; one that takes a connection is not complained of here."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        monkeypatch.setenv("LAB_BASE_URL", f"http://127.0.0.1:{port}/v1")
        monkeypatch.setenv("LAB_API_KEY", "secret-key")
        with pytest.raises(InputError, match=r"no server answers at http://127\.0\.0\.1") as refused:
            ready("openai-api/lab/x", run=nothing_loaded / "run")
        assert "secret-key" not in str(refused.value)
        server.listen()
        ready("openai-api/lab/x", run=nothing_loaded / "run")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_found_first(nothing_loaded: Path) -> None:
    (nothing_loaded / "closed").mkdir(mode=0o500)
    assert "it may not be written" in str(check("--run", "closed/run").exception)
