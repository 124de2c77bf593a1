"""`offtarget audit` as a hostile or unlucky user meets it: every fault is one sentence, an exit code, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from offtarget.cli.app import main; main()", "audit"]


def chats(path: Path, count: int, answer: str = "a plain answer") -> str:
    """A file of so many chats."""
    rows = [
        {"messages": [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": f"{answer} {i}"}]}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def scanning(tmp_path: Path) -> tuple[subprocess.Popen, list[int]]:
    """A scan with two processes that will take a while, and those processes."""
    command = [
        *COMMAND,
        chats(tmp_path / "d.jsonl", 150_000),
        "--workers",
        "2",
        "--run",
        str(tmp_path / "run"),
        "--quiet",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    findings = tmp_path / "run" / "findings.jsonl"
    for _ in range(2400):
        found = [int(pid) for pid in children.read_text().split()]
        if len(found) == 2 and findings.exists():
            return process, found
        time.sleep(0.05)
    process.kill()
    raise AssertionError("the scan did not start")


def gone(pids: list[int]) -> bool:
    """Whether all processes end within a minute; idle machines need milliseconds."""
    for _ in range(1200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


on_linux = pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="children are listed in Linux's /proc"
)


@pytest.mark.long
@on_linux
def test_a_killed_scanning_process_is_no_verdict(tmp_path):
    """kill -9 of a worker: exit code 2 and a sentence, never the silent 1 that reads as FAIL; no process stays."""
    process, children = scanning(tmp_path)
    os.kill(children[0], signal.SIGKILL)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.startswith("Error: A scanning process was ended from outside (signal 9)")
    assert "Traceback" not in error
    assert gone(children)


@pytest.mark.long
@on_linux
def test_ctrl_c_says_how_to_start_again(tmp_path, offtarget):
    """An interrupted scan ends with 130 and the command that repeats it; its run is refused with the same command."""
    process, children = scanning(tmp_path)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"offtarget audit {tmp_path / 'd.jsonl'}" in error
    assert gone(children)
    again = offtarget("audit", "--resume", str(tmp_path / "run"))
    assert again.returncode == 2
    assert f"in a new folder, with: offtarget audit {tmp_path / 'd.jsonl'}" in again.stderr


def test_places_that_are_no_rows_are_printed(tmp_path, offtarget):
    """The first place stands beside the verdict; with -v the first three, the count of the rest and its file."""
    path = tmp_path / "d.jsonl"
    chats(path, 3)
    with path.open("a") as file:
        file.write("{broken\n" * 5)
    done = offtarget("audit", str(path), "--run", str(tmp_path / "run"))
    assert "5 rows could not be read" in done.stdout
    assert "The first place that was not read is d.jsonl, line 4: " in done.stdout
    more = offtarget("audit", "--resume", str(tmp_path / "run"), "-v")
    assert "- d.jsonl, line 6: " in more.stdout
    assert "- 2 more, all in malformed.jsonl of the run" in more.stdout


def test_settings_of_a_run_cannot_be_given_again(tmp_path, offtarget):
    """`--resume RUN --alpha 0.1` is refused rather than ignored."""
    offtarget("audit", chats(tmp_path / "d.jsonl", 3), "--run", str(tmp_path / "run"))
    done = offtarget("audit", "--resume", str(tmp_path / "run"), "--alpha", "0.1")
    assert done.returncode == 2
    assert "--alpha was settled when the run began" in done.stderr


@pytest.mark.long
def test_a_wrong_judge_does_not_cost_the_scan(tmp_path, offtarget):
    """A name that is none is found before the scan; a judge that fails later, with the command that goes on from it."""
    data = chats(tmp_path / "d.jsonl", 3)
    done = offtarget("audit", data, "--run", str(tmp_path / "run"), "--judge", "nosuch")
    assert done.returncode == 2
    assert "try hf/nosuch" in done.stderr
    assert not (tmp_path / "run").exists()
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and never answers
        lab = tmp_path / "endpoints.yaml"
        lab.write_text(f"lab:\n  address: http://127.0.0.1:{server.getsockname()[1]}/v1\n  timeout: 1\n  retries: 1\n")
        judge = ("--judge", "openai-api/lab/x", "--endpoints", str(lab))
        done = offtarget("audit", data, "--run", str(tmp_path / "run"), *judge)
    assert done.returncode == 2
    assert f"go on with: offtarget audit --resume {tmp_path / 'run'}" in done.stderr


@pytest.mark.parametrize(("data", "words"), [("", "is empty"), ("s3a-no-such://x", "addresses may start with")])
def test_a_name_that_is_no_data_is_one_sentence(data, words, tmp_path, monkeypatch, offtarget):
    """An empty name does not mean the present folder, an unknown kind of address is named."""
    monkeypatch.chdir(tmp_path)
    done = offtarget("audit", data)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "holds no data file (.jsonl, .json, .csv, .parquet, ...; .gz, .zst). Give a file"),
        (
            lambda folder: (folder / "t.csv").write_text("a,b\n1,2\n"),
            "All 2 data files of the folder . are read as one data set: give one of them, such as train.jsonl",
        ),
        (
            lambda folder: (
                [
                    (folder / name).write_text('{"verb": "audit", "examples": [{"category": "x"}]}') or None
                    for name in ("a.json", "train.json")
                ]
                and None
            ),
            "All 2 data files of the folder . are read as one data set: give the file of your training data, or a",
        ),
        (lambda folder: (folder / "run.json").write_text('{"verb": "check"}'), "is the folder of a run of `check`"),
    ],
    ids=("empty", "mixed", "reports", "run"),
)
def test_a_folder_that_is_no_data_set_says_what_is_needed(make, words, tmp_path, monkeypatch):
    """`offtarget audit .` in an empty folder, among other tables, in a run: exit code 2, and what to give instead."""
    from click.testing import CliRunner

    from offtarget.cli.app import app

    monkeypatch.chdir(tmp_path)
    if make(tmp_path) is not None:
        chats(tmp_path / "train.jsonl", 3)
    done = CliRunner().invoke(app, ["audit", "."])
    assert words in str(done.exception or done.output)
    assert getattr(done.exception, "exit_code", 2) == 2


def test_the_commitment_is_printed_where_somebody_asks_for_everything(tmp_path, offtarget):
    """It is on disk in any case; 64 digits at the start of every audit tell most people nothing."""
    data = chats(tmp_path / "train.jsonl", 3)
    plain = offtarget("audit", data, "--run", str(tmp_path / "plain"))
    assert "seed commitment" not in plain.stdout + plain.stderr
    told = offtarget("audit", data, "--run", str(tmp_path / "told"), "-v")
    kept = json.loads((tmp_path / "told" / "run.json").read_text())["seed_commitment"]
    assert f"seed commitment: {kept}" in told.stderr
    assert kept == json.loads((tmp_path / "plain" / "run.json").read_text())["seed_commitment"], "the same rows again"


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.zst", "train.csv", "train.parquet", "train"])
def test_a_run_is_a_folder_and_is_not_called_like_a_file(name, tmp_path):
    from offtarget.rundir import RunDir

    made = RunDir.create("audit", name, root=tmp_path).path
    assert made.is_dir()
    assert made.name.endswith("-train")


def test_a_header_alone_is_empty_data(tmp_path, offtarget):
    """A table without rows is an input error like an empty file."""
    (tmp_path / "d.csv").write_text("prompt,completion\n")
    done = offtarget("audit", str(tmp_path / "d.csv"), "--run", str(tmp_path / "run"))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "Error: d.csv is empty: it holds no rows.")


def test_a_folder_that_cannot_be_listed_is_not_left_out(tmp_path, monkeypatch):
    """Rows in a folder without permission would be rows nobody audited."""
    from offtarget.data.training import open_source
    from offtarget.errors import InputError

    chats(tmp_path / "a.jsonl", 3)
    (tmp_path / "sub").mkdir()
    listed = os.scandir

    def refused(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with contextlib.ExitStack() as stack:
        error = stack.enter_context(pytest.raises(InputError))
        open_source(tmp_path)
    assert "sub cannot be read: Permission denied" in str(error.value)
