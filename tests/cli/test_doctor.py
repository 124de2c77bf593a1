"""`offtarget doctor` and `--version`: what is missing is named, keys are never told, nothing is opened."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from golden import printed
from offtarget.cli.app import VERBS
from offtarget.workflows.doctor import doctor as workflow
from offtarget.workflows.doctor import packages
from offtarget.workflows.doctor.packages import extras, fits

SECRET = "sk-very-secret-value"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("offtarget.workflows.guesses._rate", lambda: 2e11)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LAB_API_KEY", "LAB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if these packages were not installed."""
    real = importlib.metadata.version

    def version(package: str) -> str:
        if package in names:
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(packages.importlib.metadata, "version", version)


def test_it_says_what_is_here(place: Path) -> None:
    done = printed(["doctor"], 100)
    assert done.exit_code == 0, done.output
    for part in ("Packages", "local:", "Machine", "core", "memory", "runs", "cache", "OPENAI_API_KEY", "a check of"):
        assert part in done.output
    assert list(place.iterdir()) == []


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch")
    asked = printed(["doctor", "tune"], 100)
    assert asked.exit_code == 3
    assert "MISSING  the extra local: torch: pip install 'offtarget[local]'" in " ".join(asked.output.split("\n"))
    assert printed(["doctor"], 100).exit_code == 0  # nothing was asked for
    assert printed(["doctor", "runs"], 100).exit_code == 0
    found = json.loads(printed(["doctor", "check", "--base", "organism/base", "--json"], 100).stdout)
    assert (found["ok"], found["estimate"]) == (False, "")
    assert [one["what"] for one in found["asked"] if not one["ok"]] == ["the extra local"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("check --base hf/./nosuch", "nosuch does not exist"),
        ("check --base openai/gpt-4o", "needs a key"),
        ("check --base openai-api/lab/x", "LAB_BASE_URL"),
        ("check --base nonsense//x//", "is not a model name"),
        ("check --judge organism/bsae", "Did you mean organism/base"),
    ],
)
def test_a_model_that_cannot_be_opened_is_exit_code_3(arguments: str, said: str) -> None:
    done = printed(["doctor", *arguments.split()], 200)
    assert done.exit_code == 3
    assert "MISSING" in done.output
    assert said in " ".join(done.output.split())


def test_servers_are_tried_only_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LAB_API_KEY", SECRET)
    quiet = printed(["doctor", "check", "--judge", "openai-api/lab/x"], 100)
    assert (quiet.exit_code, "say --connect" in quiet.output) == (0, True)
    tried = printed(["doctor", "check", "--judge", "openai-api/lab/x", "--connect"], 100)
    assert (tried.exit_code, "no server answers" in " ".join(tried.output.split())) == (3, True)
    for done in (quiet, tried, printed(["doctor", "--json", "-v"], 100)):
        assert SECRET not in done.output
        assert "LAB_API_KEY" in done.output


def test_a_misspelt_verb_is_wrong_input() -> None:
    done = printed(["doctor", "chekc"], 100)
    assert (done.exit_code, "Did you mean check?" in done.output) == (2, True)
    assert set(workflow.NEEDS) <= set(VERBS)


def test_every_extra_for_users_is_known() -> None:
    """An extra that pyproject gains is told about; those for development and of everything at once are not."""
    offered = set(importlib.metadata.metadata("offtarget").get_all("Provides-Extra") or ())
    assert {extra.name for extra in extras()} == offered - {"dev", "all"}


@pytest.mark.parametrize(
    ("installed", "needed", "right"),
    [
        ("2.4", ">=2.4", True),
        ("2.13.0+cpu", ">=2.4", True),
        ("2.3.9", ">=2.4", False),
        ("0.4", ">=0.3.285,<0.4", False),
        ("0.3.300", ">=0.3.285,<0.4", True),
        ("1.0", "", True),
        ("8.2.0", ">=8.1.7,!=8.2.0", False),
        ("unknown", ">=1", True),
    ],
)
def test_versions_are_held_against_what_is_needed(installed: str, needed: str, right: bool) -> None:
    assert fits(installed, needed) is right


def test_the_version_tells_the_environment_and_imports_none_of_it() -> None:
    script = (
        "import sys\nfrom offtarget.cli.app import main\nsys.argv = ['offtarget', '--version']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'transformers', 'peft', 'trl', 'numpy', 'rich'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    first, second, third = done.stdout.splitlines()
    assert first.startswith("offtarget, version ")
    assert second.startswith("Python ")
    assert f"torch {importlib.metadata.version('torch')}" in third
