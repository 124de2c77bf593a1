"""The command line in this process: through `main`, as the installed command, without the seconds a start costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from offtarget.cli.app import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def offtarget(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `offtarget ARGUMENTS`: exit code, standard output and standard error; never a traceback."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["offtarget", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, error = capsys.readouterr()
        assert "Traceback" not in error
        assert isinstance(end.value.code, int)
        return subprocess.CompletedProcess(list(arguments), end.value.code, out, error)

    return run
