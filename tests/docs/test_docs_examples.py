"""Output shown in README and docs is what the command prints; OFFTARGET_GOLDEN=write writes that of README anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from offtarget.cli.app import app

ROOT = Path(__file__).parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "check.md"
EXAMPLE = re.compile(r"(```\n\$ offtarget (check [^\n]*)\n)(.*?)```", re.DOTALL)
COLUMNS = "80"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("example")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What README's first check prints, run as it is written there, but for its progress."""
    shown = EXAMPLE.search(README.read_text(encoding="utf-8"))
    assert shown is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", COLUMNS)
        patch.setenv("OFFTARGET_STATE", str(folder / "state"))
        patch.setenv("OFFTARGET_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        result = CliRunner().invoke(app, [*shown[2].split(), "--quiet"])
    assert result.exit_code == 1, result.output
    return result.output


def shortened(output: str) -> str:
    """The output without the second and third transcript and what stands between them and the next command."""
    begin, _, rest = output.partition("\n2. ")
    assert rest
    after = rest[rest.index("\nTook ") + 1 :].partition("\n")[2]
    return f"{begin}\n...\n{after}"


@pytest.mark.slow
def test_readme_shows_what_the_first_command_prints(printed: str) -> None:
    """Line by line, on a terminal of 80 columns."""
    text = README.read_text(encoding="utf-8")
    if os.environ.get("OFFTARGET_GOLDEN") == "write":
        text = EXAMPLE.sub(lambda found: f"{found[1]}{shortened(printed)}```", text)
        README.write_text(text, encoding="utf-8")
    shown = EXAMPLE.search(text)
    assert shown is not None
    assert shown[3] == shortened(printed)


@pytest.mark.long
def test_the_example_of_check_is_what_it_prints(printed: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of the page's example stands in what the run of README's prints, whatever the line breaks."""
    example = re.search(r"prints this.*?```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(folder)
    all_of_it = CliRunner().invoke(app, ["report", "runs/insecure", "-v"]).output
    said = " ".join(f"{printed} {all_of_it}".split())
    missing = [line for line in example[1].splitlines() if " ".join(line.split()) not in said]
    assert missing == []
