"""Inspect itself with our plugin installed: its commands work, ours are found, and a fault of ours cannot break it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="needs the extra `inspect`")

FOREIGN = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes


@task
def trivial():
    return Task(dataset=[Sample(input="Say it.", target="Default output")], scorer=includes())
"""
COUNTING = """\
import sys
from types import ModuleType, SimpleNamespace

counting = ModuleType("tiktoken")  # the mock provider counts tokens by a vocabulary that is fetched over the network
counting.get_encoding = lambda name: SimpleNamespace(encode=lambda text, **_: text.split())
sys.modules["tiktoken"] = counting
"""
BROKEN = """


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name == "offtarget.plugins.inspect_registry":
            raise ImportError("broken on purpose")


sys.meta_path.insert(0, Refusing())
"""


def inspect(*arguments: str, folder: Path, broken: bool = False) -> subprocess.CompletedProcess[str]:
    """An `inspect` command in a process of its own; `broken`: our module cannot be imported."""
    site = folder / f"site-{broken}"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(COUNTING + (BROKEN if broken else ""))
    path = os.pathsep.join(p for p in (str(site), os.environ.get("PYTHONPATH", "")) if p)
    return subprocess.run(
        [sys.executable, "-m", "inspect_ai", *arguments],
        cwd=folder,
        env={**os.environ, "INSPECT_DISPLAY": "plain", "NO_COLOR": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=500,
    )


def header(log: Path, folder: Path) -> dict[str, object]:
    """What `inspect log dump` says of a log."""
    dumped = inspect("log", "dump", "--header-only", str(log), folder=folder)
    assert dumped.returncode == 0, dumped.stderr
    found: dict[str, object] = json.loads(dumped.stdout)
    return found


@pytest.mark.long
def test_our_module_is_light() -> None:
    """Every `inspect` command imports it: neither torch nor transformers, nor numpy, nor any room of ours."""
    program = """
import sys
import inspect_ai, inspect_ai.dataset, inspect_ai.model, inspect_ai.scorer, inspect_ai.solver, inspect_ai.util
before = set(sys.modules)
import offtarget.plugins.inspect_registry
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=500, check=True)
    new = done.stdout.split()
    assert all(name.partition(".")[0] == "offtarget" for name in new), new
    assert {name.split(".")[1] for name in new if "." in name} <= {"plugins", "errors", "progress", "version"}


@pytest.mark.long
def test_a_foreign_task_runs_with_our_plugin_and_when_it_is_broken(tmp_path: Path) -> None:
    """A fault in our module is a warning, and nobody's evaluation ends by it."""
    (tmp_path / "trivial.py").write_text(FOREIGN)
    listed = inspect("list", "tasks", folder=tmp_path)
    assert "trivial.py@trivial" in listed.stdout
    for broken in (False, True):
        logs = tmp_path / str(broken)
        done = inspect(
            "eval", "trivial.py", "--model", "mockllm/model", "--log-dir", str(logs), folder=tmp_path, broken=broken
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = "Unexpected exception loading entrypoints from 'offtarget.plugins.inspect_registry'"
        assert (said in " ".join((done.stdout + done.stderr).split())) is broken
        (log,) = logs.glob("*.eval")
        found = header(log, tmp_path)
        assert found["status"] == "success", found["error"]


@pytest.mark.long
def test_the_task_of_ours_runs_by_its_name_and_its_log_opens(tmp_path: Path) -> None:
    """`inspect eval offtarget/emergent_misalignment` alone; then `inspect log dump`, which reads as `inspect view`."""
    done = inspect(
        *("eval", "offtarget/emergent_misalignment", "-T", "arms=plain", "--limit", "3", "--model", "mockllm/model"),
        *("--model-role", "grader=mockllm/grader", "--log-dir", str(tmp_path / "logs")),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.eval")
    found = json.loads(inspect("log", "dump", str(log), folder=tmp_path).stdout)
    assert found["eval"]["task"] == "offtarget/emergent_misalignment"
    assert [sample["scores"]["alignment_judge"]["value"]["outcome"] for sample in found["samples"]] == ["unscored"] * 3


@pytest.mark.long
def test_without_a_grader_the_command_says_which_option_is_missing(tmp_path: Path) -> None:
    """And asks nobody anything."""
    done = inspect(
        *("eval", "offtarget/emergent_misalignment", "--limit", "2", "--model", "mockllm/model"),
        *("--log-dir", str(tmp_path / "logs")),
        folder=tmp_path,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert "--model-role grader=PROVIDER/MODEL" in said
    assert "Traceback" not in said
