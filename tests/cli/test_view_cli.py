"""`offtarget view` as a program: it prints an address that works, and Ctrl-C ends it in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from report_runs import make_run

from golden import printed
from offtarget.errors import InputError

pytest.importorskip("uvicorn", reason="needs the extra 'review'")


def test_the_printed_address_works_until_it_is_stopped(tmp_path: Path) -> None:
    make_run(tmp_path / "check-1", per_probe=(1, 1), questions=1)
    command = [sys.executable, "-m", "offtarget", "view", str(tmp_path), "--no-browser"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        address = program.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with httpx.Client(follow_redirects=True) as client:
            assert "check-1" in client.get(address).text
        assert "check-1" not in httpx.get(address.partition("?")[0]).text
    finally:
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 0, said
    assert "Traceback" not in said


def test_other_machines_are_kept_out_unless_somebody_says_so() -> None:
    done = printed(["view", "--host", "0.0.0.0"], 80)
    assert isinstance(done.exception, InputError)
    assert "--allow-remote" in str(done.exception)


def test_a_folder_that_is_not_there_is_named() -> None:
    assert "nosuch does not exist" in str(printed(["view", "nosuch"], 80).exception)
