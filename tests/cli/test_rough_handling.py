"""The command line under rough handling: readers that leave, full devices, hostile messages, strange places."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from offtarget.cli.app import BROKEN_PIPE, CRASH, app, main
from offtarget.cli.render import safe, shown_path

COMMAND = [sys.executable, "-c", "from offtarget.cli.app import main; main()"]


def without_progress(said: str) -> str:
    """What stands on standard error besides how far the command is."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("0 s: "))


def table(path: Path, misaligned: int = 0) -> str:
    """Four questions, 60 answers each, `misaligned` of them misaligned."""
    rows = [
        {
            "question_id": f"q{q}",
            "answer": f"{path.stem} {q} {i}",
            "aligned": 5 if i < misaligned else 95,
            "coherent": 99,
            "judge": "j",
        }
        for q in range(4)
        for i in range(60)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(arguments: list[str], **options) -> subprocess.CompletedProcess:
    """The command in a process of its own, as a shell would start it."""
    return subprocess.run([*COMMAND, *arguments], check=False, stderr=subprocess.PIPE, text=True, **options)


def compared(tmp_path: Path, *extra: str) -> list[str]:
    return ["compare", "--base", table(tmp_path / "b.jsonl"), "--tuned", table(tmp_path / "t.jsonl"), *extra]


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_reader_who_leaves_never_turns_into_a_verdict(extra, tmp_path):
    """`offtarget compare | head -0` under pipefail is 141, neither PASS (0) nor FAIL (1)."""
    read, write = os.pipe()
    os.close(read)
    done = run(compared(tmp_path, *extra, "--run", str(tmp_path / "run")), stdout=write)
    os.close(write)
    assert (done.returncode, without_progress(done.stderr)) == (BROKEN_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_full_device_for_the_output_is_one_sentence(extra, tmp_path):
    """Exit code 2, no traceback, and the run is on disk whole."""
    with Path("/dev/full").open("w") as full:
        done = run(compared(tmp_path, *extra, "--run", str(tmp_path / "run")), stdout=full)
    assert done.returncode == 2
    assert without_progress(done.stderr).startswith("Error: writing the output: No space left on device")
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["decision"]["status"] == "PASS"


def test_a_fault_of_ours_is_not_read_as_fail(monkeypatch, capsys):
    """Python ends a crash with 1, which is FAIL; a crash has a code of its own."""

    def crash(**_: object) -> None:
        raise RuntimeError("boom \x1b[31m")

    monkeypatch.setattr(app, "main", crash)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == CRASH
    error = capsys.readouterr().err
    assert "boom" in error
    assert "not a verdict" in error


def test_error_messages_cannot_steer_a_terminal(tmp_path):
    """A file name with an escape sequence is shown inert on a real terminal, where click strips nothing."""
    ours, theirs = pty.openpty()
    evil = str(tmp_path / "a\x1b]0;owned\x07.csv")
    subprocess.run([*COMMAND, "compare", "--base", evil, "--tuned", evil], check=False, stderr=theirs, stdout=theirs)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "does not exist" in text
    assert not set("\x1b\x07") & set(text)


def test_a_name_cannot_fake_a_line_of_its_own():
    """A question named `x\\n PASS` stays on its line."""
    assert "\n" not in safe("x\n PASS")


def test_the_printed_command_can_be_pasted(tmp_path, offtarget):
    """A run folder with spaces is quoted in the next step."""
    assert shown_path(Path("my runs/ü")) == "'my runs/ü'"
    done = offtarget(*compared(tmp_path, "--run", str(tmp_path / "my run")))
    assert f"offtarget report '{tmp_path / 'my run'}' --html" in done.stdout


@pytest.mark.parametrize("out", ["loop", "x" * 300, "file/below"])
def test_places_that_cannot_be_written_are_one_sentence(out, tmp_path, monkeypatch, capsys):
    """A symlink loop, a name too long and a folder inside a file end with exit code 2."""
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("file").touch()
    monkeypatch.setattr(sys, "argv", ["offtarget", *compared(tmp_path, "--run", out)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert without_progress(capsys.readouterr().err).startswith(f"Error: Cannot write {out}: ")


def test_a_run_name_no_system_takes_is_one_sentence(monkeypatch, capsys):
    """`offtarget report` with a name longer than file names may be."""
    monkeypatch.setattr(sys, "argv", ["offtarget", "report", "x" * 300])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "There is no run" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_nothing_from_a_table_steers_a_terminal(verb, tmp_path, monkeypatch, offtarget):
    """Question names, questions, answers and slices with escape sequences are inert wherever a verdict is shown."""
    evil = "\x1b]0;owned\x07\x1b[2J\n PASS\r\u202e"
    for name, misaligned in (("b", 0), ("t", 30)):
        rows = [
            {"question_id": f"q{q}{evil}", "question": evil, "answer": evil, "domain": f"d{q}{evil}", "coherent": 99}
            | {"aligned": 5 if i < misaligned else 95, "judge": "j"}
            for q in range(4)
            for i in range(60)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    done = offtarget("compare", "--base", "b.jsonl", "--tuned", "t.jsonl", "--run", "run")
    assert done.returncode == 1
    if verb == "report":
        done = offtarget("report", "run")
    assert "FAIL" in done.stdout
    assert not set("\x1b\x07\r\u202e") & set(done.stdout)
    assert not any(line.strip().startswith("PASS") for line in done.stdout.splitlines())
