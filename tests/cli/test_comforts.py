"""Completion, misspelt names, NO_COLOR, and output that is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from report_runs import make_run

from golden import printed
from offtarget.cli.app import app
from offtarget.errors import InputError


def completed(line: str) -> list[str]:
    """What a shell is offered behind this line."""
    words = line.split(" ")
    found = ShellComplete(app, {}, "offtarget", "_OFFTARGET_COMPLETE").get_completions(words[:-1], words[-1])
    return [str(item.value) for item in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "check-1-one", per_probe=(1, 1), questions=1)
    (tmp_path / "runs" / "no-run").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("docto", ["doctor"]),
        ("check --tole", ["--tolerance"]),
        ("check --base org", ["organism/"]),
        ("check --base organism/ba", ["organism/base", "organism/backdoor"]),
        ("check --base hf/./mo", ["hf/./model"]),
        ("check --tuned hf/./model+./r", ["hf/./model+./runs/"]),
        ("check --probes ev", ["everyday"]),
        ("redteam --goals gen", ["general"]),
        ("redteam --move rol", ["role-play"]),
        ("redteam --move role-play+in-j", ["role-play+in-json"]),
        ("redteam --move role-play+role-p", []),
        ("report check", ["check-1-one"]),
        ("runs diff ", ["last", "check-1-one"]),
        ("doctor tun", ["tune"]),
        ("completion f", ["fish"]),
    ],
)
def test_what_a_shell_offers(line: str, offered: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OFFTARGET_RUNS", "runs")
    assert sorted(completed(line)) == sorted(offered)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell: str) -> None:
    done = printed(["completion", shell], 80)
    assert done.exit_code == 0
    assert f"_OFFTARGET_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("report check-1-oen", "Did you mean check-1-one?"),
        ("report lsat", "Did you mean last?"),
        ("runs --verdict FIAL", "Did you mean FAIL?"),
        ("runs --verb chek", "Did you mean check?"),
        ("check --base organism/insecuer --tuned organism/base --dry-run", "Did you mean organism/insecure"),
        ("check --base organism/base --tuned organism/insecure --probes evryday --dry-run", "Did you mean everyday?"),
    ],
)
def test_a_misspelt_name_is_answered_with_what_was_meant(
    command: str, meant: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OFFTARGET_RUNS", "runs")
    done = printed(command.split(), 80)
    assert isinstance(done.exception, InputError)
    assert meant in str(done.exception)


def some_take_long(*arguments: str) -> list[object]:
    """The first as it is, the others among what takes long: each starts a program."""
    return [arguments[0], *(pytest.param(one, marks=pytest.mark.long) for one in arguments[1:])]


ONLY_PRINT = some_take_long("report last", "runs", "report last --html --out -", "doctor", "completion bash")
PLAIN = some_take_long("report last -v", "runs -v", "doctor", "--help", "--version", "report last --markdown --out -")


@pytest.mark.parametrize("arguments", ONLY_PRINT)
def test_what_only_prints_fails_where_output_is_closed(arguments: str, folder: Path) -> None:
    """Exit code 0 would say that it was printed."""
    command = f"{sys.executable} -m offtarget {arguments} >&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "Standard output is closed" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_a_report_that_is_a_file_needs_no_output(folder: Path) -> None:
    command = f"{sys.executable} -m offtarget report last --html --out page.html >&-"
    assert subprocess.run(["sh", "-c", command], cwd=folder, check=False).returncode == 0
    assert (folder / "page.html").stat().st_size > 1000


@pytest.mark.parametrize("arguments", PLAIN)
def test_lines_off_a_terminal_are_plain(arguments: str, folder: Path) -> None:
    """No colour, no cursor movement, also where somebody set a terminal's name."""
    env = {**os.environ, "TERM": "xterm-256color", "FORCE_COLOR": ""}
    command = [sys.executable, "-m", "offtarget", *arguments.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\r" not in done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo terminal")
def test_no_color_on_a_terminal(folder: Path) -> None:
    """NO_COLOR takes the colours away, and nothing else."""
    plain, coloured = (_on_a_terminal(folder, more) for more in ({"NO_COLOR": "1"}, {}))
    assert "\x1b[3" not in plain.replace("\x1b[3m", "")
    assert "\x1b[" in coloured
    assert "FAIL" in plain


def _on_a_terminal(folder: Path, more: dict[str, str]) -> str:
    import pty

    head, tail = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "offtarget", "report", "last"]
    env |= {"TERM": "xterm-256color", **more}
    process = subprocess.Popen(command, cwd=folder, stdout=tail, stderr=tail, env=env)
    os.close(tail)
    said = b""
    while True:
        try:
            part = os.read(head, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(head)
    assert process.wait(60) == 0
    return said.decode("utf-8", "replace")


def test_completion_is_not_on_the_first_page() -> None:
    assert "completion" in app.list_commands(None)  # type: ignore[arg-type]
    assert "  completion" not in printed(["--help"], 80).output
