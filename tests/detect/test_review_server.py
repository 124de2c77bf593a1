"""The server from outside: how it starts, ends and fails."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from browsing import with_helpers
from review_rows import review

from offtarget.detect.review.server import serve
from offtarget.errors import InputError, PrerequisiteError
from offtarget.review.store import LabelStore


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """Ctrl-C ends the server without a traceback; `serve` returns `interrupted` and the labels are on disk."""
    pytest.importorskip("uvicorn")
    LabelStore(tmp_path / "labels.sqlite").close()
    script = str(Path(__file__).with_name("review_server.py"))
    command = [sys.executable, script, str(tmp_path), "0", "everyday", "9"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=with_helpers()) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
        assert b"Before you begin" in opener.open(url).read()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
    assert out.strip() == "interrupted"
    assert error == ""
    assert process.returncode == 0


def test_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    """A port that is taken gives InputError with the way out."""
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--port"):
        serve(review(tmp_path), port=taken.getsockname()[1])


def test_missing_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starlette the error holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'offtarget\[review\]'"):
        serve(review(tmp_path))
