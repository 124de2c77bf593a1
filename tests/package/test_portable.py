"""macOS and Windows: nothing in the package needs what only some Unix has, and a lock holds everywhere."""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import offtarget
from offtarget.errors import InputError
from offtarget.machine import usable_cores
from offtarget.prompting.metrics import Task, command_metric
from offtarget.rundir import RunDir, flush_to_disk, write_json

SOURCES = Path(offtarget.__file__).parent
UNIX_MODULES = (
    "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline", "resource", "spwd",
    "syslog", "termios", "tty",
)  # fmt: skip
UNIX_NAMES = {
    "os": {
        "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "WNOHANG", "chown", "chroot", "confstr",
        "ctermid", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid",
        "getpgrp", "getpriority", "getresuid", "getsid", "getuid", "initgroups", "killpg", "lchown", "lockf", "major",
        "minor", "mkfifo", "mknod", "nice", "openpty", "pathconf", "pipe2", "posix_fadvise", "posix_fallocate", "pread",
        "pwrite", "sched_getaffinity", "sched_setaffinity", "sendfile", "setegid", "seteuid", "setgid", "setpgid",
        "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "tcgetpgrp", "uname", "wait", "wait3", "wait4",
        "waitid", "writev",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1",
        "SIGUSR2", "SIGWINCH", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt",
        "sigwait",
    },
    "select": {"poll", "epoll", "kqueue"},
    "socket": {"AF_UNIX", "socketpair", "fromfd"},
    "time": {"tzset"},
}  # fmt: skip
WITH_ANOTHER_WAY = {
    ("models/serving/own_server.py", "os.killpg"),  # hasattr before it, the process alone elsewhere
    ("prompting/metrics.py", "os.killpg"),
    ("prompting/metrics.py", "signal.SIGKILL"),
    ("machine.py", "os.sched_getaffinity"),
    ("detect/row_time.py", "signal.setitimer"),
    ("rundir.py", "fcntl"),  # behind os.name; elsewhere the lock itself is tried
}
"""Used only where the system has it; the other way is tested below, that of row times with them."""
OF_THE_GATEWAY = ("serve/", "workflows/serve/")
"""The gateway needs uvloop, which there is on Unix alone: elsewhere `offtarget serve` names the missing package."""


@pytest.mark.long
def test_every_module_is_imported_where_unix_is_missing() -> None:
    """Windows has no fcntl, pwd or resource; an import of one anywhere would end `import offtarget.workflows`."""
    script = f"""
import builtins, importlib, pkgutil, warnings
import offtarget
real, missing = builtins.__import__, set({UNIX_MODULES!r})
def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    by = (globals or {{}}).get('__name__') or ''
    if not level and by.startswith('offtarget') and name.partition('.')[0] in missing:
        raise ImportError(f'{{by}} imports {{name}}')
    return real(name, globals, locals, fromlist, level)
builtins.__import__ = guarded
warnings.simplefilter('ignore')
names = [m.name for m in pkgutil.walk_packages(offtarget.__path__, 'offtarget.') if m.name != 'offtarget.__main__']
assert len(names) > 100
for name in names:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_no_source_names_what_only_unix_has() -> None:
    """Imports are not all: os.killpg or signal.SIGKILL fail on Windows only when their line is reached."""
    words = {*UNIX_MODULES, *itertools.chain(*UNIX_NAMES.values())}
    any_of_them = re.compile(rf"\b({'|'.join(words)})\b")
    found = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not any_of_them.search(text):  # a thousand files take seconds to be parsed
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.attr in UNIX_NAMES.get(node.value.id, ()):
                    found.add((path.relative_to(SOURCES).as_posix(), f"{node.value.id}.{node.attr}"))
            elif isinstance(node, ast.Import):
                named = {alias.name.partition(".")[0] for alias in node.names} & set(UNIX_MODULES)
                found |= {(path.relative_to(SOURCES).as_posix(), name) for name in named}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {alias.name for alias in node.names} & UNIX_NAMES.get(node.module, set())
                found |= {(path.relative_to(SOURCES).as_posix(), f"{node.module}.{name}") for name in names}
    assert {(path, name) for path, name in found if not path.startswith(OF_THE_GATEWAY)} == WITH_ANOTHER_WAY


def test_cores_are_counted_where_the_system_does_not_say_which_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and Windows have no sched_getaffinity; a machine that says nothing has one core."""
    assert usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_a_slow_metric_is_ended_with_its_children_on_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There taskkill ends the tree of processes; without it a command that hangs would hang the comparison."""
    real, ended = subprocess.run, []

    def run(words: list[str], **options: object) -> object:
        ended.append(words[:4])
        return real(["kill", "-9", words[4]], check=False)

    score = command_metric(f"{sys.executable} -c 'import time; time.sleep(60)' {{answer}}", timeout=0.2)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "run", run)
    assert score(Task("q", "r"), "a") == (0.0, "the command took longer than 0.2 s")
    assert ended == [["taskkill", "/F", "/T", "/PID"]]


def test_a_run_is_written_by_one_at_a_time(tmp_path: Path) -> None:
    """The second is told so at once; when the first is done, the next may."""
    write_json(tmp_path / "run.json", {})
    with RunDir.open(tmp_path), pytest.raises(InputError, match="in use by another"), RunDir.open(tmp_path):
        pass
    with RunDir.open(tmp_path):
        pass


def test_output_that_cannot_hold_a_character_is_no_fault(tmp_path: Path) -> None:
    """A pipe on Windows takes code page 1252; a name with another character is escaped there, not a traceback."""
    (tmp_path / "run-≥").mkdir()
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "OFFTARGET_RUNS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "offtarget", "runs"], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"run-\\u2265 is broken" in done.stdout


def test_files_and_folders_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder cannot be opened (Windows) it is left to the system; a file is flushed everywhere."""
    monkeypatch.setattr(os, "fsync", importlib.import_module(os.name).fsync)  # other tests do not wait for the disk
    (tmp_path / "a").write_text("x")
    flush_to_disk(tmp_path / "a")
    flush_to_disk(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush_to_disk(tmp_path / "missing")


def test_a_pool_reads_a_script_without_starting_its_command_again(tmp_path: Path) -> None:
    """Where processes are spawned, a script that calls `main` unguarded is read by each of them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "from offtarget.cli.app import main\n"
        "if __name__ == '__main__':\n"
        "    worker = multiprocessing.get_context('spawn').Process(target=print, args=('worked',))\n"
        "    worker.start()\n"
        "    worker.join()\n"
        "sys.argv = ['offtarget', '--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "worked"
    assert done.stdout.count("worked") == 1
    assert done.stdout.count("offtarget, version") == 1
